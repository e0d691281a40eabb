import { expect } from 'chai';
import fc from 'fast-check';
import { LineSplitter } from '../../../src/kube/lines.ts';
import { pushCut } from './cut.ts';

function split(bytes: Buffer, sizes: number[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  pushCut(splitter, bytes, sizes);
  return lines;
}

describe('the lines of a stream', () => {
  it('are the same however the bytes are cut, also within a character', () => {
    const line = fc.string({ unit: 'binary', minLength: 1 }).map((text) => text.replaceAll('\n', ' ').toWellFormed());
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(5)), (lines, sizes) => {
        const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''));
        expect(split(bytes, sizes)).to.deep.equal(lines);
      }),
    );
  });

  it('do not include what was cut off before its newline', () => {
    expect(split(Buffer.from('{"a":1}\n{"b":'), [3])).to.deep.equal(['{"a":1}']);
  });

  it('may be very long', () => {
    const long = 'ä'.repeat(2_000_000);
    const sizes = Array.from({ length: 60 }, () => 65_536);
    const lines = split(Buffer.from(`${long}\nshort\n`), sizes);
    expect(lines.map((line) => line.length)).to.deep.equal([2_000_000, 5]);
    expect(lines[0]).to.equal(long);
  });

  it('are refused when one never ends', () => {
    const splitter = new LineSplitter(() => {});
    const chunk = Buffer.alloc(16 * 1024 * 1024, 'x');
    const push = (): void => {
      for (let times = 0; times < 5; times += 1) splitter.push(chunk);
    };
    expect(push).to.throw(RangeError, 'longer than');
  });
});
