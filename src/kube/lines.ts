// Splits a stream of bytes into lines, however they are cut into chunks.

const newline = 0x0a;
// etcd holds objects of up to 1.5 MB; JSON may be several times as long. Beyond this, something else is sending.
const longestLine = 64 * 1024 * 1024;

/**
 * Takes chunks and hands out complete lines, decoded as UTF-8 only when complete, so that a character cut in two is read
 * whole. Work is linear in the bytes, also for a line that comes in a thousand chunks. What follows the last newline is
 * kept back: a line that was cut off is no line. `push` throws a RangeError for a line longer than 64 MiB.
 */
export class LineSplitter {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      const rest = chunk.subarray(from, at);
      from = at + 1;
      const line = this.#pendingBytes === 0 ? rest : Buffer.concat([...this.#pending, rest]);
      this.#pending = [];
      this.#pendingBytes = 0;
      if (line.length > 0) this.#onLine(line.toString('utf8'));
    }
    if (from === chunk.length) return;
    this.#pending.push(chunk.subarray(from));
    this.#pendingBytes += chunk.length - from;
    if (this.#pendingBytes > longestLine) throw new RangeError(`a line is longer than ${longestLine} bytes`);
  }
}
