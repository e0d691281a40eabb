// What the controllers see of the cluster: the client, one cache a kind with the indexes they ask by, and the clock.

import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { agentIdentities, type ParsedIdentity } from '../api/identity.ts';
import {
  CLUSTER_DEAD_MAN,
  CLUSTER_ISSUER_ROLE,
  copiedGrantUid,
  GRANTABLE_CLUSTER_ROLE,
  GRANTABLE_ROLE,
  grantUidOfBinding,
  grantUidOfObject,
  ISSUER_ROLE,
  isOfGrant,
  LABELS,
  OPERATOR_SERVICE_ACCOUNT,
  SYSTEM_NAMESPACE,
} from '../api/names.ts';
import { agentPolicies } from '../api/policy.ts';
import { agentReceipts, type ParsedReceipt } from '../api/receipt.ts';
import { agentReviews } from '../api/review.ts';
import { agentSignals, type ParsedSignal } from '../api/signal.ts';
import { Cache } from '../kube/cache.ts';
import type { Client } from '../kube/client.ts';
import type { ServerClock } from '../kube/clock.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  cronJobs,
  type Job,
  jobs,
  mutatingAdmissionPolicies,
  mutatingAdmissionPolicyBindings,
  namespaces,
  type RoleBinding,
  roleBindings,
  roles,
  serviceAccounts,
  services,
  validatingAdmissionPolicies,
  validatingAdmissionPolicyBindings,
} from '../kube/kinds.ts';
import type { Log } from '../kube/log.ts';
import type { KubeMetrics } from '../kube/metrics.ts';
import { type KubeObject, resourceName } from '../kube/object.ts';
import { concernedPlaces, type Place } from '../policy/access.ts';
import { subjectKey } from '../policy/standing.ts';
import { keepOnce } from './kept-once.ts';

export type Caches = ReturnType<typeof openCaches>;

export type Cluster = {
  client: Client;
  clock: ServerClock;
  log: Log;
  caches: Caches;
};

/** Names of the indexes, so that a misspelt one is a type error. */
export const INDEX = {
  /** Grants and receipts by `namespace/name` of the identity. */
  agent: 'agent',
  /** Grants by each place that they depend on, as `placeKey` writes it: their own namespace, and where they reach. */
  place: 'place',
  /** Grants, and all that was made for one, by the grant's uid. */
  grantUid: 'grantUid',
  /** Reviews by what they are about, as `targetKey` writes it. */
  target: 'target',
  /** Signals by what they are about, as `aboutKey` writes it. */
  about: 'about',
  /** Bindings that have the label of a grant and not its name, by the grant's uid. */
  copiedLabel: 'copiedLabel',
  /** Bindings by whom they name. */
  subject: 'subject',
  /** Bindings by the role that they give, as `roleKey` writes it. */
  role: 'role',
  /** Identities by the group that owns them, as a subject. */
  owner: 'owner',
  /** Bindings that enable a place, by `placeKey`. */
  enables: 'enables',
} as const;

/** Opens the caches; `start` fills them. What nobody reads of an object is not kept. */
export function openCaches(o: { client: Client; log: Log; metrics: KubeMetrics }) {
  const ours = { ...o, labelSelector: LABELS.grant };
  const once = keepOnce();
  return {
    grants: new Cache({
      ...o,
      resource: agentGrants,
      trim: once.inGrant,
      indexes: {
        [INDEX.agent]: (grant) => [agentKey(grant)],
        [INDEX.place]: (grant) => concernedPlaces(grant).map(placeKey),
        [INDEX.grantUid]: ({ metadata }) => [metadata.uid],
      },
    }),
    identities: new Cache({
      ...o,
      resource: agentIdentities,
      indexes: { [INDEX.owner]: ({ spec }) => (spec?.owner.kind === 'Group' ? [subjectKey(spec.owner)] : []) },
    }),
    policies: new Cache({ ...o, resource: agentPolicies }),
    reviews: new Cache({
      ...o,
      resource: agentReviews,
      indexes: {
        [INDEX.target]: ({ metadata, spec }) =>
          spec ? [targetKey(spec.target.kind, metadata.namespace, spec.target.name)] : [],
      },
    }),
    signals: new Cache({ ...o, resource: agentSignals, indexes: { [INDEX.about]: (signal) => [aboutKey(signal)] } }),
    receipts: new Cache({
      ...o,
      resource: agentReceipts,
      trim: (receipt) => once.inReceipt(onlyTheUse(receipt)),
      namespace: SYSTEM_NAMESPACE,
      indexes: {
        [INDEX.grantUid]: ({ spec }) => (spec ? [spec.grant.uid] : []),
        [INDEX.agent]: ({ spec }) => (spec ? [`${spec.grant.namespace}/${spec.agent.name}`] : []),
      },
    }),
    namespaces: new Cache({ ...o, resource: namespaces }),
    serviceAccounts: new Cache({ ...o, resource: serviceAccounts, labelSelector: LABELS.identityUid }),
    jobs: new Cache({ ...ours, resource: jobs, trim: withoutTemplate, indexes: { [INDEX.grantUid]: grantUids } }),
    cronJobs: new Cache({
      ...o,
      resource: cronJobs,
      namespace: SYSTEM_NAMESPACE,
      fieldSelector: `metadata.name=${CLUSTER_DEAD_MAN}`,
    }),
    services: new Cache({
      ...ours,
      resource: services,
      namespace: SYSTEM_NAMESPACE,
      indexes: { [INDEX.grantUid]: grantUids },
    }),
    roles: new Cache({ ...o, resource: roles, trim: once.inRole, indexes: { [INDEX.grantUid]: grantUids } }),
    roleBindings: new Cache({ ...o, resource: roleBindings, trim: once.inBinding, indexes: bindingIndexes }),
    clusterRoles: new Cache({
      ...o,
      resource: clusterRoles,
      indexes: { [INDEX.grantUid]: grantUids },
    }),
    clusterRoleBindings: new Cache({ ...o, resource: clusterRoleBindings, indexes: bindingIndexes }),
    mutatingAdmissionPolicies: new Cache({ ...o, resource: mutatingAdmissionPolicies }),
    mutatingAdmissionPolicyBindings: new Cache({ ...o, resource: mutatingAdmissionPolicyBindings }),
    validatingAdmissionPolicies: new Cache({ ...o, resource: validatingAdmissionPolicies }),
    validatingAdmissionPolicyBindings: new Cache({ ...o, resource: validatingAdmissionPolicyBindings }),
  };
}

