import { expect } from 'chai';
import * as fc from 'fast-check';
import { inEach } from '../../../src/policy/credentials.ts';

describe('the credentials that several policies let be used', () => {
  it('are what each of them lists, in the order of the first', () => {
    expect(inEach([['a', 'b', 'c']])).to.deep.equal(['a', 'b', 'c']);
    expect(
      inEach([
        ['c', 'a', 'b'],
        ['a', 'c'],
      ]),
    ).to.deep.equal(['c', 'a']);
    expect(inEach([['a'], ['b']])).to.deep.equal([]);
  });

  it('are none where no policy lists any', () => {
    expect(inEach([])).to.deep.equal([]);
  });

  it('are never more for a further list', () => {
    const list = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(list, { minLength: 1 }), list, (lists, further) => {
        const before = inEach(lists);
        expect(inEach([...lists, further]).every((each) => before.includes(each))).to.equal(true);
      }),
    );
  });
});
