// Starts the controllers: queues, deadlines, workers.

import { isTerminal, PHASES, WARNING_REASONS } from '../api/conditions.ts';
import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { agentIdentities, type ParsedIdentity } from '../api/identity.ts';
import { Evaluator } from '../cel/evaluator.ts';
import { type Controller, startController } from '../kube/controller.ts';
import { Deadlines } from '../kube/deadlines.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { KubeMetrics } from '../kube/metrics.ts';
import { type KubeObject, keyOf, refOf } from '../kube/object.ts';
import { INITIAL, NORMAL, Queue, URGENT } from '../kube/queue.ts';
import { resync } from '../kube/resync.ts';
import { ENVIRONMENT } from '../policy/environment.ts';
import { AuthorCheck } from './authors.ts';
import { type Cluster, inTwoSteps } from './cluster.ts';
import { DeadMen } from './dead-man.ts';
import { GrantReconciler } from './grant.ts';
import { GrantActivation } from './grant-active.ts';
import { GrantRecord } from './grant-record.ts';
import type { GuardWatch } from './guards.ts';
import { IdentityReconciler } from './identity.ts';
import { Issuer } from './issue.ts';
import { sweep } from './janitor.ts';
import type { GrantMetrics } from './metrics.ts';
import { retire } from './receipt.ts';
import { Refusals } from './refusals.ts';
import { Repairs } from './repairs.ts';
import { RightsWatch } from './rights-watch.ts';
import { tellResponses } from './signal.ts';
import { Stranded } from './stranded.ts';
import { Tasks } from './tasks.ts';
import { watchChanges } from './watches.ts';
import { heldBindings } from './withdraw.ts';

/** A reconcile that takes longer than this is given up, in milliseconds. */
const RECONCILE_TIMEOUT = 60_000;

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

/**
 * Starts every controller, on the caches that have synced first; until the rest have, grants that are due lose their
 * bindings and nothing else is done. `withdrawn` resolves when all that were due at the start have. `failed` resolves with
 * why a controller could not start. Stopping waits for what is being done.
 */
