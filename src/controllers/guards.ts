// Watches the admission guards: while one is missing or altered, nothing is issued.

import { expectedGuards } from '../access/guards/expected.ts';
import { guardProblems } from '../access/guards/problems.ts';
import type { Log } from '../kube/log.ts';
import { type Caches, guardCaches } from './cluster.ts';

export class GuardWatch {
  readonly #caches: Caches;
  readonly #log: Log;
  readonly #expected = expectedGuards();
  readonly #listeners: (() => void)[] = [];
  #problems: string[] = ['the guards have not been looked at yet'];

  /** Looks at once, so the caches must have synced, and again at each change. */
  constructor(caches: Caches, log: Log) {
    this.#caches = caches;
    this.#log = log;
    for (const cache of guardCaches(caches)) {
      cache.subscribe(({ initial }) => {
        if (!initial) this.#look();
      });
    }
    this.#look();
  }

  /** What is wrong, as sentences; empty when the guards are whole. */
  get problems(): string[] {
    return this.#problems;
  }

  /** Calls back whenever the problems have changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #look(): void {
    const [mutatingPolicies = [], mutatingBindings = [], validatingPolicies = [], validatingBindings = []] =
      guardCaches(this.#caches).map((cache) => cache.list());
    const live = { mutatingPolicies, mutatingBindings, validatingPolicies, validatingBindings };
    const problems = guardProblems(live, this.#expected);
    if (problems.join('\n') === this.#problems.join('\n')) return;
    this.#problems = problems;
    if (problems.length > 0) {
      this.#log.error('the admission guards are not whole: nothing new is granted', {
        problems,
      });
    } else {
      this.#log.info('the admission guards are whole');
    }
    for (const listener of this.#listeners) listener();
  }
}
