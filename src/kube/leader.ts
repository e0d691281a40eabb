// Leader election on a Lease: which of several replicas acts, and whether this one still may.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { messageOf } from '../text.ts';
import { type SetTimer, systemTimer } from './alarm.ts';
import { type Client, isAlreadyExists, isConflict, isNotFound, unlessGone } from './client.ts';
import { type Lease, leases } from './kinds.ts';
import type { Log } from './log.ts';
import { microTime } from './micro-time.ts';

/** A name that no other process has, nor this one after a restart. */
export function electorIdentity(): string {
  return `${hostname()}_${randomUUID()}`;
}

/** Polls of several replicas that started together drift apart by up to this part of the period. */
const jitter = 0.2;

/**
 * Takes a Lease and renews it every `retryPeriodMs` until it is released or lost. Semantics of client-go's elector: whether
 * another's lease has expired is judged by how long this process has seen it unchanged, never by the times written in it.
 *
 * A leader gives up `renewDeadlineMs` after it sent the last renewal that succeeded, others wait for the longer
 * `leaseDurationMs` from when they saw it: two never hold the lease by their own reckoning. A process that was frozen
 * (SIGSTOP) finds itself stale the moment it wakes, because the monotonic clock went on.
 */
export class LeaderElector {
  readonly #client: Pick<Client, 'get' | 'create' | 'replace'>;
  readonly #ref: { namespace: string; name: string };
  readonly #identity: string;
  readonly #log: Log;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #now: () => number;
  readonly #setTimer: SetTimer;
  readonly #date: () => Date;
  readonly #lost = Promise.withResolvers<void>();
  readonly #passedOver = Promise.withResolvers<void>();
  readonly #released = new AbortController();
  /** The lease as this process wrote it last; undefined when it does not lead. */
  #held: Lease | undefined;
  /** When the last successful acquisition or renewal was sent. */
  #renewedAt = 0;
  /** Another's lease, and when it was first seen like this. */
  #observed: { spec: string; at: number } | undefined;
  #renewing: Promise<void> = Promise.resolve();

  /**
   * `identity`: see `electorIdentity`. `now`: a monotonic clock in ms that goes on while the process is frozen. `date`: what
   * is written into the lease, for people to read.
   */
  constructor(o: {
    client: Pick<Client, 'get' | 'create' | 'replace'>;
    namespace: string;
    name: string;
    identity: string;
    log: Log;
    leaseDurationMs?: number;
    renewDeadlineMs?: number;
    retryPeriodMs?: number;
    now?: () => number;
    setTimer?: SetTimer;
    date?: () => Date;
  }) {
    this.#client = o.client;
    this.#ref = { namespace: o.namespace, name: o.name };
    this.#identity = o.identity;
    this.#log = o.log;
    this.#leaseDurationMs = o.leaseDurationMs ?? 8_000;
    this.#renewDeadlineMs = o.renewDeadlineMs ?? 5_000;
    this.#retryPeriodMs = o.retryPeriodMs ?? 1_000;
    this.#now = o.now ?? (() => performance.now());
    this.#setTimer = o.setTimer ?? systemTimer;
    this.#date = o.date ?? (() => new Date());
  }

  /** Resolves when a lease that was held is lost. Its holder must stop at once, without finishing anything. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  /** Resolves when the lease could not be taken at the first try: who has to wait may do something else first. */
  get passedOver(): Promise<void> {
    return this.#passedOver.promise;
  }

  /** Whether this process holds the lease and renewed it within the renew deadline: ask before each write that must not be another leader's. */
  isFresh(): boolean {
    return this.#held !== undefined && this.#now() - this.#renewedAt < this.#renewDeadlineMs;
  }

