import { expect } from 'chai';
import * as fc from 'fast-check';
import { SharedValues } from '../../../src/kube/shared-values.ts';

describe('shared values', () => {
  it('are one object where they say the same, and never another than what was given', () => {
    const values = new SharedValues<fc.JsonValue>();
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const first = values.share(value);
        expect(first).to.deep.equal(value);
        expect(values.share(structuredClone(value))).to.equal(first);
      }),
    );
  });

  it('remember only what was seen lately, however much comes', () => {
    const values = new SharedValues<{ uid: number }>();
    for (let uid = 0; uid < 10_000; uid += 1) values.share({ uid });
    expect(values.size).to.be.at.most(2_000);
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
