// The invariants of hallpass (design, section 8): what holds whenever nothing is being changed. No I/O.

import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { FINALIZER, grantUidOf, isAgentUser, LABELS, SYSTEM_NAMESPACE } from '../api/names.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import { receiptName } from '../api/request.ts';
import type {
  ClusterRoleBinding,
  Job,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
  StoredPolicyRule,
} from '../kube/kinds.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { isOwnedBy, placesOfObject } from './drift.ts';

/** How long after a grant's end its dead-man Job may fire at the latest, in milliseconds: its slack, and whole seconds. */
const DEAD_MAN = 8_000;

/** Everything that the invariants are about, as of one moment. */
export type Everything = {
  grants: ParsedGrant[];
  /** Uids of those whose policies do without a dead man where it is refused. */
  deadManOptional: ReadonlySet<string>;
  receipts: ParsedReceipt[];
  identities: ParsedIdentity[];
  jobs: Job[];
  /** Those in hallpass's own namespace. */
  services: Service[];
  roles: Role[];
  clusterRoles: Role[];
  roleBindings: RoleBinding[];
  clusterRoleBindings: ClusterRoleBinding[];
  /** Those with the label of an identity. */
  serviceAccounts: ServiceAccount[];
};

type Receipt = ParsedReceipt & { spec: NonNullable<ParsedReceipt['spec']> };

type Seen = {
  now: number;
  grants: ParsedGrant[];
  deadManOptional: ReadonlySet<string>;
  receipts: Receipt[];
  jobs: Map<string, Job>;
  services: Map<string, Service>;
  roles: Map<string, Role>;
  bindings: Map<string, RoleBinding>;
};

/** What is wrong, as sentences; empty when every invariant holds. `now` is the API server's time. */
export function violations(all: Everything, now: number): string[] {
  const ours = <T extends KubeObject>(objects: T[]) =>
    new Map(objects.filter(isGrantObject).map((object) => [keyOf(object.metadata), object]));
  const receipts = all.receipts.flatMap((receipt) => {
    const { spec } = receipt;
    return spec ? [{ ...receipt, spec }] : [];
  });
  const seen: Seen = {
    now,
    grants: all.grants,
    deadManOptional: all.deadManOptional,
    receipts,
    jobs: ours(all.jobs),
    services: ours(all.services),
    roles: ours([...all.roles, ...all.clusterRoles]),
    bindings: ours([...all.roleBindings, ...all.clusterRoleBindings]),
  };
  const identityUids = new Set(all.identities.map(({ metadata }) => metadata.uid));
  return [
    ...seen.grants.flatMap((grant) => (grant.status.phase === 'Active' ? missing(grant, seen) : excess(grant, seen))),
    ...orphans(seen),
    ...records(seen),
    ...[...all.roleBindings, ...all.clusterRoleBindings].flatMap((binding) => strays(binding, seen)),
    ...all.serviceAccounts
      .filter(({ metadata }) => !identityUids.has(metadata.labels?.[LABELS.identityUid] ?? ''))
      .map(({ metadata }) => `ServiceAccount ${keyOf(metadata)} has outlived its identity`),
  ];
}

function isGrantObject({ metadata }: KubeObject): boolean {
  return metadata.labels?.[LABELS.grant] !== undefined || grantUidOf(metadata.name) !== undefined;
}

function uidOf({ metadata }: KubeObject): string {
  return metadata.labels?.[LABELS.grant] ?? grantUidOf(metadata.name) ?? '';
}

function openOf(grant: ParsedGrant, { receipts }: Seen): Receipt[] {
  return receipts.filter(({ spec, status }) => spec.grant.uid === grant.metadata.uid && status.outcome === undefined);
}

/**
 * 2, the first half: what an Active grant's receipt says was given exists, all of it and nothing else. A Job may be lacking where
 * the policies do without, and the grant's status says that it is.
 */
