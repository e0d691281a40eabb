// Text from the cluster on its way to a terminal, a log or a status.
import { expect } from 'chai';
import fc from 'fast-check';
import { printable } from '../../src/text.ts';

const dangerous = fc.constantFrom(
  '\u001b[2J',
  '\u001b]0;title\u0007',
  '\u009b31m',
  '\r',
  '\n',
  '\t',
  '\0',
  '\u007f',
  '\u202e',
  '\u2066',
  '\u200b',
  '\ufeff',
  '\u2028',
  '\ud800',
  '\u{e0041}',
  '\u00ad',
  '\u3164',
);
const hostile = fc
  .array(fc.oneof(dangerous, fc.string({ unit: 'binary' })), { maxLength: 12 })
  .map((parts) => parts.join(''));

describe('printable text', () => {
  it('is left alone when nothing in it is dangerous', () => {
    for (const text of ['', 'pods/log in demo', 'Grüße, 世界 – “ok” <b>', 'a\\n'])
      expect(printable(text)).to.equal(text);
  });

  it('shows escapes in place of what moves, colours, hides or reorders', () => {
    expect(printable('a\u001b[31mred\nnext')).to.equal('a\\u{1b}[31mred\\nnext');
    expect(printable('user\u202egpj')).to.equal('user\\u{202e}gpj');
    expect(printable('zero\u200bwidth')).to.equal('zero\\u{200b}width');
  });

  it('holds no control, format or invisible character, whatever came in', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(printable(text)).to.not.match(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u);
      }),
    );
  });

  it('stays the same when made printable twice', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(printable(printable(text))).to.equal(printable(text));
      }),
    );
  });

  it('is never longer than asked for, and says that it was cut', () => {
    fc.assert(
      fc.property(hostile, fc.nat(40), (text, max) => {
        const cut = printable(text, max);
        const whole = printable(text);
        expect([...cut].length).to.be.at.most(max);
        if ([...whole].length <= max) expect(cut).to.equal(whole);
        else if (max > 0) expect(cut.endsWith('…')).to.equal(true);
      }),
    );
  });

  it('is not cut inside an escape', () => {
    expect(printable('ab\u001bcd', 6)).to.equal('ab…');
  });
});
