// Wires the controllers: which change in the cluster concerns which key of which queue. A change re-decides exactly
// what it touches, and what hallpass wrote itself is no news to the one who wrote it.

import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { GRANTABLE_ROLE, LABELS, serviceAccountName } from '../api/names.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { CacheEvent } from '../kube/cache.ts';
import { type Controller, startController } from '../kube/controller.ts';
import { Deadlines } from '../kube/deadlines.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { RoleBinding } from '../kube/kinds.ts';
import type { KubeMetrics } from '../kube/metrics.ts';
import { type KubeObject, keyOf, refOf } from '../kube/object.ts';
import { INITIAL, NORMAL, Queue, URGENT } from '../kube/queue.ts';
import { subjectKeysOf } from '../policy/standing.ts';
import { AuthorCheck } from './authors.ts';
import { agentKey, type Cluster, enabledRole, INDEX } from './cluster.ts';
import { GrantReconciler } from './grant.ts';
import type { GuardWatch } from './guards.ts';
import { IdentityReconciler } from './identity.ts';
import { Issuer } from './issue.ts';
import { sweep } from './janitor.ts';
import type { GrantMetrics } from './metrics.ts';
import { removableAt, retire } from './receipt.ts';

/** A reconcile that takes longer than this is given up, in milliseconds. */
const RECONCILE_TIMEOUT = 60_000;

/** How long changes are gathered before an identity's counts, or grants that wait for their authors' rights, are looked at again. */
const SETTLE = 1_000;

type Options = {
  cluster: Cluster;
  guards: GuardWatch;
  events: EventRecorder;
  kubeMetrics: KubeMetrics;
  metrics: GrantMetrics;
  /** Named by the dead-man Jobs. */
  image: string;
  /** How long receipts outlive their grants, in milliseconds. */
  receiptRetention: number;
};

