// One index of a cache: from a value to the keys of the objects that have it.

/** Finds keys by value. Adding, removing and finding take the time of the values concerned, not of all objects. */
export class CacheIndex<T> {
  readonly #valuesOf: (object: T) => string[];
  // One key, as most values have it, without a Set around it: of 10,000 that is 2 MB.
  readonly #keys = new Map<string, string | Set<string>>();

  constructor(valuesOf: (object: T) => string[]) {
    this.#valuesOf = valuesOf;
  }

  add(key: string, object: T): void {
    for (const value of this.#valuesOf(object)) {
      const present = this.#keys.get(value);
      if (present === undefined || present === key) this.#keys.set(value, key);
      else if (typeof present === 'string') this.#keys.set(value, new Set([present, key]));
      else present.add(key);
    }
  }

  /** `object` must be the one that was added. */
  remove(key: string, object: T): void {
    for (const value of this.#valuesOf(object)) {
      const present = this.#keys.get(value);
      if (present instanceof Set) {
        present.delete(key);
        if (present.size === 0) this.#keys.delete(value);
      } else if (present === key) {
        this.#keys.delete(value);
      }
    }
  }

  find(value: string): Iterable<string> {
    const keys = this.#keys.get(value);
    return keys === undefined ? [] : typeof keys === 'string' ? [keys] : keys;
  }
}
