// The loop that works a queue off: one call of `reconcile` a key, and what its result means for the key.

import { messageOf } from '../text.ts';
import { type SetTimer, systemTimer } from './alarm.ts';
import { isConflict } from './api-error.ts';
import { runCall } from './call.ts';
import type { Log } from './log.ts';
import type { KubeMetrics, ReconcileResult } from './metrics.ts';
import { type Queue, type QueuedKey, URGENT } from './queue.ts';
import { Turns } from './turns.ts';

/** What a reconcile that did not throw asks for: nothing, or to be called again later, with the same priority if none is named. */
export type Result = { requeueAfterMs?: number; priority?: number } | undefined;

/** An error that no repetition can cure: the key is left alone until something about it changes. */
export class TerminalError extends Error {
  override name = 'TerminalError';
}

/** What a key was handed out with, and when to give up. */
export type Call = { priority: number; signal: AbortSignal };

/** For a call that can do for others, at no further cost, what it does for its own key: to be used while it runs. */
export type Beside = {
  /** Whether the key waits for its turn with at least the priority of this call's. */
  isReady(key: string): boolean;
  /** Works on such a key at once, by a call that is like any other for it: it fails, comes again and is counted by itself. */
  take(key: string, reconcile: (call: Call) => Promise<Result>): void;
};

export type Reconcile = (key: string, o: Call & { beside: Beside }) => Promise<Result>;

export type Controller = {
  /** Resolves when no worker runs any more. Rejects, before any has started, when a source did not sync in two minutes. */
  stopped: Promise<void>;
  /**
   * Takes no more keys and waits for the calls that are running. Those that have not ended after 30 s are aborted and no
   * longer waited for.
   */
  stop(): Promise<void>;
};

const syncTimeoutMs = 120_000;
const graceMs = 30_000;
const urgentRetryMs = 5_000;
/** Conflicts in a row, of one key, that are no error yet. */
const usualConflicts = 5;

/**
 * Works off the queue with so many workers, once every source has synced.
 *
 * A throw is an error and never ends the process: the key comes again after a growing delay, of 5 s at most when `urgent`
 * says it has a due lapse, and then ahead of all others. A call that takes longer than `timeoutMs` has its signal aborted,
 * by which its requests are given up, and counts as failed whatever it returns; its key stays its own until it has ended,
 * since two calls for one key must never overlap.
 */
