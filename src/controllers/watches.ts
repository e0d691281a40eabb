// Which change in the cluster concerns which key of which queue. A change re-decides exactly what it touches, and what
// hallpass wrote itself is no news to the one who wrote it.

import { isDeepStrictEqual } from 'node:util';
import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import {
  GRANTABLE_CLUSTER_ROLE,
  GRANTABLE_ROLE,
  grantUidOf,
  grantUidOfBinding,
  LABELS,
  SYSTEM_NAMESPACE,
  serviceAccountName,
} from '../api/names.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { ReviewSpec } from '../api/review.ts';
import type { CacheEvent } from '../kube/cache.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import type { Job, RoleBinding } from '../kube/kinds.ts';
import { type KubeObject, keyOf, refOf } from '../kube/object.ts';
import { INITIAL, NORMAL, NOTE, type Queue, URGENT } from '../kube/queue.ts';
import { inTurns } from '../kube/turns.ts';
import { policySelects } from '../policy/policies.ts';
import { subjectKey, subjectKeysOf } from '../policy/standing.ts';
import {
  aboutKey,
  agentKey,
  type Cluster,
  EVERYTHING,
  enabledRole,
  grantsConcernedBy,
  INDEX,
  limitsActiveGrants,
  placeKey,
} from './cluster.ts';
import type { GuardWatch } from './guards.ts';
import { IdentityCounts } from './identity-counts.ts';
import { removableAt } from './receipt.ts';
import type { RightsWatch } from './rights-watch.ts';
import type { Tasks } from './tasks.ts';

/** How long changes are gathered before grants that wait for their reviewers' rights are looked at again, in milliseconds. */
const SETTLE = 1_000;

