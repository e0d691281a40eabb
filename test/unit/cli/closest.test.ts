// Which name was meant.

import { expect } from 'chai';
import { closest } from '../../../src/cli/closest.ts';

describe('the name that was meant', () => {
  for (const [written, names, meant] of [
    ['rolout-7', ['look', 'rollout-7'], 'rollout-7'],
    ['trigae', ['triage', 'deploy'], 'triage'],
    ['deplpoys', ['pods', 'deployments'], undefined],
    ['pod', ['pods', 'podtemplates'], 'pods'],
    ['ab', ['xy'], undefined],
    ['look', [], undefined],
  ] as const) {
    it(`is ${meant ?? 'none'} of [${names.join(', ')}] for ${written}`, () => {
      expect(closest(written, [...names])).to.equal(meant);
    });
  }
});
