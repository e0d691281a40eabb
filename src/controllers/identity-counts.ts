// When the counts in an identity's status are brought up to date: each is a write that grants would wait for.

import type { Queue } from '../kube/queue.ts';

/** How long changes are gathered once no grant waits, in milliseconds. */
const SETTLE = 1_000;

/** So long at most a count waits for the grants to come to rest, in milliseconds. */
const LONGEST = 300_000;

/** Puts identities whose counts have changed into their queue: shortly after no grant is being worked on, or 5 minutes later. */
export class IdentityCounts {
  readonly #queues: { grants: Queue; identities: Queue };
  readonly #changed = new Set<string>();

  constructor(queues: { grants: Queue; identities: Queue }) {
    this.#queues = queues;
  }

  /** What is counted for this identity may have changed. */
  changed(key: string): void {
    const { grants, identities } = this.#queues;
    const first = this.#changed.size === 0;
    this.#changed.add(key);
    identities.add(key, { afterMs: LONGEST });
    if (first) void grants.idle().then(() => this.#flush());
  }

  #flush(): void {
    for (const key of this.#changed) this.#queues.identities.add(key, { afterMs: SETTLE });
    this.#changed.clear();
  }
}
