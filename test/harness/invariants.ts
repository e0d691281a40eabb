// The invariants of hallpass, checked from outside with an admin's eyes, as `kubectl hallpass verify` checks them.

import { violations as violationsOf } from '../../src/access/invariants.ts';
import { readEverything } from '../../src/cli/verify.ts';
import type { Client } from '../../src/kube/client.ts';
import { poll } from './poll.ts';

/** What is wrong, as sentences; empty when every invariant holds. Read uncached, so call it while nothing is being changed. */
export async function violations(admin: Client): Promise<string[]> {
  return violationsOf(await readEverything(admin), Date.now());
}

/** Resolves once every invariant holds; throws what doesn't when that takes longer than `timeoutMs`. */
export async function settled(admin: Client, timeoutMs = 20_000): Promise<void> {
  await poll(
    () => violations(admin),
    (found) => found.length === 0,
    timeoutMs,
    { pause: 100, told: (found) => `these invariants don't hold:\n  ${found.join('\n  ')}` },
  );
}
