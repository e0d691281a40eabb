// Reads what hallpass counts about itself.
import { setTimeout as delay } from 'node:timers/promises';

export type Sample = { name: string; labels: Record<string, string>; value: number };

/** All samples that hallpass serves now. */
export async function scrape(healthUrl: string): Promise<Sample[]> {
  const text = await (await fetch(`${healthUrl}/metrics`)).text();
  return text.split('\n').flatMap((line) => {
    const match = /^([a-z_:]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) return [];
    const labels = [...(match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]);
    return [{ name: match[1] ?? '', labels: Object.fromEntries(labels), value: Number(match[3]) }];
  });
}

/** Requests to the API server so far, by `METHOD resource`. Opening a watch counts as `WATCH`. */
export async function requests(healthUrl: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const { name, labels, value } of await scrape(healthUrl)) {
    if (name !== 'rest_client_requests_total') continue;
    const key = `${labels.method} ${labels.resource}`;
    counts.set(key, (counts.get(key) ?? 0) + value);
  }
  return counts;
}

/** What was added between two counts. */
export function added(before: Map<string, number>, after: Map<string, number>): Map<string, number> {
  const entries = [...after].map(([key, count]): [string, number] => [key, count - (before.get(key) ?? 0)]);
  return new Map(entries.filter(([, count]) => count > 0).sort());
}

/**
 * Resolves once hallpass has sent no request for `quietMs`, leases and watches apart: all that it had to do is done.
 * Throws after ten minutes.
 */
export async function quiet(healthUrl: string, quietMs = 3_000): Promise<void> {
  const until = performance.now() + 600_000;
  let last = '';
  let since = performance.now();
  for (;;) {
    const counts = [...(await requests(healthUrl))].filter(([key]) => !isUpkeep(key));
    const now = JSON.stringify(counts);
    if (now !== last) since = performance.now();
    else if (performance.now() - since > quietMs) return;
    last = now;
    if (performance.now() > until) throw new Error('hallpass is still busy after ten minutes');
    await delay(250);
  }
}

/** What hallpass says of its heap, as details of a figure. */
export async function heapDetails(healthUrl: string): Promise<[string, string][]> {
  const samples = await scrape(healthUrl);
  const megabytes = (of: string) => {
    const bytes = samples.find(({ name }) => name === `nodejs_${of}_bytes`)?.value ?? Number.NaN;
    return `${(bytes / 1_000_000).toFixed(0)} MB`;
  };
  return [
    ['heap, in use and taken', `${megabytes('heap_size_used')}, ${megabytes('heap_size_total')}`],
    ['outside of the heap', megabytes('external_memory')],
  ];
}

/** Requests that go on for as long as hallpass lives, whatever there is to do. */
export function isUpkeep(key: string): boolean {
  return key.startsWith('WATCH ') || key.endsWith(' leases');
}
