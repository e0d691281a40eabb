// Guards of what hallpass makes: only the operator creates or changes it, and the operator makes nothing else.
import { GROUP, LABELS, MANAGED_BY } from '../../api/names.ts';
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
  literal,
  timeToLiveController,
} from './expressions.ts';
import { type Guard, validating } from './policy.ts';

const rbac = { apiGroup: 'rbac.authorization.k8s.io', version: 'v1' };

const grantObject = (object: string) => `(${hasUidName(object)} || ${hasLabel(object, LABELS.grant)})`;
/** Nobody else has a use for such a Role; RoleBindings of such names are in deploy/namespace. */
const roleObject = (object: string) =>
  `(${object}.metadata.name.startsWith('hallpass-') || ${hasLabel(object, LABELS.grant)})`;
const accountObject = (object: string) =>
  `(${object}.metadata.name.startsWith('hallpass-') || ${hasLabel(object, LABELS.identityUid)})`;

/** Ours by name or label, before or after the write. */
function isOurs(ours: (object: string) => string): string {
  return `(request.operation != "DELETE" && ${ours('object')}) || (request.operation != "CREATE" && ${ours('oldObject')})`;
}

/** The name and the labels that the operator gives a grant's objects, and finds them again by. */
const namedAfterGrant = (object: string) =>
  `${hasUidName(object)} && ${object}.metadata.name == "hallpass-" + ${labelOf(object, LABELS.grant)}`;

const managed = `${labelOf('object', LABELS.managedBy)} == ${literal(MANAGED_BY)}`;

/** Nobody else's object of that name is taken over, and nothing of ours is turned into something else. */
const operatorWrites = (content: string) =>
  `!variables.namedOperator || request.operation == "DELETE" || (variables.operator && ${namedAfterGrant('object')} && ${managed} && (request.operation == "CREATE" || ${namedAfterGrant('oldObject')}) && ${content})`;

const operatorDeletes = (ours: string) =>
  `!variables.namedOperator || request.operation != "DELETE" || (variables.operator && ${ours})`;

const name = 'request.namespace + "/" + object.metadata.name';

/** What people read when they touch an object of a grant. */
function onlyOperator(kind: string) {
  return {
    holds: 'request.operation == "DELETE" || variables.operator || variables.harmless',
    message: `this ${kind} gives a grant's access, and only hallpass creates or changes it. To change the access, edit or delete the AgentGrant; for a ${kind} of your own, choose a name and labels without hallpass`,
    says: `"${kind} " + ${name} + " has a name or label of hallpass's: only hallpass creates or changes what gives a grant's access. To change the access, edit or delete its AgentGrant (" + ${grantOf} + "); for a ${kind} of your own, choose another name and labels"`,
  };
}

const grantOf = `${labelOf('object', LABELS.grantNamespace)} + "/" + ${labelOf('object', LABELS.grantName)}`;

const operatorBound = (kind: string, rule: string) =>
  `hallpass itself may write only a ${kind} named hallpass-<uid of a grant>, labelled with that uid and with ${LABELS.managedBy}${rule}. Report this as a defect of hallpass, or find out who uses its credentials`;
const operatorDeletionBound = (kind: string, carrying: string) =>
  `hallpass itself may delete only a ${kind} ${carrying}. Report this as a defect of hallpass, or find out who uses its credentials`;

/** Without the label, too: who takes it off while a guard is away must not make the access immortal. */
const byName = 'named hallpass-<uid>';

/**
 * Whatever hallpass itself holds in a namespace, the API server lets it hand on: what it issues with, too (but for Events, by
 * which nobody gains access). As `forbiddenReach` in src/policy has it, once more, where a defect of hallpass does not reach.
 */
const harmlessRules = `object.?rules.orValue([]).all(rule,
  !rule.?apiGroups.orValue([]).exists(group, group in ['*', ${literal(rbac.apiGroup)}, ${literal(GROUP)}]) &&
  !(rule.?apiGroups.orValue([]).exists(group, group == '') && rule.?resources.orValue([]).exists(resource,
    resource == '*' || resource.startsWith('*/') || resource == 'serviceaccounts' || resource.startsWith('serviceaccounts/'))) &&
  !(rule.?apiGroups.orValue([]).exists(group, group == 'batch') && rule.?resources.orValue([]).exists(resource,
    resource == '*' || resource.startsWith('*/') || resource == 'jobs' || resource.startsWith('jobs/')) &&
    rule.?verbs.orValue([]).exists(verb, !(verb in ['get', 'list', 'watch']))))`;

const roles = validating({
  name: 'hallpass-roles',
  resources: [{ ...rbac, operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['roles'] }],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(roleObject)}` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.rules']) },
  rules: [
    onlyOperator('Role'),
    {
      holds: operatorWrites(harmlessRules),
      message: operatorBound(
        'Role',
        ', without rules over RBAC, ServiceAccounts, kinds of hallpass or all groups, and without writing Jobs',
      ),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('Role', byName) },
  ],
});

const roleBindings = validating({
  name: 'hallpass-rolebindings',
  resources: [{ ...rbac, operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['rolebindings'] }],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(grantObject)}` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.roleRef', '.subjects']) },
  rules: [
    onlyOperator('RoleBinding'),
    {
      holds: operatorWrites(
        "object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name && (!has(object.subjects) || object.subjects.all(s, s.kind == 'ServiceAccount' && s.name.startsWith('hallpass-')))",
      ),
      message: operatorBound(
        'RoleBinding',
        ', that binds the Role of the same name to ServiceAccounts hallpass-* and nobody else',
      ),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('RoleBinding', byName) },
  ],
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
      ...onlyOperator('Job'),
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
      says: `"ServiceAccount " + ${name} + " has a name or label of hallpass's: it is an agent, and only hallpass creates or changes it. To change the agent, edit its AgentIdentity; for a ServiceAccount of your own, choose a name that does not begin with hallpass-"`,
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
    // Those are hallpass-rolebindings' to judge.
    'not-of-a-grant': `request.resource.resource != "rolebindings" || !(${isOurs(grantObject)})`,
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
