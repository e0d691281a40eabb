// Guards of what hallpass makes in namespaces: only the operator creates or changes it, and the operator makes nothing else.
import { LABELS } from '../../api/names.ts';
import {
  callerIsNamedOperator,
  callerIsOneOf,
  callerVariables,
  harmlessUpdate,
  hasLabel,
  hasUidName,
  isAgentUser,
  jobController,
  labelOf,
  timeToLiveController,
} from './expressions.ts';
import {
  accessGuard,
  agentsOnly,
  byName,
  grantObject,
  harmlessRules,
  inNamespace,
  isOurs,
  managed,
  onlyOperator,
  operatorBound,
  operatorDeletes,
  operatorDeletionBound,
  operatorWrites,
  rbac,
} from './managed.ts';
import { type Guard, validating } from './policy.ts';

/** Nobody else has a use for such a Role; RoleBindings of such names are in deploy/namespace. */
const roleObject = (object: string) =>
  `(${object}.metadata.name.startsWith('hallpass-') || ${hasLabel(object, LABELS.grant)})`;
const accountObject = (object: string) =>
  `(${object}.metadata.name.startsWith('hallpass-') || ${hasLabel(object, LABELS.identityUid)})`;

const roles = accessGuard({
  name: 'hallpass-roles',
  kind: 'Role',
  resource: { ...rbac, resources: ['roles'] },
  ours: isOurs(roleObject),
  named: inNamespace,
  content: ['.rules'],
  writes: {
    holds: harmlessRules,
    bound: ', without rules over RBAC, ServiceAccounts, kinds of hallpass or all groups, and without writing Jobs',
  },
});

const roleBindings = accessGuard({
  name: 'hallpass-rolebindings',
  kind: 'RoleBinding',
  resource: { ...rbac, resources: ['rolebindings'] },
  ours: isOurs(grantObject),
  named: inNamespace,
  content: ['.roleRef', '.subjects'],
  writes: {
    holds: `object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name && ${agentsOnly}`,
    bound: ', that binds the Role of the same name to ServiceAccounts hallpass-* and nobody else',
  },
});

/**
 * Deleting a Job through the bare API leaves what it owns alone, and with that the access that it was to take down. In the
 * foreground it waits for whatever anybody made depend on it, and takes down nothing more: only once its time has come.
 */
const ownedGoesToo = `has(request.options) && has(request.options.propagationPolicy) && (request.options.propagationPolicy == "Background" || (request.options.propagationPolicy == "Foreground" && ${callerIsOneOf(timeToLiveController)}))`;

const jobs = validating({
  name: 'hallpass-jobs',
  resources: [
    {
      apiGroup: 'batch',
      version: 'v1',
      operations: ['CREATE', 'UPDATE', 'DELETE'],
      resources: ['jobs', 'jobs/status'],
    },
  ],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(grantObject)}` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.spec']) },
  rules: [
    {
      ...onlyOperator('Job', inNamespace),
      holds:
        'request.operation == "DELETE" || request.?subResource.orValue("") == "status" || variables.operator || variables.harmless',
    },
    {
      holds: `request.?subResource.orValue("") != "status" || ${callerIsOneOf(jobController)}`,
      message:
        "only the Job controller writes the status of a grant's dead-man Job: it decides when access ends. To end the access now, delete the AgentGrant",
    },
    {
      holds: `request.operation != "DELETE" || variables.operator || (${ownedGoesToo})`,
      message:
        "a grant's dead-man Job goes only together with the access that it owns: delete it with propagationPolicy Background (kubectl's default), or delete the AgentGrant",
    },
    {
      holds: operatorWrites('object.spec.?parallelism.orValue(1) == 0'),
      message: operatorBound('Job', ', with parallelism 0'),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('Job', byName) },
  ],
});

const account = `object.metadata.name.startsWith('hallpass-') && ${labelOf('object', LABELS.identityUid)} != "" && ${managed}`;

const serviceAccounts = validating({
  name: 'hallpass-serviceaccounts',
  resources: [
    { apiGroup: '', version: 'v1', operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['serviceaccounts'] },
  ],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(accountObject)}` },
  variables: {
    ...callerVariables,
    harmless: harmlessUpdate(['.secrets', '.imagePullSecrets', '.automountServiceAccountToken']),
  },
  rules: [
    {
      holds: 'request.operation == "DELETE" || variables.operator || variables.harmless',
      message:
        'this ServiceAccount is an agent, and only hallpass creates or changes it. To change the agent, edit its AgentIdentity; for a ServiceAccount of your own, choose a name that does not begin with hallpass-',
      says: `"ServiceAccount " + ${inNamespace} + " has a name or label of hallpass's: it is an agent, and only hallpass creates or changes it. To change the agent, edit its AgentIdentity; for a ServiceAccount of your own, choose a name that does not begin with hallpass-"`,
    },
    {
      holds: `!variables.namedOperator || request.operation == "DELETE" || (variables.operator && ${account} && object.?automountServiceAccountToken.orValue(true) == false && !has(object.secrets))`,
      message: `hallpass itself may write only a ServiceAccount named hallpass-<identity>, labelled with ${LABELS.identityUid} and ${LABELS.managedBy}, with automountServiceAccountToken false and without Secrets. Report this as a defect of hallpass, or find out who uses its credentials`,
    },
    {
      holds: operatorDeletes(
        `oldObject.metadata.name.startsWith('hallpass-') && ${hasLabel('oldObject', LABELS.identityUid)}`,
      ),
      message: operatorDeletionBound('ServiceAccount', `that carries its name and the label ${LABELS.identityUid}`),
    },
  ],
});

const namesAgent = `has(object.subjects) && object.subjects.exists(s, (s.kind == 'ServiceAccount' && s.name.startsWith('hallpass-')) || (s.kind == 'User' && ${isAgentUser('s.name')}))`;

/** Standing access for an agent, as a ServiceAccount or as the user that it is to the API server. */
const agentBindings = validating({
  name: 'hallpass-agent-bindings',
  resources: [{ ...rbac, operations: ['CREATE', 'UPDATE'], resources: ['rolebindings', 'clusterrolebindings'] }],
  when: {
    'names-an-agent': namesAgent,
    // Those are hallpass-rolebindings' and hallpass-clusterrolebindings' to judge.
    'not-of-a-grant': `!(${isOurs(grantObject)})`,
  },
  variables: { harmless: harmlessUpdate(['.roleRef', '.subjects']) },
  rules: [
    {
      holds: 'variables.harmless',
      message:
        'agents (ServiceAccounts hallpass-*) hold nothing by bindings of people: access comes by an AgentGrant, for a task and a bounded time. Take the agent out of the subjects and write an AgentGrant instead',
    },
  ],
});

export const managedObjectGuards: readonly Guard[] = [roles, roleBindings, jobs, serviceAccounts, agentBindings];
