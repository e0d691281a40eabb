// A binary heap whose entries are reached by key: the order of deadlines and of queued keys.

type Node<V> = { readonly key: string; value: V; position: number };

/**
 * Keeps one value a key, the first by `before` on top. Every change is O(log n), looking is O(1).
 * A value that was changed in place must be `set` again for its place to be right.
 */
export class KeyedHeap<V> {
  readonly #before: (a: V, b: V) => boolean;
  readonly #nodes: Node<V>[] = [];
  readonly #byKey = new Map<string, Node<V>>();

  constructor(before: (a: V, b: V) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#nodes.length;
  }

  get(key: string): V | undefined {
    return this.#byKey.get(key)?.value;
  }

  /** The first entry, left in place. */
  peek(): { readonly key: string; readonly value: V } | undefined {
    return this.#nodes[0];
  }

  /** Removes and returns the first entry. */
  pop(): { readonly key: string; readonly value: V } | undefined {
    const first = this.#nodes[0];
    if (first !== undefined) this.delete(first.key);
    return first;
  }

  /** Adds the key, or replaces its value, and moves it to where the value belongs. */
  set(key: string, value: V): void {
    let node = this.#byKey.get(key);
    if (node === undefined) {
      node = { key, value, position: this.#nodes.length };
      this.#byKey.set(key, node);
    } else {
      node.value = value;
    }
    this.#settle(node);
  }

  /** Removes the key; false when it is not there. */
  delete(key: string): boolean {
    const node = this.#byKey.get(key);
    if (node === undefined) return false;
    this.#byKey.delete(key);
    const last = this.#nodes.pop();
    if (last !== undefined && last !== node) {
      last.position = node.position;
      this.#settle(last);
    }
    return true;
  }

  #put(node: Node<V>, position: number): void {
    this.#nodes[position] = node;
    node.position = position;
  }

  /** Moves a node from its position, whatever is there now, to where its value belongs. */
  #settle(node: Node<V>): void {
    let { position } = node;
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
