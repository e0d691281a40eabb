// Columns that fit.
import { expect } from 'chai';
import fc from 'fast-check';
import { table } from '../../../src/cli/table.ts';

describe('a table', () => {
  it('aligns its columns under their titles', () => {
    expect(table(['A', 'LONG'], [['wide one', 'x'], ['y']])).to.deep.equal(['A         LONG', 'wide one  x', 'y']);
  });

  it('lets the widest column give way where the terminal is narrow', () => {
    expect(table(['NAMESPACE', 'GRANT'], [['demo', 'a-name-that-goes-on-and-on']], 24)).to.deep.equal([
      'NAMESPACE  GRANT',
      'demo       a-name-that-…',
    ]);
  });

  it('cuts nothing without a width', () => {
    const long = 'x'.repeat(300);
    expect(table(['A'], [[long]])).to.deep.equal(['A', long]);
  });

  it('is never wider than a terminal that has room for its columns', () => {
    const cell = fc.string({ maxLength: 90, unit: fc.constantFrom('a', 'b', '-') });
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell, cell)), fc.integer({ min: 28, max: 200 }), (rows, width) => {
        for (const line of table(['ONE', 'TWO', 'THREE'], rows, width)) expect(line.length).to.be.at.most(width);
      }),
    );
  });
});
