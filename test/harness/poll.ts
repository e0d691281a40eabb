// Waiting for what nothing tells: rights, caches and policies of an API server take effect some milliseconds after a write.
import { setTimeout as delay } from 'node:timers/promises';

/** Repeats a question until its answer is as wanted; throws, with the last one, what takes longer than `bound` milliseconds. */
export async function poll<T>(
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  bound = 20_000,
  o: { pause?: number; told?: (answer: T) => string | Promise<string> } = {},
): Promise<T> {
  const end = performance.now() + bound;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (performance.now() > end) {
      const told = (await o.told?.(answer)) ?? `not as wanted: ${JSON.stringify(answer)}`;
      throw new Error(`after ${bound} ms ${told}`);
    }
    await delay(o.pause ?? 50);
  }
}