export function startControllers(o: Options): {
  withdrawn: Promise<void>;
  failed: Promise<unknown>;
  stop(): Promise<void>;
} {
  const { cluster, guards, events, kubeMetrics, metrics } = o;
  const { caches, clock, log } = cluster;
  const now = () => clock.now();
  const { rest } = inTwoSteps(caches);
  const complete = () => rest.every(({ hasSynced }) => hasSynced);
  const queueOf = (name: string) => new Queue({ metrics: kubeMetrics.queue(name) });
  const queues = {
    grants: queueOf('grants'),
    identities: queueOf('identities'),
    orphans: queueOf('orphans'),
    receipts: queueOf('receipts'),
    rights: queueOf('rights'),
    reviewers: queueOf('reviewers'),
    signals: queueOf('signals'),
  };
  const lapses = new Deadlines({ now, onDue: (key) => queues.grants.add(key, { priority: URGENT }) });
  const identityEnds = new Deadlines({ now, onDue: (key) => queues.identities.add(key, { priority: URGENT }) });
  const retirements = new Deadlines({ now, onDue: (key) => queues.receipts.add(key) });
  const signalEnds = new Deadlines({ now, onDue: (key) => queues.signals.add(key) });

  const authors = new AuthorCheck(cluster.client);
  const rights = new RightsWatch({ cluster, queues, forget: () => authors.forget() });
  const expressions = new Evaluator({ environment: ENVIRONMENT, now: () => now().getTime() });
  const record = new GrantRecord(cluster, events);
  const issuer = new Issuer(cluster, new DeadMen(cluster, o.image));
  const refusals = new Refusals({ now: () => now().getTime(), tryMaking: (grant) => issuer.tryMaking(grant) });
  const repairs = new Repairs();
  const tasks = new Tasks({
    client: cluster.client,
    log,
    wake: (key, ended) => queues.grants.add(key, { priority: ended ? URGENT : NORMAL }),
  });
  const grants = new GrantReconciler({
    cluster,
    record,
    activation: new GrantActivation({ cluster, issuer, record, metrics, refusals, repairs }),
    authors,
    expressions,
    rights,
    deadlines: lapses,
    metrics,
    refusals,
    repairs,
    stranded: new Stranded({ cluster, resource: agentGrants, wake: (key) => queues.grants.add(key) }),
    tasks,
    guardProblems: () => guards.problems,
    complete,
  });
  const identities = new IdentityReconciler({
    cluster,
    deadlines: identityEnds,
    events,
    metrics,
    reviewers: authors,
    stranded: new Stranded({ cluster, resource: agentIdentities, wake: (key) => queues.identities.add(key) }),
  });

  const { receiptRetention } = o;
  watchChanges({ cluster, guards, tasks, queues, rights, lapses, retirements, signalEnds, receiptRetention });
  metrics.phases(() => countPhases(caches.grants.list()));
  metrics.warned(() => caches.grants.list().filter(isWarned).length);
  metrics.heldBindings(() => heldBindings(caches));

  /** Lines of the log name what they are about as everywhere. */
  const about: Record<keyof typeof queues, (key: string) => Record<string, unknown>> = {
    grants: (key) => ({ grant: key, uid: caches.grants.get(refOf(key))?.metadata.uid }),
    identities: (key) => ({ identity: key }),
    orphans: (uid) => ({ uid }),
    receipts: (key) => ({ receipt: key }),
    rights: (key) => ({ grant: key }),
    reviewers: () => ({}),
    signals: (key) => ({ signal: key }),
  };
  const start = (
    name: keyof typeof queues,
    workers: number,
    reconcile: Parameters<typeof startController>[0]['reconcile'],
    urgent?: (key: string) => boolean,
  ) =>
    startController({
      name,
      queue: queues[name],
      workers,
      reconcile,
      log,
      metrics: kubeMetrics,
      timeoutMs: RECONCILE_TIMEOUT,
      sources: name === 'grants' ? [] : rest,
      urgent,
      urgentWorkers: name === 'grants' ? 4 : 0,
      about: about[name],
    });
  const again = (queue: Queue, objects: KubeObject[]) => {
    for (const { metadata } of objects) queue.add(keyOf(metadata), { priority: INITIAL });
  };
  const endResyncs = [
    resync(() => again(queues.grants, caches.grants.list())),
    resync(() => again(queues.identities, caches.identities.list())),
  ];
  if (!complete()) {
    queues.grants.onlyFrom(URGENT);
    Promise.all(rest.map((cache) => cache.synced())).then(
      () => {
        log.info('all that a decision rests on is known; grants are given from now on');
        queues.grants.onlyFrom();
      },
      // Stopped before they had.
      () => {},
    );
  }
  const controllers: Controller[] = [
    start(
      'grants',
      32,
      (key, call) => grants.reconcile(key, call),
      (key) => grants.isUrgent(key),
    ),
    start('identities', 8, (key) => identities.reconcile(key)),
    // What nobody stands for any more has to go, too.
    start(
      'orphans',
      4,
      (uid) => sweep(cluster, metrics, (key) => queues.grants.add(key), uid),
      () => true,
    ),
    start('signals', 2, (key) => tellResponses(cluster, signalEnds, key)),
    start('receipts', 2, (key) => retire(cluster, receiptRetention, key)),
    start('rights', 2, (key) => rights.lookAgain(key)),
    start('reviewers', 1, async () => {
      authors.forget();
      for (const { metadata } of caches.grants.list().filter(waitsForReviewers)) queues.grants.add(keyOf(metadata));
      for (const { metadata } of caches.identities.list().filter(isDue)) queues.identities.add(keyOf(metadata));
      return undefined;
    }),
  ];
  return {
    withdrawn: queues.grants.idle(),
    failed: new Promise((resolve) => {
      for (const { stopped } of controllers) stopped.catch(resolve);
    }),
    async stop() {
      for (const end of endResyncs) end();
      tasks.stop();
      rights.stop();
      for (const deadlines of [lapses, identityEnds, retirements, signalEnds]) deadlines.stop();
      await Promise.all(controllers.map((controller) => controller.stop()));
      await expressions.stop();
    },
  };
}

/** Whether a policy that only warns would refuse the grant. */
function isWarned({ status }: ParsedGrant): boolean {
  return (status.warnings ?? []).some(({ reason }) => !WARNING_REASONS.some((own) => own === reason));
}

/** Whether somebody has to certify the identity, who may have been let to only now. */
function isDue({ status }: ParsedIdentity): boolean {
  return (status.conditions ?? []).some(({ type, status }) => type === 'ReviewDue' && status === 'True');
}

/** Whether its verdict hangs on what its reviewers may do. */
function waitsForReviewers({ status }: ParsedGrant): boolean {
  const waits = ['ApprovalMissing', 'SuspendedByReview', 'AgentSuspended'];
  return !isTerminal(status.phase) && (status.reasons ?? []).some(({ reason }) => waits.includes(reason));
}

/** How many grants are in each phase. */
export function countPhases(grants: ParsedGrant[]): Map<string, number> {
  // Every phase, also without grants: a series that isn't there is no zero to a monitoring system.
  const counts = new Map(Object.keys(PHASES).map((phase) => [phase, 0]));
  for (const { status } of grants) {
    const phase = status.phase ?? 'Pending';
    counts.set(phase, (counts.get(phase) ?? 0) + 1);
  }
  return counts;
}
