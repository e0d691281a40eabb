// A binary heap whose entries are reached by key: the order of deadlines and of queued keys.

/**
 * Keeps one value a key, the first by `before` on top. Every change is O(log n), looking is O(1).
 * A value that was changed in place must be `set` again for its place to be right.
 */
export class KeyedHeap<V> {
  readonly #before: (a: V, b: V) => boolean;
  readonly #nodes: { key: string; value: V }[] = [];
  readonly #positions = new Map<string, number>();

  constructor(before: (a: V, b: V) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#nodes.length;
  }

  get(key: string): V | undefined {
    const position = this.#positions.get(key);
    return position === undefined ? undefined : this.#nodes[position]?.value;
  }

  /** The first entry, left in place. */
  peek(): { key: string; value: V } | undefined {
    return this.#nodes[0];
  }

  /** Removes and returns the first entry. */
  pop(): { key: string; value: V } | undefined {
    const first = this.#nodes[0];
    if (first !== undefined) this.delete(first.key);
    return first;
  }

  /** Adds the key, or replaces its value, and moves it to where the value belongs. */
  set(key: string, value: V): void {
    const node = { key, value };
    const position = this.#positions.get(key) ?? this.#nodes.length;
    this.#put(node, position);
    this.#settle(node, position);
  }

  /** Removes the key; false when it is not there. */
  delete(key: string): boolean {
    const position = this.#positions.get(key);
    if (position === undefined) return false;
    this.#positions.delete(key);
    const last = this.#nodes.pop();
    if (last !== undefined && last.key !== key) {
      this.#put(last, position);
      this.#settle(last, position);
    }
    return true;
  }

  #put(node: { key: string; value: V }, position: number): void {
    this.#nodes[position] = node;
    this.#positions.set(node.key, position);
  }

  #settle(node: { key: string; value: V }, from: number): void {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#nodes[above];
      if (parent === undefined || !this.#before(node.value, parent.value)) break;
      this.#put(parent, position);
      position = above;
    }
    for (;;) {
      const left = this.#nodes[2 * position + 1];
      const right = this.#nodes[2 * position + 2];
      if (left === undefined) break;
      const rightFirst = right !== undefined && this.#before(right.value, left.value);
      const child = rightFirst ? right : left;
      if (!this.#before(child.value, node.value)) break;
      this.#put(child, position);
      position = 2 * position + (rightFirst ? 2 : 1);
    }
    this.#put(node, position);
  }
}