/** Subscribes to every cache; from here on the queues fill, first with all that exists. */
export function watchChanges(o: {
  cluster: Cluster;
  guards: GuardWatch;
  tasks: Tasks;
  queues: Record<'grants' | 'identities' | 'orphans' | 'receipts' | 'reviewers' | 'signals', Queue>;
  rights: RightsWatch;
  lapses: Deadlines;
  retirements: Deadlines;
  signalEnds: Deadlines;
  receiptRetention: number;
}): void {
  const { cluster, guards, tasks, queues, rights, lapses, retirements, signalEnds } = o;
  const { caches, clock } = cluster;
  const now = () => clock.now();
  const counts = new IdentityCounts(queues);

  const enqueueGrants = (found: ParsedGrant[], priority = NORMAL) => {
    // There may be thousands, and the first need not wait for the last.
    inTurns(found, ({ metadata }) => queues.grants.add(keyOf(metadata), { priority }));
  };
  const isOpen = ({ status }: ParsedGrant) => !isTerminal(status.phase);
  const enqueueOpen = () => enqueueGrants(caches.grants.list().filter(isOpen));
  const openIn = (place: string | undefined) => caches.grants.byIndex(INDEX.place, placeKey(place)).filter(isOpen);
  /** The grants that a signal concerns, by what it is about. */
  const grantsAbout = (about: string) => {
    if (about === EVERYTHING) return caches.grants.list();
    return about.includes('/') ? caches.grants.byIndex(INDEX.agent, about) : grantsConcernedBy(caches, about);
  };
  /** Which policies respond to signals, and how, may be another now. */
  const enqueueSignals = (namespaces: Set<string>) => {
    for (const { metadata } of caches.signals.list()) {
      if (namespaces.has(metadata.namespace ?? '')) queues.signals.add(keyOf(metadata));
    }
  };
  const priorityOf = ({ initial }: { initial: boolean }) => (initial ? INITIAL : NORMAL);
  /** Changes of rights are many and their reader is rare: gathered, then looked at once. */
  const rightsChanged = () => queues.reviewers.add('waiting', { afterMs: SETTLE });

  /** Others of the same agent may have waited for this one's end; and so may an identity that is going. */
  const slotFreed = ({ spec }: ParsedReceipt) => {
    if (!spec) return;
    const key = `${spec.grant.namespace}/${spec.agent.name}`;
    const identity = caches.identities.get(refOf(key));
    if (!identity) return;
    if (identity.metadata.deletionTimestamp || isExpired(identity, now())) queues.identities.add(key);
    if (!limitsActiveGrants(caches, identity)) return;
    const waits = ['Pending', 'Suspended'];
    enqueueGrants(caches.grants.byIndex(INDEX.agent, key).filter(({ status }) => waits.includes(status.phase ?? '')));
  };

  /** Something that was made for a grant changed: its own reconciler judges, or the janitor when there is no such grant. */
  const touchGrant = (uid: string, event: { initial: boolean }, priority = priorityOf(event)) => {
    const known = caches.grants.byIndex(INDEX.grantUid, uid);
    if (known.length > 0) enqueueGrants(known, priority);
    else queues.orphans.add(uid, { priority });
  };
  /** The same for what hallpass may have written itself, which is news only where the grant went meanwhile. */
  const touchGrantOf = (uid: string, event: { initial: boolean; own: boolean }, priority = priorityOf(event)) => {
    if (!event.own || caches.grants.byIndex(INDEX.grantUid, uid).length === 0) touchGrant(uid, event, priority);
  };
  const touched = <T extends KubeObject>(event: CacheEvent<T>, priority = priorityOf(event)): boolean => {
    const owners = new Set(statesOf(event).flatMap(ownersOf));
    for (const uid of owners) touchGrantOf(uid, event, priority);
    return owners.size > 0;
  };

  const enqueueIdentities = (which: (identity: ParsedIdentity) => boolean) => {
    for (const { metadata } of caches.identities.list().filter(which)) queues.identities.add(keyOf(metadata));
  };
  /** Rights that an agent, or a reviewer, has by others' bindings may have changed. */
  const bindingChanged = (event: CacheEvent<RoleBinding>) => {
    if (event.initial) return;
    rightsChanged();
    const subjects = statesOf(event).flatMap(({ subjects = [] }) => subjects);
    const named = new Set(subjects.map(subjectKey).filter(mayBeAgents));
    if (named.size === 0) return;
    enqueueIdentities(({ metadata }) =>
      subjectKeysOf({ namespace: metadata.namespace ?? '', name: metadata.name }).some((key) => named.has(key)),
    );
  };

  caches.grants.subscribe((event) => {
    const { object, previous, type, own } = event;
    rights.grantChanged(event);
    const key = keyOf(object.metadata);
    if (type === 'deleted') tasks.forget(key);
    else tasks.follow(object);
    const due = dueAt(object);
    // What ended while nobody looked must not wait for what didn't.
    const ending = object.metadata.deletionTimestamp !== undefined || (due !== undefined && due <= now());
    if (!own) queues.grants.add(key, { priority: ending ? URGENT : holdsFirst(event) });
    if (type === 'deleted') {
      queues.orphans.add(object.metadata.uid);
      lapses.set(key, undefined);
    } else if (due !== undefined && !own && !ending) {
      // Until its decision says when to look again; what hallpass wrote itself follows one that has said so.
      lapses.set(key, due);
    }
    if (previous?.status.phase !== object.status.phase || type === 'deleted') {
      if (!event.initial) counts.changed(agentKey(object));
    }
  });

  caches.identities.subscribe((event) => {
    const key = keyOf(event.object.metadata);
    if (!event.own) queues.identities.add(key, { priority: priorityOf(event) });
    if (!concernsGrants(event)) return;
    enqueueGrants(caches.grants.byIndex(INDEX.agent, key), priorityOf(event));
    // A grant whose spec can't be read any more is found by its receipt.
    for (const { spec, status } of caches.receipts.byIndex(INDEX.agent, key)) {
      if (spec && status.outcome === undefined) touchGrant(spec.grant.uid, event);
    }
  });

  caches.reviews.subscribe(({ object, initial }) => {
    if (initial || !object.spec) return;
    const { target, decision } = object.spec;
    const ref = { namespace: object.metadata.namespace, name: target.name };
    if (decision === 'Certify') {
      // What that changes for its grants, the identity's status will say.
      queues.identities.add(keyOf(ref));
      return;
    }
    const ofAgent = target.kind === 'AgentIdentity';
    const found = ofAgent ? caches.grants.byIndex(INDEX.agent, keyOf(ref)) : [caches.grants.get(ref) ?? []].flat();
    enqueueGrants(found.filter(isOpen), isStop(decision) ? URGENT : NORMAL);
  });

  caches.signals.subscribe(({ object, previous, type, initial, own }) => {
    const key = keyOf(object.metadata);
    if (type === 'deleted') signalEnds.set(key, undefined);
    else if (!own) queues.signals.add(key, { priority: priorityOf({ initial }) });
    // All that ever changes of one is whether it is there.
    const { deletionTimestamp } = object.metadata;
    if (initial || (type === 'updated' && deletionTimestamp === previous?.metadata.deletionTimestamp)) return;
    const lifted = type === 'deleted' || deletionTimestamp !== undefined;
    enqueueGrants(grantsAbout(aboutKey(object)).filter(isOpen), lifted ? NORMAL : URGENT);
  });

  caches.serviceAccounts.subscribe((event) => {
    if (event.own) return;
    const { namespace, name } = event.object.metadata;
    const identity = name.slice(serviceAccountName('').length);
    queues.identities.add(keyOf({ namespace, name: identity }), { priority: priorityOf(event) });
  });

  caches.receipts.subscribe((event) => {
    const { object, type } = event;
    const retireAt = type === 'deleted' ? undefined : removableAt(object, o.receiptRetention);
    retirements.set(keyOf(object.metadata), retireAt === undefined ? undefined : new Date(retireAt));
    if (!object.spec) return;
    touchGrantOf(object.spec.grant.uid, event);
    if (object.status.outcome !== undefined || type === 'deleted') slotFreed(object);
  });

  caches.jobs.subscribe((event) => void touched(event, isStatusOnly(event) ? NOTE : undefined));
  caches.services.subscribe((event) => void touched(event));
  caches.cronJobs.subscribe(({ initial }) => {
    if (!initial) enqueueGrants(openIn(undefined));
  });
  caches.roles.subscribe((event) => {
    rights.roleChanged('Role', event);
    if (!touched(event) && !event.initial) rightsChanged();
  });
  const aBindingChanged = (event: CacheEvent<RoleBinding>) => {
    const { object, initial } = event;
    const states = statesOf(event);
    rights.bindingChanged(event);
    // One that only has the name of a grant's may be somebody's standing access.
    if (touched(event) && states.every(isGrants)) return;
    if (states.some(enabledRole)) {
      const { namespace } = object.metadata;
      // In hallpass's own namespace it may be what the dead men of the whole cluster need.
      enqueueGrants(namespace ? grantsConcernedBy(caches, namespace) : openIn(undefined), priorityOf(event));
      if (!initial && namespace) enqueueIdentities(({ metadata }) => metadata.namespace === namespace);
    }
    bindingChanged(event);
  };
  caches.roleBindings.subscribe(aBindingChanged);
  caches.clusterRoleBindings.subscribe(aBindingChanged);
  caches.clusterRoles.subscribe((event) => {
    rights.roleChanged('ClusterRole', event);
    if (touched(event) || event.initial) return;
    if (event.object.metadata.name === GRANTABLE_ROLE) enqueueOpen();
    if (event.object.metadata.name === GRANTABLE_CLUSTER_ROLE) enqueueGrants(openIn(undefined));
    rightsChanged();
  });
  caches.namespaces.subscribe((event) => {
    if (event.initial) return;
    const { name } = event.object.metadata;
    enqueueGrants(grantsConcernedBy(caches, name));
    enqueueSignals(new Set([name]));
    // With hallpass's own goes the record of everything, and soon hallpass's rights: Kubernetes begins to delete what is in a
    // namespace 5 s after it was asked to (namespaceDeletionGracePeriod in pkg/controller/namespace/namespace_controller.go).
    if (name === SYSTEM_NAMESPACE) enqueueGrants(caches.grants.list().filter(isOpen), URGENT);
    if (event.type === 'deleted') {
      // What is in it still was left there by force.
      enqueueGrants(caches.grants.list().filter(({ metadata }) => metadata.namespace === name));
      enqueueIdentities(({ metadata }) => metadata.namespace === name);
    }
    if (event.type !== 'added') return;
    // What was left in one that was finalized by force can be removed now.
    for (const { metadata } of caches.roleBindings.list()) {
      const uid = metadata.namespace === name ? grantUidOf(metadata.name) : undefined;
      if (uid !== undefined) touchGrant(uid, event);
    }
  });
  caches.policies.subscribe(({ object, previous, initial }) => {
    if (initial) return;
    // What it selected before may be guarded by nothing now.
    const selected = caches.namespaces
      .list()
      .filter(({ metadata }) => [object, previous ?? object].some((policy) => policySelects(policy, metadata.labels)));
    enqueueSignals(new Set([SYSTEM_NAMESPACE, ...selected.map(({ metadata }) => metadata.name)]));
    // What holds in the whole cluster is held against every policy. There may be thousands, and the first need not wait until all
    // are found.
    inTurns([undefined, ...selected.map(({ metadata }) => metadata.name)], (place) => {
      const touched = openIn(place);
      enqueueGrants(touched);
      // What their agents hold may be called sensitive now, or no longer.
      for (const key of new Set(touched.map(agentKey))) counts.changed(key);
    });
  });
  guards.onChange(enqueueOpen);
}