const bindingIndexes = {
  [INDEX.grantUid]: (binding: RoleBinding) => listOf(grantUidOfBinding(binding)),
  [INDEX.copiedLabel]: ({ metadata }: RoleBinding) => listOf(copiedGrantUid(metadata)),
  // A grant's binding is found by its grant, and is no standing access.
  [INDEX.subject]: (binding: RoleBinding) =>
    grantUidOfBinding(binding) === undefined ? (binding.subjects ?? []).map(subjectKey) : [],
  [INDEX.role]: (binding: RoleBinding) => (grantUidOfBinding(binding) === undefined ? [roleKey(binding)] : []),
  [INDEX.enables]: (binding: RoleBinding) => (enabledRole(binding) ? [placeKey(binding.metadata.namespace)] : []),
};

/**
 * The caches in the order in which a start fills them: first what it takes to withdraw what has lapsed, then what only
 * deciding, giving and repairing ask for, which is more than half of all.
 */
export function inTwoSteps(caches: Caches) {
  const { receipts, jobs: deadMen, services: joints, roles: rules, reviews, signals, ...first } = caches;
  return { first: Object.values(first), rest: [receipts, deadMen, joints, rules, reviews, signals] };
}

/** The caches of what the admission guards are made of. */
export function guardCaches(c: Caches) {
  return [
    c.mutatingAdmissionPolicies,
    c.mutatingAdmissionPolicyBindings,
    c.validatingAdmissionPolicies,
    c.validatingAdmissionPolicyBindings,
  ];
}

/** Which of these caches are not in step with the API server, and why. */
export function outOfStep(caches: Pick<Cache<KubeObject>, 'resource' | 'outOfStep'>[]): string[] {
  const those = caches.filter(({ outOfStep }) => outOfStep !== undefined);
  return those.map(({ resource, outOfStep }) => `${resourceName(resource)}: ${outOfStep}`);
}

/** `namespace/name` of the identity that a grant is for. */
export function agentKey({ metadata, spec }: ParsedGrant): string {
  return `${metadata.namespace ?? ''}/${spec?.agent ?? ''}`;
}

/** A grant or an identity by its name, as reviews name it. */
export function targetKey(kind: 'AgentGrant' | 'AgentIdentity', namespace: string | undefined, name: string): string {
  return `${kind} ${namespace ?? ''}/${name}`;
}

/** The role that a binding gives, as a key of the index of bindings: a Role is one of the binding's namespace. */
export function roleKey({ metadata, roleRef }: Pick<RoleBinding, 'metadata' | 'roleRef'>): string {
  return roleRef.kind === 'Role' ? `Role ${metadata.namespace ?? ''}/${roleRef.name}` : `ClusterRole ${roleRef.name}`;
}

/** What signals of the whole cluster are about. */
export const EVERYTHING = '*';

/** What a signal is about: everything, a namespace, or an agent as `agentKey` writes it. */
export function aboutKey({ metadata, spec }: Pick<ParsedSignal, 'metadata' | 'spec'>): string {
  const { namespace = '' } = metadata;
  if (namespace === SYSTEM_NAMESPACE) return EVERYTHING;
  return spec?.agent === undefined ? namespace : `${namespace}/${spec.agent}`;
}

