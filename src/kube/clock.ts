// The API server's time, estimated from the Date headers of its answers.

// A quartz clock is off by up to some 50 µs a second; what was learned loosens by this much, so that it can be corrected.
const driftPerMs = 0.0001;
// More than this at once between wall and monotonic clock is a step, less is the wall clock being slewed.
const stepMs = 50;

/**
 * Tells the API server's time. Each Date header says that, at some moment between sending the request and receiving the
 * answer, the server's clock was within one whole second. The offsets that are consistent with all of them are an
 * interval; while 0 is inside it the clocks are taken to agree, else its middle is the offset.
 */
export class ServerClock {
  #low = Number.NEGATIVE_INFINITY;
  #high = Number.POSITIVE_INFINITY;
  #observedAt = 0;
  #base = 0;
  /** The header that was read last, and what it says: all answers of a second have the same. */
  #read = { header: '', date: Number.NaN };
  readonly #wall: () => number;
  readonly #monotonic: () => number;

  /** The two clocks are for tests: wall time and monotonic time, in milliseconds. */
  constructor(options: { wall?: () => number; monotonic?: () => number } = {}) {
    this.#wall = options.wall ?? Date.now;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#base = this.#wall() - this.#monotonic();
  }

  /** The API server's time now. */
  now(): Date {
    return new Date(this.#wall() + this.offsetMs);
  }

  /** What to add to the local clock to get the API server's, in milliseconds. */
  get offsetMs(): number {
    this.#followLocalClock();
    if (this.#low <= 0 && this.#high >= 0) return 0;
    return Math.round((this.#low + this.#high) / 2);
  }

  /** How wide the interval of possible offsets is, in milliseconds; infinite before the first answer. */
  get uncertaintyMs(): number {
    return this.#high - this.#low;
  }

  /** Learns from one answer. The two times are of the local wall clock. A header that is no date is ignored. */
  observe(dateHeader: string | undefined, sentAtMs: number, receivedAtMs: number): void {
    if (dateHeader === undefined) return;
    if (dateHeader !== this.#read.header) this.#read = { header: dateHeader, date: Date.parse(dateHeader) };
    const { date } = this.#read;
    if (Number.isNaN(date) || receivedAtMs < sentAtMs) return;
    this.#followLocalClock();
    // Local times are whole milliseconds, rounded down; hence the one beside the second.
    const low = date - receivedAtMs - 1;
    const high = date + 1000 - sentAtMs;
    const now = this.#monotonic();
    const drift = (now - this.#observedAt) * driftPerMs;
    this.#observedAt = now;
    this.#low = Math.max(this.#low - drift, low);
    this.#high = Math.min(this.#high + drift, high);
    // The server's clock was set, or another server with another clock answered: only the newest counts.
    if (this.#low > this.#high) {
      this.#low = low;
      this.#high = high;
    }
  }

  // The interval is about the server's clock against the local wall clock, which may be slewed or set.
  #followLocalClock(): void {
    const base = this.#wall() - this.#monotonic();
    const change = base - this.#base;
    this.#base = base;
    // A slow change is the wall clock being slewed: the offset changes the other way. A sudden one is either the wall
    // clock being set, or the machine having slept, where the offset stays: allow for both until the next answer.
    const slewed = Math.abs(change) <= stepMs;
    this.#low -= slewed ? change : Math.max(change, 0);
    this.#high -= slewed ? change : Math.min(change, 0);
  }
}
