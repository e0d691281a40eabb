// Events (events.k8s.io/v1): what people see under `kubectl describe` and `kubectl events`.
import { randomUUID } from 'node:crypto';
import { messageOf, printable } from '../text.ts';
import { type Client, isNamespaceTerminating, isNotFound } from './client.ts';
import { EventCorrelator, type EventObject } from './event-correlator.ts';
import { events } from './kinds.ts';
import type { Log } from './log.ts';
import { LruMap } from './lru.ts';
import { microTime } from './micro-time.ts';

/** One event, written once and then counted up. */
type Series = {
  object: EventObject;
  type: 'Normal' | 'Warning';
  reason: string;
  action: string;
  note: string;
  firstAt: Date;
  lastAt: Date;
  count: number;
  /** Of the stored event, once it is stored. */
  name?: string;
  /** `again`: it occurred while it was being written. */
  state: 'idle' | 'waiting' | 'writing' | 'again';
};

const seriesKept = 4096;
const longestQueue = 4096;
/** Few, because events must not delay the writes that give and take access. */
const writesAtOnce = 4;
const writeTimeoutMs = 30_000;
const flushTimeoutMs = 5_000;
/** The API server's limit on a note. */
const noteBytes = 1024;
/** What an event may be called. */
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Records events in the background, in the namespace of the object they are about (`default` for cluster-scoped ones). */
export class EventRecorder {
  readonly #client: Pick<Client, 'create' | 'patch'>;
  readonly #reporting: { reportingController: string; reportingInstance: string };
  readonly #log: Log;
  readonly #now: () => Date;
  readonly #correlator = new EventCorrelator();
  readonly #series = new LruMap<Series>(seriesKept);
  readonly #waiting: Series[] = [];
  #writing = 0;
  #dropped = 0;
  #sequence = 0;
  #idle: (() => void)[] = [];

  /** `reportingController` is a qualified name like `example.com/controller`; `reportingInstance` tells replicas apart. */
  constructor(o: {
    client: Pick<Client, 'create' | 'patch'>;
    reportingController: string;
    reportingInstance: string;
    log: Log;
    now?: () => Date;
  }) {
    this.#client = o.client;
    this.#reporting = {
      reportingController: o.reportingController,
      reportingInstance: o.reportingInstance.slice(0, 128),
    };
    this.#log = o.log;
    this.#now = o.now ?? (() => new Date());
  }

  /**
   * Returns at once and never throws. The same event again counts up the one that is there; many that differ only in their
   * message become one; and of what floods an object only a part is written. What cannot be written is logged and lost.
   * `reason` and `action` are words in UpperCamelCase: why, and what was done about it.
   */
  record(object: EventObject, type: 'Normal' | 'Warning', reason: string, action: string, message: string): void {
    const now = this.#now();
    const {
      key,
      message: note,
      write,
    } = this.#correlator.correlate({ object, type, reason, action, message: printable(message) }, now.getTime());
    const series = this.#series.get(key) ?? {
      object,
      type,
      reason,
      action,
      note: truncated(note),
      firstAt: now,
      lastAt: now,
      count: 0,
      state: 'idle' as const,
    };
    series.count += 1;
    series.lastAt = now;
    this.#series.set(key, series);
    if (write) this.#enqueue(series);
    else
      this.#log.debug('event not written: too many about this object', {
        kind: object.kind,
        name: object.name,
        reason,
      });
  }

  /** Resolves when everything recorded so far was written or given up, at the latest after 5 s. */
  async flush(): Promise<void> {
    if (this.#writing === 0 && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#log.warn('stopping with events not written', { events: this.#writing + this.#waiting.length });
        resolve();
      }, flushTimeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #enqueue(series: Series): void {
    if (series.state === 'writing') series.state = 'again';
    if (series.state !== 'idle') return;
    if (this.#waiting.length >= longestQueue) {
      this.#dropped += 1;
      return;
    }
    series.state = 'waiting';
    this.#waiting.push(series);
    this.#writeMore();
  }

  #writeMore(): void {
    while (this.#writing < writesAtOnce) {
      const series = this.#waiting.shift();
      if (series === undefined) break;
      series.state = 'writing';
      this.#writing += 1;
      this.#write(series)
        .catch((error: unknown) => this.#report(series, error))
        .finally(() => {
          this.#writing -= 1;
          const again = series.state === 'again';
          series.state = 'idle';
          if (again) this.#enqueue(series);
          this.#writeMore();
        });
    }
    if (this.#writing > 0 || this.#waiting.length > 0) return;
    if (this.#dropped > 0) this.#log.warn('events were lost: too many at once', { events: this.#dropped });
    this.#dropped = 0;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  async #write(series: Series): Promise<void> {
    const namespace = series.object.namespace ?? 'default';
    const signal = AbortSignal.timeout(writeTimeoutMs);
    if (series.name !== undefined) {
      const count = { series: { count: series.count, lastObservedTime: microTime(series.lastAt) } };
      try {
        await this.#client.patch(events, { namespace, name: series.name }, count, { type: 'merge', signal });
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error;
        // The stored one has expired, so this is the first of a new series.
        series.name = undefined;
        series.firstAt = series.lastAt;
        series.count = 1;
      }
    }
    const { object, type, reason, action, note, count } = series;
    const name = this.#nameFor(object);
    await this.#client.create(
      events,
      {
        metadata: { name, namespace },
        ...this.#reporting,
        eventTime: microTime(series.firstAt),
        regarding: object,
        type,
        reason,
        action,
        note,
        ...(count > 1 ? { series: { count, lastObservedTime: microTime(series.lastAt) } } : {}),
      },
      { signal },
    );
    series.name = name;
  }

  /** As client-go names events, where the object's name allows: those of RBAC kinds may hold what no event's name may. */
  #nameFor(object: EventObject): string {
    this.#sequence = (this.#sequence + 1) % 1_000_000;
    const nanoseconds = BigInt(Date.now()) * 1_000_000n + BigInt(this.#sequence);
    const name = `${object.name}.${nanoseconds.toString(16)}`;
    return name.length <= 253 && subdomain.test(name) ? name : `event-${randomUUID()}`;
  }

  #report(series: Series, error: unknown): void {
    const { object, reason, note } = series;
    const fields = { kind: object.kind, namespace: object.namespace, name: object.name, reason, note };
    if (isNotFound(error) || isNamespaceTerminating(error)) {
      this.#log.debug('event not written: the namespace is going away', fields);
      return;
    }
    const message = messageOf(error);
    this.#log.warn('event not written', { ...fields, error: message });
  }
}

/** At most 1024 bytes of UTF-8, cut between two characters. */
function truncated(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= noteBytes) return note;
  const ellipsis = '…';
  // Decoded as a stream, so that half a character at the end is left out.
  const room = noteBytes - Buffer.byteLength(ellipsis);
  return new TextDecoder().decode(bytes.subarray(0, room), { stream: true }) + ellipsis;
}
