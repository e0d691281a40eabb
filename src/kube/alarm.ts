// One timer that rings at a moment, however far away, and never before it.

/** Starts a timer and returns what cancels it. Tests give one whose time they move by hand. */
export type SetTimer = (callback: () => void, delayMs: number) => () => void;

export const systemTimer: SetTimer = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** Node runs a timer with a longer delay after 1 ms. */
const longestDelayMs = 2 ** 31 - 1;

/** Rings once at the moment set last, by the clock `now` (ms). A timer that woke too early is armed again. */
export class Alarm {
  readonly #now: () => number;
  readonly #onRing: () => void;
  readonly #setTimer: SetTimer;
  readonly #longestSleepMs: number;
  #at: number | undefined;
  #cancel: (() => void) | undefined;

  /** `longestSleepMs`: after which the clock is read again, for clocks that may be set while the timer sleeps. */
  constructor(o: { now: () => number; onRing: () => void; setTimer?: SetTimer; longestSleepMs?: number }) {
    this.#now = o.now;
    this.#onRing = o.onRing;
    this.#setTimer = o.setTimer ?? systemTimer;
    this.#longestSleepMs = Math.min(o.longestSleepMs ?? longestDelayMs, longestDelayMs);
  }

  /** Moves the alarm; undefined silences it. It rings later, never within this call, also for a moment that has passed. */
  set(at: number | undefined): void {
    if (at === this.#at) return;
    this.#at = at;
    this.#arm();
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#at === undefined) return;
    const delayMs = Math.min(Math.max(Math.ceil(this.#at - this.#now()), 0), this.#longestSleepMs);
    this.#cancel = this.#setTimer(() => this.#wake(), delayMs);
  }

  #wake(): void {
    if (this.#at === undefined) return;
    if (this.#now() < this.#at) {
      this.#arm();
      return;
    }
    this.#at = undefined;
    this.#cancel = undefined;
    this.#onRing();
  }
}
