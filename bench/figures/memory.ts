// How much memory hallpass takes with many grants.
import type { Figure } from '../figure.ts';
import { scrape } from '../metrics.ts';
import { quietMegabytes, residentMegabytes } from '../processes.ts';
import { GRANTS, LAPSING, tenThousandGrants } from '../ten-thousand.ts';

const targetMegabytes = 200;

export const memory: Figure = {
  name: 'memory',
  title: `resident memory at ${GRANTS.toLocaleString('en')} grants`,
  target: `≤ ${targetMegabytes} MB`,
  method:
    'Of the process that issued them all, as Linux counts it (VmRSS), in MB of 1,000,000 bytes, when nobody has asked anything of it for 10 s; and before that.',
  async measure(progress) {
    const { lab } = await tenThousandGrants(progress, { lapsing: LAPSING });
    const busy = await residentMegabytes(lab.hallpass.pid);
    const resident = await quietMegabytes(lab.hallpass.pid);
    const samples = await scrape(lab.hallpass.healthUrl);
    const heap = (name: string) =>
      `${((samples.find((sample) => sample.name === name)?.value ?? 0) / 1_000_000).toFixed(0)} MB`;
    return {
      value: `${resident.toFixed(0)} MB`,
      met: resident <= targetMegabytes,
      details: [
        ['right after it was at work', `${busy.toFixed(0)} MB`],
        ['heap, in use and taken', `${heap('nodejs_heap_size_used_bytes')}, ${heap('nodejs_heap_size_total_bytes')}`],
        ['outside of the heap', heap('nodejs_external_memory_bytes')],
      ],
    };
  },
};
