import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { inTurns } from '../../../src/kube/turns.ts';

function burn(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

describe('work in turns', () => {
  it('is done at once where it takes no time', () => {
    const done: number[] = [];
    inTurns([1, 2, 3], (item) => done.push(item));
    expect(done).to.deep.equal([1, 2, 3]);
  });

  it('does each item once and in order, and lets others have their turn in between', async () => {
    const items = Array.from({ length: 20 }, (_, item) => item);
    const done: number[] = [];
    const seen: number[] = [];
    inTurns(items, (item) => {
      burn(1);
      done.push(item);
    });
    while (done.length < items.length) {
      seen.push(done.length);
      await turn();
    }
    expect(done).to.deep.equal(items);
    // Slices of 5 ms: the first ends with items left, and so does at least one more.
    expect(seen[0]).to.be.lessThan(items.length);
    expect(seen.length).to.be.greaterThan(1);
  });
});
