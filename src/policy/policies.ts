// The policy gate: what the AgentPolicies of the namespaces concerned have against a grant.
//
// A grant is held against the policies of its own namespace and of each that it reaches into: every line of `deny` and every
// limit of any of them counts. Only a policy that selects the target lifts what is refused there: whoever guards a namespace says
// what may happen in it, not whoever asks. What holds in the whole cluster reaches every namespace, so there every policy
// counts, and nothing passes that one of the grant's own namespace doesn't allow by name.

import { formatDuration } from '../api/duration.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedPolicy, PolicySpec } from '../api/policy.ts';
import { type Access, type Place, requestedAccess } from './access.ts';
import { credentialFindings } from './credentials.ts';
import { type Finding, finding, NOTHING, ofEach, together } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once, onceForBoth } from './once.ts';
import { denied, refuses, unnamed, wildcards } from './policy-lines.ts';
import { milliseconds } from './schedule.ts';
import { selects } from './selector.ts';
import { aboveLimit } from './sensitivity.ts';
import { type Snapshot, viewOf } from './snapshot.ts';

/** Everything that enforced policies have against the grant; empty when they let it pass. */
export function policyGate(input: GateInput): readonly Finding[] {
  const policies = input.policies.enforced;
  return together(
    unguarded(input),
    unreadable(policies),
    frozen(policies),
    limited(input, policies),
    credentialFindings(input),
    tooSensitive(input, policies, isEnforced),
    unnamed(input),
    wildcards(input),
    denied(input, isEnforced),
  );
}

/** What would stand against the grant beside that, were the policies enforced which only warn. What they allow lifts nothing. */
export function policyWarnings(input: GateInput): readonly Finding[] {
  const { enforced, warning } = input.policies;
  if (warning.length === 0) return NOTHING;
  // What one says of namespaces without a label counts for the limits of all.
  const sensitive = tooSensitive(input, joined(enforced, warning), isAny);
  const refused = sensitive.length === 0 ? [] : tooSensitive(input, enforced, isEnforced);
  return together(
    frozen(warning),
    limited(input, warning),
    sensitive.filter(({ message }) => refused.every((found) => found.message !== message)),
    denied(input, onlyWarns),
  );
}

/** Whether a policy selects a namespace with these labels; one that can't be read might select any. */
export function policySelects({ spec }: ParsedPolicy, labels: Record<string, string> | undefined): boolean {
  return spec === undefined || selects(spec.namespaceSelector, labels);
}

/** Those of the policies that select a namespace with these labels, by name. */
export function policiesSelecting(
  policies: ParsedPolicy[],
  labels: Record<string, string> | undefined,
): ParsedPolicy[] {
  return policiesByName(policies.filter((policy) => policySelects(policy, labels)));
}

