// The algebra of RBAC rules on rules that were written to hurt: as large as a grant may be, or larger.
import { expect } from 'chai';
import { covers, type PolicyRule, rulesAllow, uncoveredRules } from '../../../src/policy/rules.ts';
import { rule } from './rules.shorthand.ts';

describe('hostile rules', () => {
  const numbered = (letter: string, count: number) => Array.from({ length: count }, (_, i) => `${letter}${i}`);
  const largest: PolicyRule = {
    verbs: numbered('v', 16),
    apiGroups: numbered('g', 16),
    resources: numbered('r', 16),
    resourceNames: numbered('n', 32),
  };

  it('of 131,072 atoms each, 32 of them, are decided on, and the first missing atoms shown, without making them all', () => {
    const servant = new Array<PolicyRule>(32).fill(largest);
    const memory = process.memoryUsage().heapUsed;
    const { covered } = covers([rule('*', '*', '*', 'n0')], servant);
    const missing = uncoveredRules([], servant);
    const first = [missing.next().value, missing.next().value];
    expect(process.memoryUsage().heapUsed - memory).to.be.lessThan(100e6);
    expect(covered).to.equal(false);
    expect(first).to.deep.equal([rule('v0', 'g0', 'r0', 'n0'), rule('v0', 'g0', 'r0', 'n1')]);
  });

  it('by the thousand, overlapping, do not hide the one atom of 131,072 that they leave uncovered', () => {
    const last = rule('v15', 'g15', 'r15', 'n31');
    const owner = Array.from({ length: 4096 }, (_, i) => ({
      verbs: largest.verbs.filter((_verb, at) => at !== i % 16),
      apiGroups: numbered('g', 16).filter((_group, at) => at !== (i >> 4) % 16),
      resources: numbered('r', 16).filter((_resource, at) => at !== i >> 8),
      resourceNames: numbered('n', 31),
    }));
    const rest = [
      { ...largest, verbs: numbered('v', 15), resourceNames: ['n31'] },
      { ...largest, apiGroups: numbered('g', 15), resourceNames: ['n31'] },
      { ...largest, resources: numbered('r', 15), resourceNames: ['n31'] },
    ];
    expect(covers([...owner, ...rest], [largest])).to.deep.equal({ covered: false, uncovered: [last] });
    expect(covers([...owner, ...rest, last], [largest]).covered).to.equal(true);
  });

  it('with very many asterisks in their URLs cost no more than others', () => {
    const asterisks = '*'.repeat(200_000);
    const started = process.cpuUsage();
    const rules = new Array<PolicyRule>(20).fill({
      verbs: ['get'],
      nonResourceURLs: [`${asterisks}x`, `/${asterisks}`],
    });
    expect(rulesAllow(rules, { verb: 'get', path: `${asterisks}y` })).to.equal(false);
    // A regular expression takes minutes here; this takes milliseconds.
    expect(process.cpuUsage(started).user).to.be.lessThan(2e6);
  });
});
