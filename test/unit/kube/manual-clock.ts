// A clock that a test moves by hand, with the timers that hang on it.

import type { SetTimer } from '../../../src/kube/alarm.ts';

export class ManualClock {
  #now = 0;
  #sequence = 0;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();
  /** Every delay asked for, in order. */
  readonly delays: number[] = [];

  readonly now = (): number => this.#now;

  readonly setTimer: SetTimer = (callback, delayMs) => {
    const id = this.#sequence++;
    this.delays.push(delayMs);
    this.#timers.set(id, { at: this.#now + delayMs, callback });
    return () => this.#timers.delete(id);
  };

  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Moves the time, running on the way what falls due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [first] = [...this.#timers].filter(([, t]) => t.at <= end).sort(([a, s], [b, t]) => s.at - t.at || a - b);
      if (first === undefined) break;
      const [id, timer] = first;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
    }
    this.#now = end;
  }

  /** As `advance`, with pending promises settled before, after each timer, and at the end. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const next = Math.min(...[...this.#timers.values()].map((t) => t.at));
      if (next > end) break;
      this.advance(Math.max(0, next - this.#now));
      await settle();
    }
    this.advance(end - this.#now);
    await settle();
  }
}

/** Lets everything run that needs neither a timer nor the network. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