export function startController(o: {
  name: string;
  queue: Queue;
  workers: number;
  /** How many more workers take only URGENT keys, so that these find one whatever the others wait for. Default 0. */
  urgentWorkers?: number;
  reconcile: Reconcile;
  log: Log;
  metrics: KubeMetrics;
  timeoutMs: number;
  urgent?: (key: string) => boolean;
  /** What a log line says to name the object of a key; `key` when left out. */
  about?: (key: string) => Record<string, unknown>;
  sources?: { synced(): Promise<void> }[];
  setTimer?: SetTimer;
}): Controller {
  const setTimer = o.setTimer ?? systemTimer;
  const about = o.about ?? ((key: string) => ({ key }));
  const metrics = o.metrics.controller(o.name);
  const stopping = new AbortController();
  const running = new Set<AbortController>();
  const turns = new Turns();
  metrics.running(() => running.size);

  async function handle({ key, priority }: QueuedKey, reconcile: (call: Call) => Promise<Result>): Promise<void> {
    const call = new AbortController();
    running.add(call);
    const started = performance.now();
    let timedOut = false;
    const cancelTimeout = setTimer(() => {
      timedOut = true;
      call.abort(new Error(`reconcile took longer than ${o.timeoutMs / 1000} s`));
    }, o.timeoutMs);
    let result: Result;
    let failure: { error: unknown } | undefined;
    try {
      result = await runCall(call.signal, () => reconcile({ priority, signal: call.signal }));
      call.signal.throwIfAborted();
    } catch (error) {
      failure = { error };
    } finally {
      cancelTimeout();
      running.delete(call);
    }
    try {
      const outcome =
        failure === undefined ? succeed(key, priority, result) : fail(key, priority, failure.error, timedOut);
      metrics.reconciled(outcome, (performance.now() - started) / 1000);
    } finally {
      o.queue.done(key);
    }
  }

  /** Works on a key, and on those that its call takes beside it. */
  async function handleAll(taken: QueuedKey): Promise<void> {
    const others: Promise<void>[] = [];
    const beside: Beside = {
      isReady: (key) => o.queue.isReady(key, taken.priority),
      take: (key, reconcile) => {
        const other = o.queue.take(key, taken.priority);
        if (other) others.push(handle(other, reconcile));
      },
    };
    await handle(taken, (call) => o.reconcile(taken.key, { ...call, beside }));
    await Promise.all(others);
  }

  function succeed(key: string, priority: number, result: Result): ReconcileResult {
    o.queue.forget(key);
    if (result?.requeueAfterMs === undefined) return 'success';
    o.queue.add(key, { afterMs: result.requeueAfterMs, priority: result.priority ?? priority });
    return 'requeue_after';
  }

  function fail(key: string, priority: number, error: unknown, timedOut: boolean): ReconcileResult {
    const fields = { controller: o.name, ...about(key), error: messageOf(error) };
    if (error instanceof TerminalError) {
      o.log.error('reconcile failed for good; it is tried again when something changes', fields);
      return 'terminal_error';
    }
    const due = isUrgent(key);
    const failures = o.queue.addRateLimited(
      key,
      due ? { priority: Math.max(priority, URGENT), maxDelayMs: urgentRetryMs } : { priority },
    );
    // That somebody else wrote in between is the order of the day, and the next call sees what they wrote.
    if (isConflict(error) && failures <= usualConflicts) {
      o.log.debug('reconcile met a newer state of an object; it will be tried again', fields);
      return 'conflict';
    }
    o.log.error('reconcile failed; it will be tried again', fields);
    return timedOut ? 'timeout' : 'error';
  }

  function isUrgent(key: string): boolean {
    try {
      return o.urgent?.(key) ?? false;
    } catch (error) {
      // Retrying too soon is harmless, retrying a due lapse too late is not.
      o.log.error('could not tell whether a key is urgent', {
        controller: o.name,
        ...about(key),
        error: messageOf(error),
      });
      return true;
    }
  }

  async function work(least?: number): Promise<void> {
    for (;;) {
      const taken = await o.queue.get(least);
      if (taken === undefined) return;
      // A change may concern thousands of keys, of which most need nothing but a look. Who has waited asks again, since there may be
      // more of them than one turn has time for; what is urgent goes on in the next.
      let turn = turns.take();
      while (turn) {
        await turn;
        turn = taken.priority >= URGENT ? undefined : turns.take();
      }
      await handleAll(taken);
    }
  }

  async function run(): Promise<void> {
    await allSynced(o.name, o.sources ?? [], stopping.signal, setTimer);
    if (stopping.signal.aborted) return;
    const workers = Array.from({ length: o.workers }, () => work());
    const urgentWorkers = Array.from({ length: o.urgentWorkers ?? 0 }, () => work(URGENT));
    await Promise.all([...urgentWorkers, ...workers]);
  }

  const stopped = run();
  return {
    stopped,
    async stop() {
      stopping.abort();
      o.queue.shutDown();
      await new Promise<void>((resolve, reject) => {
        const cancel = setTimer(() => {
          for (const call of running) call.abort(new Error('the controller is stopping'));
          resolve();
        }, graceMs);
        stopped.then(resolve, reject).finally(cancel);
      });
    },
  };
}

/** Resolves when all sources have synced or the signal is aborted; rejects when that takes longer than two minutes. */
async function allSynced(
  name: string,
  sources: { synced(): Promise<void> }[],
  signal: AbortSignal,
  setTimer: SetTimer,
): Promise<void> {
  if (sources.length === 0) return;
  await new Promise<void>((resolve, reject) => {
    const cancel = setTimer(() => {
      const seconds = syncTimeoutMs / 1000;
      reject(
        new Error(
          `controller ${name}: its caches did not sync within ${seconds} s; is the API server reachable, and may this account list and watch what the controller needs?`,
        ),
      );
    }, syncTimeoutMs);
    const settle = (then: () => void) => {
      cancel();
      then();
    };
    signal.addEventListener('abort', () => settle(resolve), { once: true });
    Promise.all(sources.map((source) => source.synced())).then(
      () => settle(resolve),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
