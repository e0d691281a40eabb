// Equal strings kept once. JSON brings each occurrence as a string of its own, and of what thousands of objects hold a third
// says the same: times, digests, names of kinds, the messages of conditions.
import { isRecord } from './json.ts';

const shortest = 8;
const longest = 256;
/** Equal strings come close to one another: within an object, or in objects that were made or read together. */
const remembered = 8_192;

/** Remembers the strings that were seen last: twice `remembered` at most. */
export class SharedStrings {
  #recent = new Map<string, string>();
  #older = new Map<string, string>();

  /** How many it remembers now. */
  get size(): number {
    return this.#recent.size + this.#older.size;
  }

  /** Replaces strings anywhere in a JSON value, in place, by equal ones that are in use already. */
  shareIn(value: unknown): void {
    if (Array.isArray(value)) {
      const items: unknown[] = value;
      for (let at = 0; at < items.length; at += 1) items[at] = this.#shared(items[at]);
    } else if (isRecord(value)) {
      for (const key of Object.keys(value)) value[key] = this.#shared(value[key]);
    }
  }

  #shared(value: unknown): unknown {
    if (typeof value !== 'string') {
      if (typeof value === 'object') this.shareIn(value);
      return value;
    }
    if (value.length < shortest || value.length > longest) return value;
    const known = this.#recent.get(value);
    if (known !== undefined) return known;
    const kept = this.#older.get(value) ?? value;
    if (this.#recent.size >= remembered) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(kept, kept);
    return kept;
  }
}
