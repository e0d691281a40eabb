// Guards of credentials: who gets a token of an agent, for how long, and that nobody borrows an agent's name.
import { callerHoldsIssuedToken, isAgentUser, literal, unchanged } from './expressions.ts';
import { type Guard, validating } from './policy.ts';

/** Longest life of a token that the API server or hallpass accepts, in seconds. */
const LONGEST_TOKEN_SECONDS = 3600;
/** The API server stretches a token of exactly this many seconds to a year. */
export const STRETCHED_TOKEN_SECONDS = 3607;

/**
 * Audiences by which a token speaks to an API server or to hallpass. The API server's own audience is a flag of it that
 * admission doesn't see: these are its usual values, those of the managed offerings included. A mesh's or a cloud's
 * identity tokens have others and stay as they are.
 */
const ownAudience =
  "'^$|^(https://)?kubernetes([.]default([.]svc([.].+)?)?)?/?$|^hallpass([.:/].*)?$|^https://hallpass[.].*$|^api$|^k3s$|^rke2$|^https://container[.]googleapis[.]com/v1/projects/.*$|^https://.*[.]azmk8s[.]io/?.*$|^https://oidc[.]eks[.].*$'";

/** Whether this audience (CEL, a string) is one of an API server or of hallpass. */
export function isOwnAudience(audience: string): string {
  return `${audience}.matches(${ownAudience})`;
}

const byKubelet =
  "request.userInfo.username.startsWith('system:node:') && has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups";

const tokens = validating({
  name: 'hallpass-tokens',
  resources: [{ apiGroup: '', version: 'v1', operations: ['CREATE'], resources: ['serviceaccounts/token'] }],
  when: { 'of-an-agent': "request.name.startsWith('hallpass-')" },
  rules: [
    {
      holds: `${byKubelet} && has(object.spec.boundObjectRef) && object.spec.boundObjectRef.?kind.orValue('') == 'Pod'`,
      message:
        'tokens of agents (ServiceAccounts hallpass-*) are given only to their pods, by the kubelet. Run the client in a pod with the label hallpass.dev/agent: <identity>',
    },
    {
      holds: `object.spec.expirationSeconds != ${STRETCHED_TOKEN_SECONDS}`,
      message: `a token of ${STRETCHED_TOKEN_SECONDS} seconds is one that the API server stretches to a year: an agent gets none. Set another expirationSeconds in the pod's projected volume`,
    },
    {
      holds: `object.spec.expirationSeconds <= ${LONGEST_TOKEN_SECONDS} || (has(object.spec.audiences) && size(object.spec.audiences) > 0 && object.spec.audiences.all(a, !${isOwnAudience('a')}))`,
      message: `an agent's token for the API server or for hallpass lives ${LONGEST_TOKEN_SECONDS} seconds at most: set expirationSeconds in the pod's projected volume to 600`,
    },
  ],
});

const accountAnnotation = "'kubernetes.io/service-account.name'";

/** A token Secret never expires. One that is older than the guards can still be deleted, finalizers included. */
const tokenSecrets = validating({
  name: 'hallpass-token-secrets',
  resources: [{ apiGroup: '', version: 'v1', operations: ['CREATE', 'UPDATE'], resources: ['secrets'] }],
  when: {
    'for-an-agent': `has(object.type) && object.type == ${literal('kubernetes.io/service-account-token')} && has(object.metadata.annotations) && ${accountAnnotation} in object.metadata.annotations && object.metadata.annotations[${accountAnnotation}].startsWith('hallpass-')`,
  },
  rules: [
    {
      holds: `request.operation == "UPDATE" && has(oldObject.metadata.deletionTimestamp) && ${unchanged(['.metadata.annotations', '.metadata.labels', '.data'])}`,
      message:
        'a token Secret never expires, so there is none for an agent (ServiceAccounts hallpass-*). Run the client in a pod with the label hallpass.dev/agent: <identity>, which gets a token of 10 minutes',
    },
  ],
});

/** The built-in role edit may impersonate every ServiceAccount of its namespace; what it then writes is no agent's. */
const impersonation = validating({
  name: 'hallpass-impersonation',
  resources: [
    { apiGroup: '*', version: '*', operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'], resources: ['*/*'] },
  ],
  when: { 'by-an-agent': isAgentUser('request.userInfo.username') },
  rules: [
    {
      holds: callerHoldsIssuedToken,
      message:
        'an agent acts only with a token that its own pod was given, and this request carries none: impersonating an agent is refused. Act under your own name, or ask for an AgentGrant and let the agent act',
    },
  ],
});

export const tokenGuards: readonly Guard[] = [tokens, tokenSecrets, impersonation];
