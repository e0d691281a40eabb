// How much memory hallpass takes with many grants.
import type { Figure } from '../figure.ts';
import { heapDetails } from '../metrics.ts';
import { quietMegabytes, residentMegabytes } from '../processes.ts';
import { GRANTS, LAPSING, tenThousandGrants } from '../ten-thousand.ts';

const targetMegabytes = 200;

export const memory: Figure = {
  name: 'memory',
  title: `resident memory at ${GRANTS.toLocaleString('en')} grants`,
  target: `≤ ${targetMegabytes} MB`,
  method:
    'Of the process that issued them all, as Linux counts it (VmRSS), in MB of 1,000,000 bytes, with the heap that V8 allows itself in a container of 512 MiB, when nobody has asked anything of it for 10 s; and before that.',
  async measure(progress) {
    const { lab } = await tenThousandGrants(progress, { lapsing: LAPSING });
    const busy = await residentMegabytes(lab.hallpass.pid);
    const resident = await quietMegabytes(lab.hallpass.pid);
    return {
      value: `${resident.toFixed(0)} MB`,
      met: resident <= targetMegabytes,
      details: [
        ['right after it was at work', `${busy.toFixed(0)} MB`],
        ...(await heapDetails(lab.hallpass.healthUrl)),
      ],
    };
  },
};
