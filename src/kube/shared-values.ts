// Equal values kept once: what thousands of objects say alike, such as lists of rules, comes with each as one of its own.
import { LruMap } from './lru.ts';

/** So many are remembered: those that come again come soon, and most are few. */
const remembered = 1_024;

/** Remembers the values that were seen last. They are shared by whoever holds them, so nobody may change them. */
export class SharedValues<T extends object> {
  readonly #known = new LruMap<T>(remembered);

  /** The value itself, or one that was seen before and is the same as JSON, its fields in the same order. */
  share(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, value);
    return value;
  }
}
