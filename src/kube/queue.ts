// The work queue: which key is worked on next. Semantics of controller-runtime's priority queue.

import { Alarm, type SetTimer } from './alarm.ts';
import { KeyedHeap } from './heap.ts';
import type { QueueMetrics, QueueState } from './metrics.ts';

/** For a key with a due lapse: passes every other. */
export const URGENT = 100;
export const NORMAL = 0;
/** For what only a status says: it can wait while there is anything to give or to take away. */
export const NOTE = -10;
/** For what the first list of a watch and a resync bring: after every real change. */
export const INITIAL = -100;

/** A key that was handed out, with the priority it had. */
export type QueuedKey = { key: string; priority: number };

type Entry = { key: string; priority: number; readyAt: number; order: number; ready: boolean };

const firstRetryMs = 5;
const longestRetryMs = 60_000;

/**
 * A key is in the queue at most once, and worked on by at most one worker: what is added while it is worked on is handed
 * out after `done`. The highest priority comes first, within one the key that has been ready for longest.
 */
export class Queue {
  readonly #now: () => number;
  /** Every key that is waiting or ready, also those held back because they are being worked on. */
  readonly #entries = new Map<string, Entry>();
  readonly #waiting = new KeyedHeap<Entry>((a, b) => a.readyAt < b.readyAt);
  readonly #ready = new KeyedHeap<Entry>(
    (a, b) => a.priority > b.priority || (a.priority === b.priority && a.order < b.order),
  );
  /** What is being worked on, and since when. */
  readonly #running = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #alarm: Alarm;
  readonly #metrics: QueueMetrics | undefined;
  readonly #takers: { least: number; take: (taken: QueuedKey | undefined) => void }[] = [];
  readonly #idlers: (() => void)[] = [];
  #order = 0;
  #lowest = Number.NEGATIVE_INFINITY;
  #shutDown = false;

  /** `now`: a monotonic clock in ms. */
  constructor(o: { metrics?: QueueMetrics; now?: () => number; setTimer?: SetTimer } = {}) {
    this.#now = o.now ?? (() => performance.now());
    this.#metrics = o.metrics;
    this.#metrics?.state(() => this.#state());
    this.#alarm = new Alarm({ now: this.#now, onRing: () => this.#promote(), setTimer: o.setTimer });
  }

  /** How many keys are ready to be worked on; delayed keys are not counted before their time. */
  get length(): number {
    return this.#entries.size - this.#waiting.size;
  }

  /**
   * Adds a key, at once or after a delay. A key that is there already keeps the earlier of both times (one that is ready
   * stays ready) and the higher of both priorities. After `shutDown` nothing is added.
   */
  add(key: string, o: { priority?: number; afterMs?: number } = {}): void {
    if (this.#shutDown) return;
    const priority = o.priority ?? NORMAL;
    const ready = o.afterMs === undefined || o.afterMs <= 0;
    const readyAt = this.#now() + (ready ? 0 : (o.afterMs ?? 0));
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#metrics?.added();
      const added = { key, priority, readyAt, order: 0, ready: false };
      this.#entries.set(key, added);
      if (ready) this.#makeReady(added);
      else this.#waiting.set(key, added);
    } else {
      entry.priority = Math.max(entry.priority, priority);
      if (entry.ready) {
        if (!this.#running.has(key)) this.#ready.set(key, entry);
      } else {
        entry.readyAt = Math.min(entry.readyAt, readyAt);
        if (ready) this.#makeReady(entry);
        else this.#waiting.set(key, entry);
      }
    }
    this.#alarm.set(this.#waiting.peek()?.value.readyAt);
    this.#handOut();
  }

  /**
   * Adds a key that failed, after 5 ms the first time, then twice as long each time, at most `maxDelayMs` (60 s).
   * Only `forget` starts it over. Returns how often it has failed in a row.
   */
  addRateLimited(key: string, o: { priority?: number; maxDelayMs?: number } = {}): number {
    const failures = this.#failures.get(key) ?? 0;
    if (this.#shutDown) return failures + 1;
    this.#failures.set(key, failures + 1);
    this.#metrics?.retried();
    const afterMs = Math.min(firstRetryMs * 2 ** failures, longestRetryMs, o.maxDelayMs ?? longestRetryMs);
    this.add(key, { priority: o.priority, afterMs });
    return failures + 1;
  }

  /** The key's next failure counts as its first. It stays in the queue if it is there. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** From now on hands out only keys of at least this priority; without one, every key again. */
  onlyFrom(priority = Number.NEGATIVE_INFINITY): void {
    this.#lowest = priority;
    this.#handOut();
  }

  /**
   * The next key, when there is one, of at least this priority if one is named; undefined once the queue was shut down.
   * Whoever gets a key must call `done`.
   */
  get(least = Number.NEGATIVE_INFINITY): Promise<QueuedKey | undefined> {
    if (this.#shutDown) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#takers.push({ least, take: resolve });
      this.#handOut();
    });
  }

  /** Whether `take` would hand out this key. */
  isReady(key: string, least: number): boolean {
    const entry = this.#ready.get(key);
    return entry !== undefined && entry.priority >= Math.max(least, this.#lowest);
  }

  /**
   * This very key, ahead of others, when it is ready with at least this priority; undefined when it isn't. Whoever gets it must call
   * `done`.
   */
  take(key: string, least: number): QueuedKey | undefined {
    const entry = this.isReady(key, least) ? this.#ready.get(key) : undefined;
    if (!entry) return undefined;
    this.#ready.delete(key);
    return this.#hand(entry);
  }

  /** The key is no longer being worked on. What was added meanwhile is handed out now. */
  done(key: string): void {
    const since = this.#running.get(key);
    if (since === undefined) return;
    this.#running.delete(key);
    this.#metrics?.worked((this.#now() - since) / 1000);
    const entry = this.#entries.get(key);
    if (entry?.ready) this.#ready.set(key, entry);
    this.#handOut();
  }

  /** Resolves once no key is being worked on and none is ready that may be handed out; also once the queue was shut down. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idlers.push(resolve);
      this.#handOut();
    });
  }

  /** Hands out nothing more, forgets what is queued, and ends the timer. Keys being worked on are not touched. */
  shutDown(): void {
    this.#shutDown = true;
    this.#alarm.set(undefined);
    this.#entries.clear();
    while (this.#waiting.pop() !== undefined);
    while (this.#ready.pop() !== undefined);
    for (const { take } of this.#takers.splice(0)) take(undefined);
    for (const resolve of this.#idlers.splice(0)) resolve();
  }

  #makeReady(entry: Entry): void {
    this.#waiting.delete(entry.key);
    entry.ready = true;
    entry.order = this.#order++;
    if (!this.#running.has(entry.key)) this.#ready.set(entry.key, entry);
  }

  #promote(): void {
    const now = this.#now();
    for (
      let first = this.#waiting.peek();
      first !== undefined && first.value.readyAt <= now;
      first = this.#waiting.peek()
    ) {
      this.#makeReady(first.value);
    }
    this.#alarm.set(this.#waiting.peek()?.value.readyAt);
    this.#handOut();
  }

  #handOut(): void {
    for (let first = this.#ready.peek(); first && first.value.priority >= this.#lowest; first = this.#ready.peek()) {
      const entry = first.value;
      const at = this.#takers.findIndex(({ least }) => least <= entry.priority);
      const [taker] = at < 0 ? [] : this.#takers.splice(at, 1);
      // Who doesn't take the highest priority takes no other.
      if (!taker) break;
      this.#ready.pop();
      taker.take(this.#hand(entry));
    }
    if (this.#idlers.length > 0 && this.#isIdle()) for (const resolve of this.#idlers.splice(0)) resolve();
  }

  #hand({ key, priority, readyAt }: Entry): QueuedKey {
    this.#entries.delete(key);
    const now = this.#now();
    this.#running.set(key, now);
    this.#metrics?.waited(Math.max(0, now - readyAt) / 1000);
    return { key, priority };
  }

  #isIdle(): boolean {
    const first = this.#ready.peek();
    return this.#running.size === 0 && (first === undefined || first.value.priority < this.#lowest);
  }

  #state(): QueueState {
    const now = this.#now();
    const seconds = [...this.#running.values()].map((since) => (now - since) / 1000);
    return {
      ready: this.length,
      unfinishedSeconds: seconds.reduce((a, b) => a + b, 0),
      longestSeconds: Math.max(0, ...seconds),
    };
  }
}
