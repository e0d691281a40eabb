// What hallpass asks of the API server while nothing happens.
import { setTimeout as delay } from 'node:timers/promises';
import type { Figure } from '../figure.ts';
import { added, isUpkeep, requests } from '../metrics.ts';
import { GRANTS, LAPSING, tenThousandGrants } from '../ten-thousand.ts';

const watchedMs = 60_000;

export const idle: Figure = {
  name: 'idle',
  title: `API requests a minute with ${GRANTS.toLocaleString('en')} converged grants (leases and watch renewals apart)`,
  target: '0',
  method: "By hallpass's own count of its requests over one minute.",
  async measure(progress) {
    const { lab } = await tenThousandGrants(progress, { lapsing: LAPSING });
    progress('counting for one minute');
    const before = await requests(lab.hallpass.healthUrl);
    await delay(watchedMs);
    const counts = [...added(before, await requests(lab.hallpass.healthUrl))];
    const text = (entries: [string, number][]) => entries.map(([key, n]) => `${n} ${key}`).join(', ') || 'none';
    const work = counts.filter(([key]) => !isUpkeep(key));
    const total = work.reduce((sum, [, count]) => sum + count, 0);
    return {
      value: String(total),
      met: total === 0,
      details: [
        ['requests', text(work)],
        ['leases and watch renewals', text(counts.filter(([key]) => isUpkeep(key)))],
      ],
    };
  },
};
