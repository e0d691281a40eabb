// Which key is due when: one timer on the earliest of many deadlines.

import { Alarm, type SetTimer } from './alarm.ts';
import { KeyedHeap } from './heap.ts';

/** The wall clock may be set while the timer sleeps; a due key is then at most this much late. */
const clockCheckMs = 60_000;

/**
 * Calls `onDue` once for each key when its deadline has come by `now`, never before. A key has one deadline: setting it
 * again replaces it. However many keys there are, one timer runs, on the earliest.
 */
export class Deadlines {
  readonly #now: () => Date;
  readonly #onDue: (key: string) => void;
  readonly #heap = new KeyedHeap<number>((a, b) => a < b);
  readonly #alarm: Alarm;

  constructor(o: { now: () => Date; onDue: (key: string) => void; setTimer?: SetTimer }) {
    this.#now = o.now;
    this.#onDue = o.onDue;
    this.#alarm = new Alarm({
      now: () => this.#now().getTime(),
      onRing: () => this.#ring(),
      setTimer: o.setTimer,
      longestSleepMs: clockCheckMs,
    });
  }

  /** How many keys wait for a deadline. */
  get size(): number {
    return this.#heap.size;
  }

  /** The earliest deadline. */
  next(): Date | undefined {
    const first = this.#heap.peek();
    return first === undefined ? undefined : new Date(first.value);
  }

  /**
   * Sets, moves or (undefined) removes the key's deadline. One that has passed is due at once, but not within this call.
   * Throws RangeError for an invalid date, which would otherwise never be due.
   */
  set(key: string, at: Date | undefined): void {
    if (at === undefined) {
      this.#heap.delete(key);
    } else {
      const time = at.getTime();
      if (Number.isNaN(time)) throw new RangeError(`deadline of ${key}: not a valid date`);
      this.#heap.set(key, time);
    }
    this.#alarm.set(this.#heap.peek()?.value);
  }

  /** Forgets all deadlines and ends the timer. */
  stop(): void {
    while (this.#heap.pop() !== undefined);
    this.#alarm.set(undefined);
  }

  #ring(): void {
    const now = this.#now().getTime();
    const due: string[] = [];
    for (let first = this.#heap.peek(); first !== undefined && first.value <= now; first = this.#heap.peek()) {
      this.#heap.pop();
      due.push(first.key);
    }
    this.#alarm.set(this.#heap.peek()?.value);
    for (const key of due) this.#onDue(key);
  }
}
