// What the demo sees of its agent: the changes of the answers that the agent gets.
import { createInterface } from 'node:readline';
import { z } from 'zod';

const changeSchema = z.object({ at: z.coerce.date(), status: z.number(), message: z.string() });
export type Change = z.infer<typeof changeSchema>;

export type Observer = {
  /** The answer that the agent gets now. */
  readonly now: Change | undefined;
  /** The change to `status`, the one that holds already included. Rejects after `timeoutMs` with what holds instead. */
  until(status: number, timeoutMs: number): Promise<Change>;
};

/** Follows the lines that demo-agent.ts prints. */
export function observe(output: NodeJS.ReadableStream): Observer {
  let now: Change | undefined;
  const waiting = new Set<(change: Change) => void>();
  createInterface({ input: output }).on('line', (line) => {
    now = changeSchema.parse(JSON.parse(line));
    for (const told of waiting) told(now);
  });
  return {
    get now() {
      return now;
    },
    until: (status, timeoutMs) =>
      new Promise((resolve, reject) => {
        const told = (change: Change) => {
          if (change.status !== status) return;
          clearTimeout(timeout);
          waiting.delete(told);
          resolve(change);
        };
        const timeout = setTimeout(() => {
          waiting.delete(told);
          const instead = now ? `${now.status}: ${now.message}` : 'no answer at all';
          reject(new Error(`the agent's request should be answered with ${status} by now, but it gets ${instead}`));
        }, timeoutMs);
        waiting.add(told);
        if (now) told(now);
      }),
  };
}
