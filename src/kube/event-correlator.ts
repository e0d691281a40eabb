// Which occurrences become one event, and which are not written at all. Semantics of client-go's event correlator.
import { LruMap } from './lru.ts';

/** The object an event is about. */
export type EventObject = { apiVersion: string; kind: string; namespace?: string; name: string; uid: string };

export type Occurrence = {
  object: EventObject;
  type: 'Normal' | 'Warning';
  reason: string;
  action: string;
  message: string;
};

const cacheSize = 4096;
/** So many occurrences that differ only in their message, none longer than ten minutes after the last, become one event. */
const similarLimit = 10;
const similarWindowMs = 600_000;
/** What may be written of one type about one object: a burst, and then one in five minutes. */
const burst = 25;
const refillMs = 300_000;

/** Decides for each occurrence which event it belongs to, within bounded memory. */
export class EventCorrelator {
  readonly #similar = new LruMap<{ messages: Set<string>; lastAt: number }>(cacheSize);
  readonly #buckets = new LruMap<{ tokens: number; filledAt: number }>(cacheSize);

  /**
   * `key`: occurrences with the same key are one event; `message`: that event's; `write`: false when so much was written
   * about the object lately that this occurrence is only to be counted. `at`: now, in ms.
   */
  correlate(occurrence: Occurrence, at: number): { key: string; message: string; write: boolean } {
    const { object, type, reason, action } = occurrence;
    const identity = [object.apiVersion, object.kind, object.namespace, object.name, object.uid, type];
    const group = JSON.stringify([...identity, reason, action]);
    const aggregated = this.#aggregate(group, occurrence.message, at);
    return {
      key: aggregated ? group : JSON.stringify([...identity, reason, action, occurrence.message]),
      message: aggregated ? `(combined from similar events): ${occurrence.message}` : occurrence.message,
      write: this.#take(JSON.stringify(identity), at),
    };
  }

  #aggregate(group: string, message: string, at: number): boolean {
    const known = this.#similar.get(group);
    const similar =
      known !== undefined && at - known.lastAt <= similarWindowMs ? known : { messages: new Set<string>(), lastAt: at };
    similar.lastAt = at;
    if (similar.messages.size < similarLimit) similar.messages.add(message);
    this.#similar.set(group, similar);
    return similar.messages.size >= similarLimit;
  }

  #take(identity: string, at: number): boolean {
    const bucket = this.#buckets.get(identity) ?? { tokens: burst, filledAt: at };
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, at - bucket.filledAt) / refillMs);
    bucket.filledAt = at;
    this.#buckets.set(identity, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