/** What an event is about, as it is and as it was, each once: of what this process deleted itself they are the same. */
function statesOf<T extends KubeObject>({ object, previous = object }: CacheEvent<T>): T[] {
  return previous === object ? [object] : [object, previous];
}

/** Grants that an object of a grant's name concerns: that one, whatever its labels say, and the one that a label claims it for. */
function ownersOf({ metadata }: KubeObject): string[] {
  const uid = grantUidOf(metadata.name);
  if (uid === undefined) return [];
  const claimed = metadata.labels?.[LABELS.grant];
  return claimed === undefined || claimed === uid ? [uid] : [uid, claimed];
}

function isGrants(binding: RoleBinding): boolean {
  return grantUidOfBinding(binding) !== undefined;
}

/** What hallpass finds at its start: access that is out, which may have to go, is looked at before any is given. */
function holdsFirst({ initial, object }: CacheEvent<ParsedGrant>): number {
  return initial && object.status.phase !== 'Active' ? INITIAL : NORMAL;
}

/** A Job that has started, say: nobody changed what it is. */
function isStatusOnly({ initial, object, previous }: CacheEvent<Job>): boolean {
  const { generation } = object.metadata;
  return !initial && generation !== undefined && generation === previous?.metadata.generation;
}

/** Whether a review takes access away, which passes everything else. */
function isStop(decision: ReviewSpec['decision']): boolean {
  return decision === 'Suspend' || decision === 'Revoke' || decision === 'Deny';
}

/** When a grant that isn't over ends. */
export function dueAt({ status }: ParsedGrant): Date | undefined {
  return status.expiresAt === undefined || isTerminal(status.phase) ? undefined : new Date(status.expiresAt);
}

/** Most bindings name people; they are told apart without looking at every identity. */
function mayBeAgents(subject: string): boolean {
  return /^(ServiceAccount |User system:serviceaccount:|Group system:(serviceaccounts|authenticated))/.test(subject);
}

function isExpired({ spec }: ParsedIdentity, now: Date): boolean {
  return spec?.expiresAt !== undefined && new Date(spec.expiresAt) <= now;
}

/** Whether a change of an identity can change a decision about its grants; its counts can't. */
function concernsGrants({ type, object, previous }: CacheEvent<ParsedIdentity>): boolean {
  return (
    type !== 'updated' ||
    previous?.metadata.generation !== object.metadata.generation ||
    previous?.metadata.deletionTimestamp !== object.metadata.deletionTimestamp ||
    // Conditions may go by them.
    !isDeepStrictEqual(previous?.metadata.labels, object.metadata.labels) ||
    previous?.status.serviceAccount?.uid !== object.status.serviceAccount?.uid ||
    previous?.status.certifiedAt !== object.status.certifiedAt
  );
}
