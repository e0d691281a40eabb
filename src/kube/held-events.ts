// What a watch tells of an object while this process writes it: held back until the answer to the write is here, since it is
// most often this very write.

import { type SetTimer, systemTimer } from './alarm.ts';

/** Longer than a write takes; an answer that doesn't come must not keep from others what happened, in milliseconds. */
const LONGEST = 1_000;

type Held<E> = { writes: number; events: E[]; cancel?: () => void };

/** Events of objects that are being written, by the object's key. */
export class HeldEvents<E> {
  readonly #held = new Map<string, Held<E>>();
  readonly #release: (event: E) => void;
  readonly #setTimer: SetTimer;

  /** `release` gets each event that was held, in order, once it may be looked at. */
  constructor(release: (event: E) => void, setTimer = systemTimer) {
    this.#release = release;
    this.#setTimer = setTimer;
  }

  /** Does something about an object, while which its events are held. */
  async during<R>(key: string, act: () => Promise<R>): Promise<R> {
    const held = this.#held.get(key) ?? { writes: 0, events: [] };
    held.writes += 1;
    this.#held.set(key, held);
    try {
      return await act();
    } finally {
      held.writes -= 1;
      if (held.writes === 0 && this.#held.get(key) === held) this.#let(key, held);
    }
  }

  /** Whether the event is held back now. */
  hold(key: string, event: E): boolean {
    const held = this.#held.get(key);
    if (!held) return false;
    held.events.push(event);
    held.cancel ??= this.#setTimer(() => this.#let(key, held), LONGEST);
    return true;
  }

  #let(key: string, held: Held<E>): void {
    held.cancel?.();
    this.#held.delete(key);
    for (const event of held.events) this.#release(event);
  }
}
