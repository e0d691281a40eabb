// Text from the cluster on its way to a terminal, a log or a status.
import { expect } from 'chai';
import fc from 'fast-check';
import { printable, printableUser } from '../../src/text.ts';

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

describe('a user name, printed', () => {
  it('shows each letter that passes for one of Latin as an escape', () => {
    const table = [
      ['r\u0456ta', 'r\\u{456}ta'],
      ['\uff52ita', '\\u{ff52}ita'],
      ['r\u0131ta', 'r\\u{131}ta'],
      ['system\u2236serviceaccount:ci:bot', 'system\\u{2236}serviceaccount:ci:bot'],
      ['r\u{1d422}ta', 'r\\u{1d422}ta'],
    ];
    for (const [name = '', shown] of table) expect(printableUser(name)).to.equal(shown);
  });

  it('is left alone where it is plain, has accents, or is of another script as a whole', () => {
    for (const name of ['rita@example.com', 'Jürgen Groß', 'Łukasz', 'François', 'рита', '莉塔', '4711'])
      expect(printableUser(name)).to.equal(name);
  });

  it('holds nothing dangerous, and is never longer than asked for', () => {
    fc.assert(
      fc.property(hostile, fc.nat(30), (name, max) => {
        const shown = printableUser(name, max);
        expect(shown).to.equal(printable(shown));
        expect([...shown].length).to.be.at.most(max);
      }),
    );
  });
});