/** A place in an index. No namespace is named like the whole cluster. */
export function placeKey(place: Place): string {
  return place ?? '*';
}

/** Grants that depend on a namespace: by its name, or since they reach the whole cluster. A grant may be there twice. */
export function grantsConcernedBy({ grants }: Pick<Caches, 'grants'>, namespace: string): ParsedGrant[] {
  return [namespace, undefined].flatMap((place) => grants.byIndex(INDEX.place, placeKey(place)));
}

/** Roles that deploy/namespace binds in a namespace, and deploy/cluster-scope for the whole cluster and in hallpass's own namespace. */
const ENABLING = new Set([GRANTABLE_ROLE, ISSUER_ROLE, GRANTABLE_CLUSTER_ROLE, CLUSTER_ISSUER_ROLE, CLUSTER_DEAD_MAN]);

/** Which of these roles a binding gives hallpass, if any. */
export function enabledRole({ roleRef, subjects }: RoleBinding): string | undefined {
  if (roleRef.kind !== 'ClusterRole' || !ENABLING.has(roleRef.name)) return undefined;
  const names = subjects?.some(
    ({ kind, name, namespace }) =>
      kind === 'ServiceAccount' && name === OPERATOR_SERVICE_ACCOUNT && namespace === SYSTEM_NAMESPACE,
  );
  return names ? roleRef.name : undefined;
}

/** Open receipts of one grant: what it was given and has not been closed. */
export function openReceipts(caches: Caches, grantUid: string): ParsedReceipt[] {
  return caches.receipts.byIndex(INDEX.grantUid, grantUid).filter(isOpen);
}

/** Whether a receipt has not been closed. */
export function isOpen({ status }: ParsedReceipt): boolean {
  return status.outcome === undefined;
}

/** The identity that a grant is for, if the cache has it. */
export function identityOf(caches: Caches, grant: ParsedGrant): ParsedIdentity | undefined {
  return grant.spec && caches.identities.get({ namespace: grant.metadata.namespace, name: grant.spec.agent });
}

/** Whether anything limits how many grants of this agent may be active: its boundary, or any policy. */
export function limitsActiveGrants(caches: Caches, identity: ParsedIdentity | undefined): boolean {
  if (identity?.spec?.boundary?.maxActiveGrants !== undefined) return true;
  return caches.policies.list().some(({ spec }) => spec?.limits?.maxActiveGrants !== undefined);
}

/**
 * Whether an object of a grant's name was made for it: by its label or, where that was taken off, by what a binding gives, what
 * the grant's status lists, and, when the grant is gone, where its open receipts reach. Any other is somebody else's.
 */
export function isMadeFor(
  caches: Caches,
  object: KubeObject & Partial<Pick<RoleBinding, 'roleRef' | 'subjects'>>,
  uid: string,
): boolean {
  const { metadata, roleRef, subjects } = object;
  if (isOfGrant(object, uid)) return true;
  if (roleRef) return grantUidOfBinding({ metadata, roleRef, subjects }) === uid;
  const [grant] = caches.grants.byIndex(INDEX.grantUid, uid);
  if (grant) return (grant.status.created ?? []).some((made) => made.uid === metadata.uid);
  const reached = openReceipts(caches, uid).flatMap(({ spec }) => spec?.access ?? []);
  return reached.some(({ namespace }) => namespace === metadata.namespace || isClusterDeadMan(namespace, metadata));
}

/** Of what holds in the whole cluster, the dead man stands in hallpass's own namespace. */
function isClusterDeadMan(place: Place, { namespace }: KubeObject['metadata']): boolean {
  return place === undefined && namespace === SYSTEM_NAMESPACE;
}

function grantUids({ metadata }: KubeObject): string[] {
  return listOf(grantUidOfObject(metadata));
}

function listOf(uid: string | undefined): string[] {
  return uid === undefined ? [] : [uid];
}

/** Who asked, and what for, is on record for people; what decides is that the request was used, and for what. */
function onlyTheUse(receipt: ParsedReceipt): ParsedReceipt {
  const { spec } = receipt;
  if (!spec) return receipt;
  const task = { description: '', ref: spec.task.ref };
  const kept = { ...spec, task, summary: undefined, decision: undefined, creator: NOT_KEPT, requester: NOT_KEPT };
  return { ...receipt, spec: kept };
}

const NOT_KEPT = { username: '' };

/** The pod template is half of a Job, and its only reader is the Job controller. */
function withoutTemplate({ metadata, spec, status }: Job): Job {
  const { parallelism, activeDeadlineSeconds, ttlSecondsAfterFinished, suspend } = spec;
  return { metadata, spec: { parallelism, activeDeadlineSeconds, ttlSecondsAfterFinished, suspend }, status };
}
