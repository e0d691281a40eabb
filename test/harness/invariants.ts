// The invariants of hallpass, checked from outside with an admin's eyes, as `kubectl hallpass verify` checks them.
import { setTimeout as delay } from 'node:timers/promises';
import { violations as violationsOf } from '../../src/access/invariants.ts';
import { readEverything } from '../../src/cli/verify.ts';
import type { Client } from '../../src/kube/client.ts';

/** What is wrong, as sentences; empty when every invariant holds. Read uncached, so call it while nothing is being changed. */
export async function violations(admin: Client): Promise<string[]> {
  return violationsOf(await readEverything(admin), Date.now());
}

/** Resolves once every invariant holds; throws what doesn't when that takes longer than `timeoutMs`. */
export async function settled(admin: Client, timeoutMs = 20_000): Promise<void> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const found = await violations(admin);
    if (found.length === 0) return;
    if (performance.now() > until) throw new Error(`invariants that don't hold:\n  ${found.join('\n  ')}`);
    await delay(100);
  }
}
