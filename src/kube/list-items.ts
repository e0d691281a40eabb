// Cuts a list of Kubernetes objects into its items while it comes, so that no more than one of them is ever held as text.

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d];
// etcd holds objects of up to 1.5 MB; JSON may be several times as long. Beyond this, something else is sending.
const longestItem = 64 * 1024 * 1024;

/** How many brackets are open in the list itself, in its array of items, and in an item. */
const [inList, inItems, inItem] = [1, 2, 3];

/**
 * Takes the chunks of a list's JSON and hands out each item's JSON as soon as it is whole, decoded as UTF-8 only then. A list's
 * items are the only array right inside it. What is not JSON, or was cut off, ends up in `rest`, which is then no JSON either.
 * `push` throws a RangeError for an item longer than 64 MiB.
 */
export class ItemSplitter {
  readonly #onItem: (json: string) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #around = '';
  #depth = 0;
  #amongItems = false;
  #inString = false;
  #escaped = false;

  constructor(onItem: (json: string) => void) {
    this.#onItem = onItem;
  }

  /** The list without its items, as far as it has come. */
  get rest(): string {
    return this.#around + Buffer.concat(this.#pending).toString('utf8');
  }

  push(chunk: Buffer): void {
    let [depth, inString, escaped, from] = [this.#depth, this.#inString, this.#escaped, 0];
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (byte === quote) {
        inString = true;
      } else if (byte === openBrace || byte === openBracket) {
        depth += 1;
        if (depth === inItems) this.#amongItems = byte === openBracket;
        if (depth !== inItem || !this.#amongItems) continue;
        const between = this.#take(chunk.subarray(from, at));
        // In the list that is left there is nothing to separate.
        if (between.trim() !== ',') this.#around += between;
        from = at;
      } else if (byte === closeBrace || byte === closeBracket) {
        depth -= 1;
        if (depth === inList) this.#amongItems = false;
        if (depth !== inItems || !this.#amongItems) continue;
        this.#onItem(this.#take(chunk.subarray(from, at + 1)));
        from = at + 1;
      }
    }
    [this.#depth, this.#inString, this.#escaped] = [depth, inString, escaped];
    if (from === chunk.length) return;
    this.#pending.push(chunk.subarray(from));
    this.#pendingBytes += chunk.length - from;
    if (this.#pendingBytes > longestItem) throw new RangeError(`an item of a list is longer than ${longestItem} bytes`);
  }

  #take(last: Buffer): string {
    const bytes = this.#pendingBytes === 0 ? last : Buffer.concat([...this.#pending, last]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return bytes.toString('utf8');
  }
}
