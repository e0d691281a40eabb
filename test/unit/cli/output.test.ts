// Answers for programs: they mean what was meant, and no terminal acts on them.

import { expect } from 'chai';
import fc from 'fast-check';
import { parse } from 'yaml';
import { jsonText, yamlText } from '../../../src/cli/output.ts';
import { printable } from '../../../src/text.ts';

const harmless = (text: string) => text.split('\n').every((line) => printable(line) === line);

describe('an answer for programs', () => {
  it('says the same as JSON and as YAML, whatever is in it, and holds nothing that a terminal acts on', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\u001b[2J',
        'a\u202eb\nc',
        '\u{e0041}',
        '- x',
        '#',
        ' ',
        '\u0085',
        '\u2028x: y',
        '\ufeff',
        'yes',
      ),
    );
    fc.assert(
      fc.property(fc.dictionary(texts, fc.array(texts)), (value) => {
        // Of a key `__proto__` no parser makes a field.
        const plain = JSON.parse(JSON.stringify(value));
        expect(JSON.parse(jsonText(plain))).to.deep.equal(plain);
        expect(harmless(jsonText(plain))).to.equal(true);
        expect(parse(yamlText(plain))).to.deep.equal(plain);
        expect(harmless(yamlText(plain)), yamlText(plain)).to.equal(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves out what is undefined', () => {
    expect(yamlText({ a: undefined, b: 1 })).to.equal('b: 1\n');
  });
});
