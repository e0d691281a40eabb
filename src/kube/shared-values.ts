// Equal values kept once: what thousands of objects say alike, such as lists of rules, comes with each as one of its own.

/** So many are remembered, twice over: those that come again come soon, and most are few. */
const remembered = 512;

/** Remembers the values that were seen last. They are shared by whoever holds them, so nobody may change them. */
export class SharedValues<T> {
  #recent = new Map<string, T>();
  #older = new Map<string, T>();

  /** How many it remembers now. */
  get size(): number {
    return this.#recent.size + this.#older.size;
  }

  /** The value itself, or one that was seen before and is the same as JSON, its fields in the same order. */
  share(value: T): T {
    const key = JSON.stringify(value);
    if (key === undefined) return value;
    const known = this.#recent.get(key);
    if (known !== undefined) return known;
    const kept = this.#older.get(key) ?? value;
    if (this.#recent.size >= remembered) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, kept);
    return kept;
  }
}