/** Starts every controller on caches that have synced. Stopping waits for what is being done. */
export function startControllers(o: Options): { stop(): Promise<void> } {
  const { cluster, guards, events, kubeMetrics, metrics } = o;
  const { caches, clock, log } = cluster;
  const now = () => clock.now();
  const queueOf = (name: string) => new Queue({ metrics: kubeMetrics.queue(name) });
  const queues = {
    grants: queueOf('grants'),
    identities: queueOf('identities'),
    orphans: queueOf('orphans'),
    receipts: queueOf('receipts'),
    authors: queueOf('authors'),
  };
  const lapses = new Deadlines({ now, onDue: (key) => queues.grants.add(key, { priority: URGENT }) });
  const identityEnds = new Deadlines({ now, onDue: (key) => queues.identities.add(key, { priority: URGENT }) });
  const retirements = new Deadlines({ now, onDue: (key) => queues.receipts.add(key) });

  const grants = new GrantReconciler({
    cluster,
    issuer: new Issuer(cluster, o.image),
    authors: new AuthorCheck(cluster.client),
    deadlines: lapses,
    events,
    metrics,
    guardProblems: () => guards.problems,
  });
  const identities = new IdentityReconciler({ cluster, deadlines: identityEnds, events });

  const enqueueGrants = (found: ParsedGrant[], priority = NORMAL) => {
    for (const { metadata } of found) queues.grants.add(keyOf(metadata), { priority });
  };
  const enqueueOpen = () => enqueueGrants(caches.grants.list().filter(({ status }) => !isTerminal(status.phase)));
  const priorityOf = ({ initial }: { initial: boolean }) => (initial ? INITIAL : NORMAL);
  /** Changes of rights are many and their reader is rare: gathered, then looked at once. */
  const rightsChanged = () => queues.authors.add('waiting', { afterMs: SETTLE });

  caches.grants.subscribe((event) => {
    const { object, previous, type, own } = event;
    const key = keyOf(object.metadata);
    if (type === 'deleted') {
      queues.orphans.add(object.metadata.uid);
      lapses.set(key, undefined);
    } else if (dueAt(object) !== undefined) {
      // Before its first decision: what lapsed while nobody looked must not wait for those that didn't.
      lapses.set(key, dueAt(object));
    }
    if (!own) queues.grants.add(key, { priority: priorityOf(event) });
    if (previous?.status.phase !== object.status.phase || type === 'deleted') {
      queues.identities.add(agentKey(object), { priority: priorityOf(event), afterMs: SETTLE });
    }
  });

  caches.identities.subscribe((event) => {
    const key = keyOf(event.object.metadata);
    if (!event.own) queues.identities.add(key, { priority: priorityOf(event) });
    if (concernsGrants(event)) enqueueGrants(caches.grants.byIndex(INDEX.agent, key), priorityOf(event));
  });

  caches.serviceAccounts.subscribe((event) => {
    if (event.own) return;
    const { namespace, name } = event.object.metadata;
    const identity = name.slice(serviceAccountName('').length);
    queues.identities.add(keyOf({ namespace, name: identity }), { priority: priorityOf(event) });
  });

  caches.receipts.subscribe((event) => {
    const { object, own, type } = event;
    const retireAt = type === 'deleted' ? undefined : removableAt(object, o.receiptRetention);
    retirements.set(keyOf(object.metadata), retireAt === undefined ? undefined : new Date(retireAt));
    if (!object.spec) return;
    if (!own) touchGrant(object.spec.grant.uid, event);
    if (object.status.outcome !== undefined || type === 'deleted') slotFreed(object);
  });

  /** Others of the same agent may have waited for this one's end; and so may an identity that is going. */
  const slotFreed = ({ spec }: ParsedReceipt) => {
    if (!spec) return;
    const key = `${spec.grant.namespace}/${spec.agent.name}`;
    const identity = caches.identities.get(refOf(key));
    if (!identity) return;
    if (identity.metadata.deletionTimestamp || isExpired(identity, now())) queues.identities.add(key);
    if (identity.spec?.boundary?.maxActiveGrants === undefined) return;
    enqueueGrants(caches.grants.byIndex(INDEX.agent, key).filter(({ status }) => status.phase === 'Pending'));
  };

  /** Something that was made for a grant changed: its own reconciler judges, or the janitor when there is no such grant. */
  const touchGrant = (uid: string, event: { initial: boolean }) => {
    const known = caches.grants.byIndex(INDEX.grantUid, uid);
    if (known.length > 0) enqueueGrants(known, priorityOf(event));
    else queues.orphans.add(uid, { priority: priorityOf(event) });
  };
  const touched = <T extends KubeObject>(event: CacheEvent<T>): boolean => {
    const uid = event.object.metadata.labels?.[LABELS.grant] ?? event.previous?.metadata.labels?.[LABELS.grant];
    if (uid === undefined) return false;
    if (!event.own) touchGrant(uid, event);
    return true;
  };

  caches.jobs.subscribe((event) => void touched(event));
  caches.roles.subscribe((event) => {
    if (!touched(event) && !event.initial) rightsChanged();
  });
  caches.roleBindings.subscribe((event) => {
    if (touched(event)) return;
    const { object, previous, initial } = event;
    if (enabledRole(object) || (previous && enabledRole(previous))) {
      const namespace = object.metadata.namespace ?? '';
      enqueueGrants(caches.grants.byIndex(INDEX.target, namespace), priorityOf(event));
      if (!initial) enqueueIdentities(({ metadata }) => metadata.namespace === namespace);
    }
    bindingChanged(event);
  });
  caches.clusterRoleBindings.subscribe((event) => bindingChanged(event));
  caches.clusterRoles.subscribe(({ object, initial }) => {
    if (initial) return;
    if (object.metadata.name === GRANTABLE_ROLE) enqueueOpen();
    rightsChanged();
  });
  caches.namespaces.subscribe((event) => {
    if (event.initial) return;
    enqueueGrants(caches.grants.byIndex(INDEX.target, event.object.metadata.name));
  });
  guards.onChange(enqueueOpen);

  const enqueueIdentities = (which: (identity: ParsedIdentity) => boolean) => {
    for (const { metadata } of caches.identities.list().filter(which)) queues.identities.add(keyOf(metadata));
  };
  /** Rights that an agent, or the author of a waiting grant, has by others' bindings may have changed. */
  const bindingChanged = ({ object, previous, initial }: CacheEvent<RoleBinding>) => {
    if (initial) return;
    rightsChanged();
    const subjects = [...(object.subjects ?? []), ...(previous?.subjects ?? [])];
    const named = new Set(subjects.map(({ kind, namespace, name }) => `${kind} ${kind === 'ServiceAccount' ? `${namespace ?? ''}/` : ''}${name}`));
    enqueueIdentities(({ metadata }) =>
      subjectKeysOf({ namespace: metadata.namespace ?? '', name: metadata.name }).some((key) => named.has(key)),
    );
  };

  metrics.phases(() => countPhases(caches.grants.list()));

  const start = (name: keyof typeof queues, workers: number, reconcile: Parameters<typeof startController>[0]['reconcile']) =>
    startController({
      name,
      queue: queues[name],
      workers,
      reconcile,
      log,
      metrics: kubeMetrics,
      timeoutMs: RECONCILE_TIMEOUT,
      urgent: name === 'grants' ? (key) => isDue(caches.grants.get(refOf(key)), now()) : undefined,
    });
  const controllers: Controller[] = [
    start('grants', 32, (key, call) => grants.reconcile(key, call)),
    start('identities', 8, (key) => identities.reconcile(key)),
    start('orphans', 4, (uid) => sweep(cluster, metrics, (key) => queues.grants.add(key), uid)),
    start('receipts', 2, (key) => retire(cluster, o.receiptRetention, key)),
    start('authors', 1, async () => enqueueGrants(caches.grants.list().filter(waitsForAuthors)) ?? undefined),
  ];
  return {
    async stop() {
      for (const deadlines of [lapses, identityEnds, retirements]) deadlines.stop();
      await Promise.all(controllers.map((controller) => controller.stop()));
    },
  };
}

/** When a grant that isn't over ends. */
function dueAt({ status }: ParsedGrant): Date | undefined {
  return status.expiresAt === undefined || isTerminal(status.phase) ? undefined : new Date(status.expiresAt);
}

function isDue(grant: ParsedGrant | undefined, now: Date): boolean {
  const due = grant && dueAt(grant);
  return due !== undefined && due <= now;
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
    previous?.status.serviceAccount?.uid !== object.status.serviceAccount?.uid
  );
}

function waitsForAuthors({ status }: ParsedGrant): boolean {
  const waits = ['CreatorLacksPermission', 'RequesterLacksPermission'];
  return status.phase === 'Pending' && (status.reasons ?? []).some(({ reason }) => waits.includes(reason));
}

function countPhases(grants: ParsedGrant[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { status } of grants) {
    const phase = status.phase ?? 'Pending';
    counts.set(phase, (counts.get(phase) ?? 0) + 1);
  }
  return counts;
}
