// When grants start and end.

import { expect } from 'chai';
import fc from 'fast-check';
import { milliseconds, term, timestamp } from '../../../src/policy/schedule.ts';

describe('the term of a grant', () => {
  const now = Date.parse('2026-03-01T12:00:00.750Z');
  const at = (time: string) => Date.parse(`2026-03-01T${time}Z`);

  it('starts with the second in which it is issued, and lasts for its duration', () => {
    expect(term({ duration: 60_000 }, now)).to.deep.equal({ start: at('12:00:00'), end: at('12:01:00') });
  });

  it('starts at its beginning when that is still to come', () => {
    expect(term({ notBefore: at('14:00:00'), duration: 60_000 }, now).end).to.equal(at('14:01:00'));
    expect(term({ notBefore: at('11:00:00'), duration: 60_000 }, now).start).to.equal(at('12:00:00'));
  });

  it('ends at the earlier of its end and its duration', () => {
    expect(term({ notAfter: at('12:00:30'), duration: 60_000 }, now).end).to.equal(at('12:00:30'));
    expect(term({ notAfter: at('13:00:00'), duration: 60_000 }, now).end).to.equal(at('12:01:00'));
  });

  it('rounds an end with fractions down', () => {
    expect(term({ notAfter: at('12:30:00') + 999 }, now).end).to.equal(at('12:30:00'));
  });

  it('never ends after what was asked for, and is always in whole seconds', () => {
    const time = fc.integer({ min: now - 1e9, max: now + 1e9 });
    const maybe = fc.option(time, { nil: undefined });
    const duration = fc.option(fc.integer({ min: 1, max: 2160 * 3600 }), { nil: undefined });
    fc.assert(
      fc.property(time, maybe, maybe, duration, (issued, notBefore, notAfter, seconds) => {
        fc.pre(notAfter !== undefined || seconds !== undefined);
        const span = seconds === undefined ? undefined : seconds * 1000;
        const { start, end } = term({ notBefore, notAfter, duration: span }, issued);
        expect(end % 1000).to.equal(0);
        if (notAfter !== undefined) expect(end).to.be.at.most(notAfter);
        if (span !== undefined) expect(end - start).to.be.at.most(span);
        expect(start).to.be.at.least(Math.max(notBefore ?? 0, issued - 999));
      }),
    );
  });

  it('writes times as the API does, without fractions', () => {
    expect(timestamp(now)).to.equal('2026-03-01T12:00:00Z');
  });

  it('takes a duration that it can not read for no time at all', () => {
    expect(milliseconds('1h30m')).to.equal(5_400_000);
    expect(milliseconds('soon')).to.equal(0);
  });
});

describe('a time as it is written', () => {
  it('is what Date makes of it without the fraction, whichever was written before it', () => {
    const day = 24 * 3600_000;
    const near = fc.tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -2000, max: day + 2000 }));
    const any = fc.oneof(
      near.map(([days, rest]) => Date.parse('2026-03-01T00:00:00Z') + days * day + rest),
      fc.integer({ min: -8.64e15, max: 8.64e15 }),
    );
    fc.assert(
      fc.property(fc.array(any, { minLength: 1 }), (times) => {
        for (const time of times) {
          expect(timestamp(time)).to.equal(new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z'));
        }
      }),
    );
    expect(() => timestamp(Number.NaN)).to.throw(RangeError);
  });
});
