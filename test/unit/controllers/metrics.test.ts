// What a scrape holds of the controllers' own matter.

import { expect } from 'chai';
import { Registry } from 'prom-client';
import { PHASES } from '../../../src/api/conditions.ts';
import { createGrantMetrics } from '../../../src/controllers/metrics.ts';
import { countPhases } from '../../../src/controllers/start.ts';
import { grant } from '../policy/snapshots.ts';

describe('the gauge of grants', () => {
  it('has a series for every phase, also without grants', async () => {
    const registry = new Registry();
    let grants = [grant(), grant({ status: { phase: 'Active' } })];
    createGrantMetrics(registry).phases(() => countPhases(grants));
    expect(await registry.metrics())
      .to.contain('hallpass_grants{phase="Active"} 1')
      .and.contain('hallpass_grants{phase="Pending"} 1');
    grants = [];
    const scrape = await registry.metrics();
    for (const phase of Object.keys(PHASES)) expect(scrape).to.contain(`hallpass_grants{phase="${phase}"} 0`);
  });
});
