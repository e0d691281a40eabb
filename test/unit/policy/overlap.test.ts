// What rules have in common: the part of a grant that a line of a policy is about.

import { expect } from 'chai';
import fc from 'fast-check';
import { overlap, wildParts } from '../../../src/policy/overlap.ts';
import { covers, type PolicyRule, rulesAllow } from '../../../src/policy/rules.ts';

const rule = (verbs: string, groups: string, resources: string, names?: string): PolicyRule => ({
  verbs: verbs.split(','),
  apiGroups: groups.split(',').map((group) => (group === 'core' ? '' : group)),
  resources: resources.split(','),
  ...(names === undefined ? {} : { resourceNames: names.split(',') }),
});

describe('what two rules have in common', () => {
  const cases: [string, PolicyRule, PolicyRule, PolicyRule | undefined][] = [
    [
      'the verbs of both',
      rule('get,list', 'core', 'pods'),
      rule('list,watch', 'core', 'pods'),
      rule('list', 'core', 'pods'),
    ],
    ['nothing without a common verb', rule('get', 'core', 'pods'), rule('list', 'core', 'pods'), undefined],
    ['nothing without a common group', rule('get', 'core', 'pods'), rule('get', 'apps', 'pods'), undefined],
    ['nothing without a common resource', rule('get', 'core', 'pods'), rule('get', 'core', 'secrets'), undefined],
    [
      'what a wildcard of the line names',
      rule('get', 'core', 'pods'),
      rule('*', '*', '*'),
      rule('get', 'core', 'pods'),
    ],
    [
      'what the line names of a wildcard',
      rule('*', '*', '*'),
      rule('get', 'core', 'secrets'),
      rule('get', 'core', 'secrets'),
    ],
    ['wildcards of both', rule('*', '*', '*'), rule('*', '*', '*'), rule('*', '*', '*')],
    ['not a subresource of what is named', rule('get', 'core', 'pods/log'), rule('get', 'core', 'pods'), undefined],
    [
      'a subresource of everything',
      rule('get', 'core', '*'),
      rule('get', 'core', 'pods/exec'),
      rule('get', 'core', 'pods/exec'),
    ],
    [
      'a subresource of every kind',
      rule('get', 'core', 'pods/proxy'),
      rule('get', '*', '*/proxy'),
      rule('get', 'core', 'pods/proxy'),
    ],
    [
      'of a kind every subresource',
      rule('get', 'core', 'pods/exec'),
      rule('get', 'core', 'pods/*'),
      rule('get', 'core', 'pods/exec'),
    ],
    ['no other subresource', rule('get', 'core', 'pods/log'), rule('get', '*', '*/proxy'), undefined],
    [
      'the names of both',
      rule('get', 'core', 'pods', 'a,b'),
      rule('get', 'core', 'pods', 'b,c'),
      rule('get', 'core', 'pods', 'b'),
    ],
    ['nothing without a common name', rule('get', 'core', 'pods', 'a'), rule('get', 'core', 'pods', 'b'), undefined],
    [
      'the names of one that has any',
      rule('get', 'core', 'pods'),
      rule('get', 'core', 'pods', 'b'),
      rule('get', 'core', 'pods', 'b'),
    ],
  ];
  for (const [what, one, other, common] of cases) {
    it(`is ${what}`, () => expect(overlap(one, other)).to.deep.equal(common));
  }

  const axis = (values: string[]) => fc.subarray(values, { minLength: 1, maxLength: 3 });
  const rules: fc.Arbitrary<PolicyRule> = fc
    .record({
      verbs: axis(['get', 'list', 'delete', '*']),
      apiGroups: axis(['', 'apps', '*']),
      resources: axis(['pods', 'pods/log', 'deployments', 'deployments/scale', '*/scale', '*/log', '*']),
      resourceNames: fc.option(axis(['a', 'b', 'c']), { nil: undefined }),
    })
    .map(({ resourceNames, ...rest }) => (resourceNames ? { ...rest, resourceNames } : rest));
  const request = fc.record({
    verb: fc.constantFrom('get', 'list', 'delete', 'patch'),
    apiGroup: fc.constantFrom('', 'apps', 'batch'),
    resource: fc.constantFrom('pods', 'deployments', 'jobs'),
    subresource: fc.constantFrom('', 'log', 'scale', 'exec'),
    name: fc.constantFrom('', 'a', 'b', 'd'),
  });

  it('allows exactly what both allow', () => {
    fc.assert(
      fc.property(rules, rules, request, (one, other, asked) => {
        const common = overlap(one, other);
        const both = rulesAllow([one], asked) && rulesAllow([other], asked);
        expect(common !== undefined && rulesAllow([common], asked)).to.equal(both);
      }),
      { numRuns: 3000 },
    );
  });

  it('is the same from both sides, as far as it allows', () => {
    fc.assert(
      fc.property(rules, rules, (one, other) => {
        const [a, b] = [overlap(one, other), overlap(other, one)];
        expect(a === undefined).to.equal(b === undefined);
        if (a && b) expect(covers([a], [b]).covered && covers([b], [a]).covered).to.equal(true);
      }),
    );
  });

  it('is covered by either', () => {
    fc.assert(
      fc.property(rules, rules, (one, other) => {
        const common = overlap(one, other);
        if (common) expect(covers([one], [common]).covered && covers([other], [common]).covered).to.equal(true);
      }),
    );
  });

  it('leaves of a rule the parts that are said by a wildcard', () => {
    expect(wildParts(rule('get', 'core', 'pods,pods/log'))).to.deep.equal([]);
    expect(wildParts(rule('get,*', 'core', 'pods'))).to.deep.equal([rule('*', 'core', 'pods')]);
    expect(wildParts(rule('get', 'apps', 'deployments,*/scale,pods/*', 'a'))).to.deep.equal([
      rule('get', 'apps', '*/scale,pods/*', 'a'),
    ]);
    expect(wildParts(rule('*', '*', 'pods'))).to.deep.equal([rule('*', '*', 'pods'), rule('*', '*', 'pods')]);
  });
});
