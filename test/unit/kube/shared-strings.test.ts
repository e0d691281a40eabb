import { expect } from 'chai';
import * as fc from 'fast-check';
import { SharedStrings } from '../../../src/kube/shared-strings.ts';

describe('shared strings', () => {
  it('never change what a value says', () => {
    const strings = new SharedStrings();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = structuredClone(value);
        strings.shareIn(value);
        expect(value).to.deep.equal(before);
      }),
    );
  });

  it('remember only what was seen lately, however much comes', () => {
    const strings = new SharedStrings();
    for (let count = 0; count < 100_000; count += 1) strings.shareIn({ uid: `a uid that comes once: ${count}` });
    expect(strings.size).to.be.at.most(20_000);
  });

  it('leave alone what is no object', () => {
    const strings = new SharedStrings();
    for (const value of [null, undefined, 'a string of some length', 1, true]) strings.shareIn(value);
    expect(strings.size).to.equal(0);
  });
});