function missing(grant: ParsedGrant, seen: Seen): string[] {
  const name = `Active grant ${keyOf(grant.metadata)}`;
  const [receipt, ...more] = openOf(grant, seen);
  if (!receipt) return [`${name} has no open receipt`];
  const found: string[] = [];
  if (more.length > 0) found.push(`${name} has ${more.length + 1} open receipts`);
  if (receipt.spec.specHash !== grant.hash) found.push(`${name}'s receipt is for another spec`);
  if (!grant.metadata.finalizers?.includes(FINALIZER)) found.push(`${name} has no finalizer`);
  const end = Date.parse(receipt.spec.expiresAt);
  const told = grant.status.conditions?.some(({ reason }) => reason === 'DeadManLacking') ?? false;
  const without = told && seen.deadManOptional.has(grant.metadata.uid);
  if (end <= seen.now - 1_000) found.push(`${name} is past its end ${receipt.spec.expiresAt}`);
  for (const { namespace, rules } of receipt.spec.access) {
    const object = `hallpass-${grant.metadata.uid}`;
    const key = keyOf({ namespace, name: object });
    const deadMan = keyOf({ namespace: namespace ?? SYSTEM_NAMESPACE, name: object });
    const place = namespace ?? 'the whole cluster';
    const job = seen.jobs.get(deadMan);
    const service = seen.services.get(deadMan);
    const role = seen.roles.get(key);
    const binding = seen.bindings.get(key);
    const jobIsMissing = !job && (namespace === undefined || !without);
    if (jobIsMissing || !role || !binding) {
      found.push(
        `${name} lacks ${[jobIsMissing && 'Job', !role && 'Role', !binding && 'RoleBinding'].filter(Boolean)} in ${place}`,
      );
      continue;
    }
    if (JSON.stringify(role.rules.map(shape)) !== JSON.stringify(rules.map(shape))) {
      found.push(`${name}: its Role in ${place} has other rules than its receipt`);
    }
    const agent = `ServiceAccount ${grant.metadata.namespace}/hallpass-${receipt.spec.agent.name}`;
    const subjects = (binding.subjects ?? []).map((each) => `${each.kind} ${each.namespace}/${each.name}`);
    if (subjects.join() !== agent) found.push(`${name}: its binding in ${place} names ${subjects.join() || 'nobody'}`);
    if (
      binding.roleRef.kind !== (namespace === undefined ? 'ClusterRole' : 'Role') ||
      binding.roleRef.name !== role.metadata.name
    ) {
      found.push(`${name}: its binding in ${place} binds ${binding.roleRef.kind} ${binding.roleRef.name}`);
    }
    if (!isOwnedBy(binding, { job, service })) {
      found.push(`${name}: its binding in ${place} ${job ? 'would outlive its Job' : 'is held by others'}`);
    }
    if (!job) continue;
    if (job.spec.parallelism !== 0) found.push(`${name}: its Job in ${place} would run pods`);
    const fires = Date.parse(job.status?.startTime ?? '') + (job.spec.activeDeadlineSeconds ?? Infinity) * 1000;
    if (fires < end) found.push(`${name}: its Job in ${place} fires before its end`);
    if (fires > end + DEAD_MAN)
      found.push(`${name}: its Job in ${place} fires ${(fires - end) / 1000} s after its end`);
  }
  return found;
}

/** 2, the second half: what a grant that isn't Active has left. Suspended keeps Jobs and Roles, which give nothing. */
function excess(grant: ParsedGrant, seen: Seen): string[] {
  const { phase } = grant.status;
  const of = (objects: Map<string, KubeObject>, kind: string) =>
    [...objects.values()]
      .filter((object) => uidOf(object) === grant.metadata.uid)
      .map(({ metadata }) => `${phase ?? 'new'} grant ${keyOf(grant.metadata)} has a ${kind} in ${metadata.namespace}`);
  const bindings = of(seen.bindings, 'RoleBinding');
  const rest = [...of(seen.roles, 'Role'), ...of(seen.jobs, 'Job'), ...of(seen.services, 'Service')];
  return phase === 'Suspended' ? bindings : [...bindings, ...rest];
}