/** The policies in the order in which grants are held against them. */
export function policiesByName(policies: ParsedPolicy[]): ParsedPolicy[] {
  return [...policies].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** Some of the policies. */
export type Which = (policy: ParsedPolicy) => boolean;

/** One that can't be read might as well be enforced. */
export const isEnforced: Which = ({ spec }) => spec?.enforcement !== 'Warn';

export const onlyWarns: Which = (policy) => !isEnforced(policy);

const isAny: Which = () => true;

/** The policies that a grant is held against, each once: those that refuse, and those that only warn. */
export type Concerned = { enforced: ParsedPolicy[]; warning: ParsedPolicy[] };

/** Those of the grant's own namespace, and of each place that it reaches. */
export function concernedPolicies(
  snapshot: Pick<Snapshot, 'grant' | 'namespaces' | 'cluster'>,
  access: Access[],
): Concerned {
  const own = snapshot.grant.metadata.namespace ?? '';
  let all = viewOf(snapshot, own)?.policies ?? NONE;
  for (const { namespace } of access) {
    const policies = viewOf(snapshot, namespace)?.policies ?? NONE;
    if (policies !== all) all = joined(all, policies);
  }
  return concerned(all);
}

const NONE: ParsedPolicy[] = [];

/** Both lists, each policy once, by their names: one list for the same two, so that what is said of it is found once. */
const joined = onceForBoth((some: ParsedPolicy[], more: ParsedPolicy[]): ParsedPolicy[] => [
  ...new Map([...some, ...more].map((policy) => [policy.metadata.name, policy])).values(),
]);

const concerned = once(
  (policies: ParsedPolicy[]): Concerned => ({
    enforced: policies.filter(isEnforced),
    warning: policies.filter(onlyWarns),
  }),
);

function unguarded({ grant, access, namespaces }: GateInput): readonly Finding[] {
  const own = grant.metadata.namespace ?? '';
  const ask = (namespace: string): readonly Finding[] => {
    const view = namespaces.get(namespace);
    // Another gate says of a target that it isn't there. Of the own one, where it is none, nobody would, and its policies were skipped.
    const told = namespace !== own || access.some((entry) => entry.namespace === own);
    if (view ? concerned(view.policies).enforced.length > 0 : told) return NOTHING;
    return [
      finding({
        reason: 'NoPolicy',
        what: `no AgentPolicy selects namespace ${namespace}, and without guardrails nothing is granted`,
        remedy: 'a cluster admin installs the default by: kubectl create -k deploy/policy',
        by: ['ClusterAdmin', 'PolicyAdmin'],
      }),
    ];
  };
  const others = ofEach(access, ({ namespace = own }) => (namespace === own ? NOTHING : ask(namespace)));
  return together(ask(own), others);
}

const unreadable = once((policies: ParsedPolicy[]): Finding[] =>
  policies
    .filter(({ spec }) => !spec)
    .map(({ metadata, invalid }) =>
      finding({
        reason: 'PolicyInvalid',
        policy: metadata.name,
        line: 'spec',
        what: `AgentPolicy ${metadata.name} is not valid (${invalid ?? 'unreadable'}), so that nobody knows what it would refuse`,
        remedy: 'correct it',
        by: ['PolicyAdmin'],
      }),
    ),
);

/**
 * Whether policies stand against a grant whatever else is true of it: they have stopped all access in its namespace or where it
 * reaches, can't be read, or refuse in a namespace what it asks for there. Such a grant is never Active: that much is known of it
 * without the rest of the decision, by looking up what is known of others. `policiesOf`: those that select a place.
 */
export function isRefused(
  { metadata, spec }: Pick<ParsedGrant, 'metadata' | 'spec'>,
  policiesOf: (place: Place) => ParsedPolicy[],
): boolean {
  const own = metadata.namespace ?? '';
  const stops = (policies: ParsedPolicy[]): boolean => {
    const { enforced } = concerned(policies);
    return frozen(enforced).length > 0 || unreadable(enforced).length > 0;
  };
  return (
    stops(policiesOf(own)) ||
    requestedAccess(spec?.permissions ?? [], own).some(({ namespace, rules }) => {
      const policies = policiesOf(namespace);
      return (namespace !== own && stops(policies)) || (namespace !== undefined && refuses(policies, rules));
    })
  );
}

const frozen = once((policies: ParsedPolicy[]): Finding[] =>
  policies.flatMap(({ metadata, spec }) =>
    spec?.freeze
      ? finding({
          reason: 'Frozen',
          policy: metadata.name,
          line: 'spec.freeze',
          what: `AgentPolicy ${metadata.name} has stopped all access (${spec.freeze.reason})`,
          remedy: 'it comes back when spec.freeze is taken out',
          by: ['PolicyAdmin'],
        })
      : [],
  ),
);

function limited({ grant, term, activeBefore, atIssue, now }: GateInput, policies: ParsedPolicy[]): readonly Finding[] {
  const findings: Finding[] = [];
  const { longest, most } = limitsOf(policies);
  if (longest && term && term.end - term.start > longest.value) {
    const shrinks = atIssue && grant.spec?.validity.duration === undefined;
    const line = 'spec.limits.maxGrantDuration';
    findings.push(
      finding({
        reason: 'ExceedsPolicyLimit',
        policy: longest.policy,
        line,
        what: `its ${Math.ceil((term.end - term.start) / 1000)} s are longer than the ${formatDuration(longest.value / 1000)} of AgentPolicy ${longest.policy} (${line})`,
        remedy: 'ask for less time',
        by: shrinks ? ['Requester', 'Time'] : ['Requester'],
        nextCheck: shrinks ? Math.max(term.end - longest.value, now) : undefined,
      }),
    );
  }
  if (most && activeBefore >= most.value) {
    const line = 'spec.limits.maxActiveGrants';
    findings.push(
      finding({
        reason: 'ExceedsPolicyLimit',
        policy: most.policy,
        line,
        what: `AgentIdentity ${grant.spec?.agent} has ${activeBefore} active grants and AgentPolicy ${most.policy} allows ${most.value} (${line})`,
        remedy: 'this one follows when one of them ends',
        by: ['Time'],
      }),
    );
  }
  return findings;
}

function tooSensitive(input: GateInput, policies: ParsedPolicy[], counts: Which): readonly Finding[] {
  return ofEach(limitsOf(policies).sensitivity, ({ policy, limit }) => {
    const line = 'spec.limits.maxDataSensitivity';
    return aboveLimit(input, limit, counts).map(({ namespace, level, from }) =>
      finding({
        reason: 'TooSensitive',
        policy,
        line,
        what: `the data of namespace ${namespace} is ${level} (${from}), above the ${limit} of AgentPolicy ${policy} (${line})`,
        remedy: 'ask for access elsewhere, or have whoever answers for the data look at its label',
        by: ['Requester', 'NamespaceAdmin'],
      }),
    );
  });
}

/** What the limits of these policies come to: the strictest of each kind, and every one of sensitivity. */
const limitsOf = once((policies: ParsedPolicy[]) => ({
  longest: strictest(policies, ({ limits }) => limits?.maxGrantDuration && milliseconds(limits.maxGrantDuration)),
  most: strictest(policies, ({ limits }) => limits?.maxActiveGrants),
  sensitivity: policies.flatMap(({ metadata: { name: policy }, spec }) => {
    const limit = spec?.limits?.maxDataSensitivity;
    return limit === undefined ? [] : [{ policy, limit }];
  }),
}));

function strictest(policies: ParsedPolicy[], limit: (spec: PolicySpec) => number | '' | undefined) {
  let found: { policy: string; value: number } | undefined;
  for (const { metadata, spec } of policies) {
    const value = spec && limit(spec);
    if (value && (!found || value < found.value)) found = { policy: metadata.name, value };
  }
  return found;
}
