// Keeps the heap close to what is in use: an operator holds much and makes little, and V8 lets garbage grow to as much as that and
// keeps the pages of what it has collected, until it is asked.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** How often it is looked at whether there is something to give back, in milliseconds. */
const INTERVAL = 2_000;

/** The share of its time that a process works which has nothing to do. */
const QUIET = 0.05;

/** After how many times the work that a collection takes there is one: at most a twentieth goes into them. */
const WORTH = 20;

/** At the second quiet look in a row half of that work is worth it, and so on up to the fifth: what follows a collection may be little. */
const PATIENCE = 5;

/**
 * Gives back what work has left behind, now, and from here on whenever there was some and nothing goes on any more. With 10,000
 * grants it takes some 0.2 s, in which nothing else happens, so it is begun when a start has filled all caches. `intervalMs` is
 * for tests.
 */
export function keepHeapTight({ intervalMs = INTERVAL } = {}): void {
  // Moving what is in use together blocks for up to 0.1 s each time, and leaves behind as many pages. Once all is quiet is enough.
  setFlagsFromString('--gc-experiment-less-compaction');
  const collect = collector();
  let tookMs = collect();
  let [workedMs, quietLooks] = [0, 0];
  let seen = performance.eventLoopUtilization();
  setInterval(() => {
    const { utilization, active } = performance.eventLoopUtilization(seen);
    workedMs += active;
    quietLooks = utilization < QUIET ? quietLooks + 1 : 0;
    if (isWorthIt({ workedMs, tookMs, quietLooks })) {
      tookMs = collect();
      [workedMs, quietLooks] = [0, 0];
    }
    seen = performance.eventLoopUtilization();
  }, intervalMs).unref();
}

/** Whether to collect: by the work since the last collection, how long that took, and at how many looks in a row all was quiet. */
export function isWorthIt({
  workedMs,
  tookMs,
  quietLooks,
}: {
  workedMs: number;
  tookMs: number;
  quietLooks: number;
}): boolean {
  return workedMs * Math.min(quietLooks, PATIENCE) > tookMs * WORTH;
}

/** V8's collector for when memory is short, the only one that gives pages back; `gc` alone keeps a pool of them. Returns how long it took, in milliseconds. */
function collector(): () => number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  return () => {
    const startedAt = performance.now();
    if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    return performance.now() - startedAt;
  };
}