/** 4: nothing that was made for a grant is without that grant, and without a receipt that speaks of its namespace. */
function orphans(seen: Seen): string[] {
  const uids = new Set(seen.grants.map(({ metadata }) => metadata.uid));
  const found: string[] = [];
  for (const [kind, objects] of [
    ['Job', seen.jobs],
    ['Service', seen.services],
    ['Role', seen.roles],
    ['RoleBinding', seen.bindings],
  ] as const) {
    for (const [key, object] of objects) {
      const uid = uidOf(object);
      if (!uids.has(uid)) found.push(`${kind} ${key} has outlived its grant`);
      const receipt = seen.receipts.find(({ spec, status }) => spec.grant.uid === uid && status.outcome === undefined);
      const at = placesOfObject(kind, object.metadata.namespace);
      if (!receipt?.spec.access.some(({ namespace }) => at.includes(namespace))) {
        found.push(`${kind} ${key} is in no open receipt`);
      }
    }
  }
  for (const { metadata, spec, status } of seen.receipts) {
    if (status.outcome === undefined && !uids.has(spec.grant.uid)) {
      found.push(`receipt ${metadata.name} is open although grant ${keyOf(spec.grant)} is gone`);
    }
  }
  return found;
}

/** 5: who was ever given access has one receipt for it, which says the same; no request has two. */
function records({ grants, receipts }: Seen): string[] {
  const found: string[] = [];
  const requests = new Set<string>();
  for (const { metadata, spec, status } of receipts) {
    const request = `${keyOf(spec.grant)} ${spec.specHash}`;
    if (requests.has(request)) found.push(`request ${request} has two receipts`);
    requests.add(request);
    if (metadata.name !== receiptName(spec.grant, spec.specHash)) found.push(`receipt ${metadata.name} is misnamed`);
    if (status.outcome !== undefined && status.endedAt === undefined) {
      found.push(`receipt ${metadata.name} doesn't say when its grant ended`);
    }
  }
  for (const { metadata, status, hash } of grants) {
    if (status.startTime === undefined || status.specHash !== hash) continue;
    const name = `${status.phase} grant ${keyOf(metadata)}`;
    const receipt = receipts.find((each) => each.metadata.name === status.receipt);
    if (!receipt || receipt.spec.grant.uid !== metadata.uid) {
      found.push(`${name} had access and has no receipt`);
      continue;
    }
    for (const field of ['startTime', 'expiresAt'] as const) {
      if (status[field] !== receipt.spec[field]) {
        found.push(`${name}: ${field} is ${status[field]}, and ${receipt.spec[field]} by its receipt`);
      }
    }
    const open = receipt.status.outcome === undefined;
    if (open === isTerminal(status.phase)) found.push(`${name} has ${open ? 'an open' : 'a closed'} receipt`);
  }
  return found;
}

/** 1: nobody's binding but a grant's names an agent's ServiceAccount. */
function strays(binding: RoleBinding, { bindings }: Seen): string[] {
  const { metadata, subjects = [] } = binding;
  if (bindings.has(keyOf(metadata))) return [];
  const agents = subjects.filter(({ kind, name, namespace }) =>
    kind === 'ServiceAccount'
      ? name.startsWith('hallpass-') && namespace !== SYSTEM_NAMESPACE
      : kind === 'User' && isAgentUser(name),
  );
  return agents.map(
    ({ kind, namespace, name }) =>
      `binding ${keyOf(metadata)} gives standing access to ${kind === 'User' ? name : `${namespace}/${name}`}`,
  );
}

function shape({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }: StoredPolicyRule) {
  return [verbs, apiGroups ?? [], resources ?? [], resourceNames ?? [], nonResourceURLs ?? []];
}
