// What a cache and a log did, as something that a test can wait for.
import type { Cache, CacheEvent } from '../../src/kube/cache.ts';
import { type Log, silentLog } from '../../src/kube/log.ts';
import type { KubeObject } from '../../src/kube/object.ts';

/** All events of a cache, which can be waited for. */
export function recorded<T extends KubeObject>(cache: Cache<T>) {
  const events: CacheEvent<T>[] = [];
  const waiting = new Set<() => void>();
  cache.subscribe((event) => {
    events.push(event);
    for (const check of waiting) check();
  });
  return {
    events,
    /** Resolves once an event is there that matches. */
    until: (matches: (event: CacheEvent<T>) => boolean) =>
      new Promise<CacheEvent<T>>((resolve) => {
        const check = (): void => {
          const found = events.find(matches);
          if (!found) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      }),
  };
}

/** A log whose lines can be waited for. */
export function listeningLog() {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const write = (message: string, fields?: Record<string, unknown>): void => {
    lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
    for (const check of waiting) check();
  };
  const log: Log = { ...silentLog, info: write, warn: write, error: write };
  const until = (part: string) =>
    new Promise<string>((resolve) => {
      const check = (): void => {
        const found = lines.find((line) => line.includes(part));
        if (!found) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  return { log, lines, until };
}
