// What is measured about traffic with the API server, watches, queues and reconciles. No label has unbounded values.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** How one reconcile ended. */
export type ReconcileResult = 'success' | 'error' | 'conflict' | 'requeue_after' | 'terminal_error' | 'timeout';

/** What one queue reports. Seconds everywhere. */
export type QueueMetrics = {
  added: () => void;
  retried: () => void;
  /** From ready to handed out. */
  waited: (seconds: number) => void;
  /** From handed out to done. */
  worked: (seconds: number) => void;
  /** What is read at each scrape. */
  state: (read: () => QueueState) => void;
};

/** What a queue holds at one moment: keys that are ready, and how long those being worked on have taken, summed and at most. */
export type QueueState = { ready: number; unfinishedSeconds: number; longestSeconds: number };

/** What one controller reports. */
export type ControllerMetrics = {
  reconciled: (result: ReconcileResult, seconds: number) => void;
  /** How many reconciles run, read at each scrape. */
  running: (read: () => number) => void;
};

/** Why a watch had to be opened again. */
export type WatchRestart = 'ended' | 'expired' | 'silent' | 'error';

/** All that `kube` measures. */
export type KubeMetrics = {
  /** `code` is the HTTP status, or `error` when no answer came. `resource` is a plural, with its subresource. */
  request: (method: string, resource: string, code: string, seconds: number) => void;
  requestRetried: (resource: string) => void;
  listed: (resource: string) => void;
  watchRestarted: (resource: string, reason: WatchRestart) => void;
  watchEvent: (resource: string, type: string) => void;
  parseFailed: (resource: string) => void;
  handlerFailed: (resource: string) => void;
  cached: (resource: string, change: number) => void;
  queue: (name: string) => QueueMetrics;
  controller: (name: string) => ControllerMetrics;
};

const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const workBuckets = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Registers the metrics of `kube` on a registry. The names are those that Kubernetes' own components use, where they have one. */
export function createKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers });
  /** A gauge that asks each of these, by the value of its label, when it is read. */
  const readAtScrape = <T>(o: {
    name: string;
    help: string;
    label: string;
    readers: ReadonlyMap<string, () => T>;
    value: (read: T) => number;
  }) =>
    new Gauge({
      name: o.name,
      help: o.help,
      labelNames: [o.label],
      registers,
      collect() {
        for (const [of, read] of o.readers) this.set({ [o.label]: of }, o.value(read()));
      },
    });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });

  const requests = counter('rest_client_requests_total', 'Requests to the API server.', ['method', 'resource', 'code']);
  const retries = counter('rest_client_request_retries_total', 'Requests sent again.', ['resource']);
  const latency = histogram(
    'rest_client_request_duration_seconds',
    'Time from sending a request to the end of its answer, in seconds.',
    ['method', 'resource'],
    latencyBuckets,
  );
  const lists = counter('reflector_lists_total', 'Complete lists taken by caches.', ['resource']);
  const restarts = counter('reflector_watch_restarts_total', 'Watches opened again.', ['resource', 'reason']);
  const events = counter('reflector_watch_events_total', 'Events received by watches.', ['resource', 'type']);
  const parse = counter('reflector_parse_failures_total', 'Objects that could not be read.', ['resource']);
  const handlers = counter('reflector_handler_failures_total', 'Event handlers that threw.', ['resource']);
  const objects = gauge('reflector_objects', 'Objects held in caches.', ['resource']);

  const adds = counter('workqueue_adds_total', 'Keys added.', ['name']);
  const queueRetries = counter('workqueue_retries_total', 'Keys added again after a failure.', ['name']);
  const waited = histogram(
    'workqueue_queue_duration_seconds',
    'Time a ready key waited, in seconds.',
    ['name'],
    workBuckets,
  );
  const worked = histogram(
    'workqueue_work_duration_seconds',
    'Time a key was worked on, in seconds.',
    ['name'],
    workBuckets,
  );
  const queues = new Map<string, () => QueueState>();
  const ofQueue = (name: string, help: string, value: (state: QueueState) => number) =>
    readAtScrape({ name, help, label: 'name', readers: queues, value });
  ofQueue('workqueue_depth', 'Keys ready to be worked on.', ({ ready }) => ready);
  ofQueue(
    'workqueue_unfinished_work_seconds',
    'Time spent so far on keys that are not done, summed, in seconds.',
    ({ unfinishedSeconds }) => unfinishedSeconds,
  );
  ofQueue(
    'workqueue_longest_running_processor_seconds',
    'Time spent so far on the key that is worked on longest, in seconds.',
    ({ longestSeconds }) => longestSeconds,
  );
  const reconciles = counter('controller_reconcile_total', 'Reconciles by how they ended.', ['controller', 'result']);
  const reconcileTime = histogram(
    'controller_reconcile_duration_seconds',
    'Duration of a reconcile, in seconds.',
    ['controller'],
    workBuckets,
  );
  const running = new Map<string, () => number>();
  readAtScrape({
    name: 'controller_active_workers',
    help: 'Reconciles running now.',
    label: 'controller',
    readers: running,
    value: (count) => count,
  });

  return {
    request(method, resource, code, seconds) {
      requests.inc({ method, resource, code });
      latency.observe({ method, resource }, seconds);
    },
    requestRetried: (resource) => retries.inc({ resource }),
    listed: (resource) => lists.inc({ resource }),
    watchRestarted: (resource, reason) => restarts.inc({ resource, reason }),
    watchEvent: (resource, type) => events.inc({ resource, type }),
    parseFailed: (resource) => parse.inc({ resource }),
    handlerFailed: (resource) => handlers.inc({ resource }),
    cached: (resource, change) => objects.inc({ resource }, change),
    queue: (name) => ({
      added: () => adds.inc({ name }),
      retried: () => queueRetries.inc({ name }),
      waited: (seconds) => waited.observe({ name }, seconds),
      worked: (seconds) => worked.observe({ name }, seconds),
      state: (state) => {
        queues.set(name, state);
      },
    }),
    controller: (controller) => ({
      reconciled(result, seconds) {
        reconciles.inc({ controller, result });
        reconcileTime.observe({ controller }, seconds);
      },
      running: (count) => {
        running.set(controller, count);
      },
    }),
  };
}
