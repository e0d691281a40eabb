// When what gives a grant's access may be put back: at once, but not for ever as fast as something takes it away.

/** Nobody's mistake needs more repairs than this in a row; what a garbage collector takes along with it included. */
const AT_ONCE = 10;
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 60_000;
/** After so long without one, in milliseconds, the next repair is the first again. */
const CALM = 2 * LONGEST_WAIT;

export class Repairs {
  readonly #now: () => number;
  readonly #made = new Map<string, { count: number; at: number }>();

  /** `now`: a monotonic clock, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How long the next repair of a grant has to wait yet, in milliseconds; 0 when it may be made. */
  wait(grantKey: string): number {
    const made = this.#made.get(grantKey);
    if (!made || made.count < AT_ONCE) return 0;
    const wait = Math.min(FIRST_WAIT * 2 ** (made.count - AT_ONCE), LONGEST_WAIT);
    return Math.max(0, made.at + wait - this.#now());
  }

  /** One is begun. */
  note(grantKey: string): void {
    const at = this.#now();
    const before = this.#made.get(grantKey);
    const count = before && at - before.at < CALM ? before.count + 1 : 1;
    this.#made.set(grantKey, { count, at });
  }

  /** The grant is over or gone. */
  forget(grantKey: string): void {
    this.#made.delete(grantKey);
  }
}
