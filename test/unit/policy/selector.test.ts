// Which namespaces a policy selects.

import { expect } from 'chai';
import { type LabelSelector, selects } from '../../../src/policy/selector.ts';

const labels = { team: 'a', 'kubernetes.io/metadata.name': 'prod' };

describe('a label selector', () => {
  const cases: [string, LabelSelector, boolean][] = [
    ['everything when it is empty', {}, true],
    ['what has the label with this value', { matchLabels: { team: 'a' } }, true],
    ['nothing with another value', { matchLabels: { team: 'b' } }, false],
    ['nothing without the label', { matchLabels: { tier: 'a' } }, false],
    ['nothing by a name that every object has', { matchLabels: { constructor: 'Object' } }, false],
    ['only what all labels match', { matchLabels: { team: 'a', tier: 'x' } }, false],
    ['one of several values', { matchExpressions: [{ key: 'team', operator: 'In', values: ['b', 'a'] }] }, true],
    ['no other value', { matchExpressions: [{ key: 'team', operator: 'In', values: ['b'] }] }, false],
    [
      'nothing by In that lacks the label',
      { matchExpressions: [{ key: 'tier', operator: 'In', values: [''] }] },
      false,
    ],
    ['what has another value', { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['b'] }] }, true],
    ['what lacks the label, by NotIn', { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['b'] }] }, true],
    [
      'not what has one of these values',
      { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['a'] }] },
      false,
    ],
    ['what has the label', { matchExpressions: [{ key: 'team', operator: 'Exists' }] }, true],
    ['not what lacks it', { matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, false],
    ['what lacks the label', { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, true],
    ['not what has it', { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] }, false],
    [
      'only where labels and expressions both match',
      { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'tier', operator: 'Exists' }] },
      false,
    ],
  ];
  for (const [what, selector, expected] of cases) {
    it(`selects ${what}`, () => expect(selects(selector, labels)).to.equal(expected));
  }

  it('takes an object without labels for one that has none', () => {
    expect(selects({}, undefined)).to.equal(true);
    expect(selects({ matchLabels: { team: 'a' } }, undefined)).to.equal(false);
  });
});
