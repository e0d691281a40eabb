// Turns of the event loop in the middle of much work that waits for nothing: timers, sockets and with them the lease go on.

import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long work may go on before others have their turn, in milliseconds. */
const SLICE = 5;

/** Shared by those who work beside one another: they give way together. */
export class Turns {
  /** When work began in this turn, and the next turn; undefined while there was none. */
  #now: { since: number; next: Promise<void> } | undefined;

  /** To be asked between two pieces of work: what to wait for when they have gone on for 5 ms; undefined before that. */
  take(): Promise<void> | undefined {
    this.#now ??= {
      since: performance.now(),
      next: nextTurn().then(() => {
        this.#now = undefined;
      }),
    };
    return performance.now() - this.#now.since < SLICE ? undefined : this.#now.next;
  }
}

/** Does the same with each item, at once for those that a slice has time for, and for the others in the turns after it. */
export function inTurns<T>(items: readonly T[], act: (item: T) => void): void {
  const remaining = items.values();
  const work = (): void => {
    const since = performance.now();
    for (const item of remaining) {
      act(item);
      if (performance.now() - since < SLICE) continue;
      setImmediate(work);
      return;
    }
  };
  work();
}