  /**
   * Resolves once the lease is held; from then on it is renewed until `release` or until it is lost. Rejects with the
   * signal's reason when the signal is aborted before; afterwards the signal has no effect. Errors of requests are
   * logged and tried again.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#log.info('waiting for the lease', { ...this.#ref, identity: this.#identity });
    let reported = '';
    while (this.#held === undefined) {
      signal.throwIfAborted();
      let waitMs = this.#retryPeriodMs * (1 + jitter * Math.random());
      try {
        const held = await this.#bounded(this.#requestTimeoutMs, (limit) => this.#acquire(limit));
        if (held !== undefined) {
          if (held.holder !== reported)
            this.#log.info('another replica holds the lease', { ...this.#ref, holder: held.holder });
          reported = held.holder;
          waitMs = Math.min(waitMs, held.forMs);
        }
      } catch (error) {
        // Several that start together race for it; all but one of them lose, which is as it should be.
        const raced = isConflict(error) || isAlreadyExists(error);
        const level = raced ? 'debug' : 'warn';
        this.#log[level]('could not acquire the lease; trying again', { ...this.#ref, error: messageOf(error) });
      }
      if (this.#held !== undefined) break;
      this.#passedOver.resolve();
      await this.#sleep(waitMs, signal);
    }
    if (signal.aborted) {
      await this.release();
      signal.throwIfAborted();
    }
    this.#log.info('acquired the lease', { ...this.#ref, identity: this.#identity });
    this.#renewing = this.#renewUntilTheEnd();
  }

  /**
   * Hands the lease over: writes it without a holder, so that the next replica takes it at its next look. Call it only
   * when nothing that needs the lease runs any more. Never throws: a lease that cannot be released just expires.
   */
  async release(): Promise<void> {
    this.#released.abort();
    await this.#renewing;
    if (this.#held === undefined) return;
    const spec = { holderIdentity: '', leaseDurationSeconds: 1 };
    try {
      await this.#bounded(this.#renewDeadlineMs, (limit) => this.#writeMine(spec, limit));
      if (this.#held !== undefined) this.#log.info('released the lease', this.#ref);
    } catch (error) {
      this.#log.warn('could not release the lease; it will expire', { ...this.#ref, error: messageOf(error) });
    }
    this.#held = undefined;
  }

  get #requestTimeoutMs(): number {
    return Math.max(1_000, this.#renewDeadlineMs / 2);
  }

  /** Takes the lease if it is free; else returns who holds it and for how long at most. */
  async #acquire(signal: AbortSignal): Promise<{ holder: string; forMs: number } | undefined> {
    const stored = await this.#read(signal);
    const holder = stored?.spec?.holderIdentity;
    if (holder && holder !== this.#identity) {
      const spec = JSON.stringify(stored?.spec);
      if (this.#observed?.spec !== spec) this.#observed = { spec, at: this.#now() };
      const durationMs = (stored?.spec?.leaseDurationSeconds ?? this.#leaseDurationMs / 1000) * 1000;
      const forMs = this.#observed.at + durationMs - this.#now();
      if (forMs > 0) return { holder, forMs };
    }
    const transitions = stored?.spec?.leaseTransitions ?? -1;
    await this.#write(
      stored,
      {
        holderIdentity: this.#identity,
        leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
        acquireTime: microTime(this.#date()),
        leaseTransitions: transitions + (holder === this.#identity ? 0 : 1),
      },
      signal,
    );
    return undefined;
  }

  async #renewUntilTheEnd(): Promise<void> {
    for (;;) {
      const remainingMs = () => this.#renewedAt + this.#renewDeadlineMs - this.#now();
      await this.#sleep(Math.min(this.#retryPeriodMs, Math.max(0, remainingMs())), this.#released.signal);
      if (this.#released.signal.aborted) return;
      if (remainingMs() <= 0) {
        this.#lose('it was not renewed in time');
        return;
      }
      try {
        await this.#bounded(Math.min(this.#requestTimeoutMs, remainingMs()), (limit) => this.#writeMine({}, limit));
      } catch (error) {
        this.#log.warn('could not renew the lease; trying again', { ...this.#ref, error: messageOf(error) });
      }
      if (this.#held === undefined) return;
    }
  }

  /** Writes under the version written last. If the lease was touched meanwhile and is still held here, writes once more. */
  async #writeMine(spec: Lease['spec'], signal: AbortSignal): Promise<void> {
    try {
      await this.#write(this.#held, spec, signal);
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
      const mine = this.#held?.spec;
      const stored = await this.#read(signal);
      if (stored !== undefined && stored.spec?.holderIdentity !== this.#identity) {
        this.#lose(`${stored.spec?.holderIdentity || 'nobody'} holds it`);
        return;
      }
      // Deleted by hand: whoever creates it first leads.
      await this.#write(stored, stored === undefined ? { ...mine, ...spec } : spec, signal);
    }
  }

  async #write(stored: Lease | undefined, changes: Lease['spec'], signal: AbortSignal): Promise<void> {
    const sentAt = this.#now();
    const spec = { ...stored?.spec, ...changes, renewTime: microTime(this.#date()) };
    const written =
      stored === undefined
        ? await this.#client.create(leases, { metadata: this.#ref, spec }, { signal })
        : await this.#client.replace(leases, { metadata: stored.metadata, spec }, { signal });
    this.#held = written;
    this.#renewedAt = sentAt;
  }

  #read(signal: AbortSignal): Promise<Lease | undefined> {
    return unlessGone(this.#client.get(leases, this.#ref, { signal }));
  }

  #lose(why: string): void {
    this.#held = undefined;
    this.#log.error('lost the lease', { ...this.#ref, why });
    this.#lost.resolve();
  }

  /** Runs requests with a common time limit. */
  async #bounded<R>(limitMs: number, run: (limit: AbortSignal) => Promise<R>): Promise<R> {
    const limit = new AbortController();
    const cancel = this.#setTimer(() => limit.abort(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
    try {
      return await run(limit.signal);
    } finally {
      cancel();
    }
  }

  /** Resolves after so long, or as soon as the signal is aborted. */
  #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#setTimer(end, delayMs);
      signal.addEventListener('abort', end);
    });
  }
}
