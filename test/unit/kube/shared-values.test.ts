import { expect } from 'chai';
import * as fc from 'fast-check';
import { SharedValues } from '../../../src/kube/shared-values.ts';

describe('shared values', () => {
  it('are one object where they say the same, and never another than what was given', () => {
    const values = new SharedValues<object>();
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const first = values.share(value);
        expect(first).to.deep.equal(value);
        expect(values.share(structuredClone(value))).to.equal(first);
      }),
    );
  });

  it('are forgotten when they have not come for long, however much comes', () => {
    const values = new SharedValues<{ uid: number }>();
    const first = values.share({ uid: -1 });
    for (let uid = 0; uid < 10_000; uid += 1) values.share({ uid });
    expect(values.share({ uid: -1 })).not.to.equal(first);
  });

  it('keep what comes again and again, however much comes in between', () => {
    const values = new SharedValues<{ uid: number }>();
    const first = values.share({ uid: -1 });
    for (let uid = 0; uid < 10_000; uid += 1) {
      values.share({ uid });
      if (uid % 100 === 0) expect(values.share({ uid: -1 })).to.equal(first);
    }
  });
});
