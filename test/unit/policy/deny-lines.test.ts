// Which lines of a policy can be about a rule.

import { expect } from 'chai';
import fc from 'fast-check';
import { eachLineAbout } from '../../../src/policy/deny-lines.ts';
import { overlap } from '../../../src/policy/overlap.ts';
import type { PolicyRule } from '../../../src/policy/rules.ts';

const resources = fc.subarray(['pods', 'pods/log', 'deployments', 'deployments/scale', '*/scale', 'pods/*', '*'], {
  minLength: 1,
  maxLength: 3,
});
const rule = fc.record({
  verbs: fc.subarray(['get', 'list', '*'], { minLength: 1 }),
  apiGroups: fc.subarray(['', 'apps', '*'], { minLength: 1 }),
  resources,
});
/** The lines that are visited for a rule. */
function linesAbout(deny: Parameters<typeof eachLineAbout>[0], about: PolicyRule): number[] {
  const lines: number[] = [];
  eachLineAbout(deny, about, (line) => lines.push(line));
  return lines;
}

const lines = fc.array(
  rule.map((one) => ({ why: 'a test', ...one })),
  { maxLength: 8 },
);

describe('the lines about a rule', () => {
  it('are all that have anything in common with it, each once', () => {
    fc.assert(
      fc.property(lines, rule, (deny, one) => {
        const found = linesAbout(deny, one);
        expect(found).to.deep.equal([...new Set(found)]);
        for (const [line, entry] of deny.entries()) {
          if (overlap(one, entry)) expect(found).to.include(line);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('are few, of a policy with many lines about other things', () => {
    const deny = ['secrets', 'nodes', 'pods', '*/proxy'].map((name) => ({
      why: 'a test',
      apiGroups: [''],
      resources: [name],
      verbs: ['*'],
    }));
    expect(linesAbout(deny, { apiGroups: [''], resources: ['pods'], verbs: ['get'] })).to.have.members([2, 3]);
  });
});
