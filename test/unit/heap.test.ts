// What work has left behind is given back to the system once nothing goes on. In a process of its own, whose memory nobody else uses.

import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { isWorthIt } from '../../src/heap.ts';

const heap = import.meta.resolve('../../src/heap.ts');
const poll = import.meta.resolve('../harness/poll.ts');

/** What a process prints that keeps its heap tight, has grown by tens of MB, and has let go of that. */
function afterGrowing(act: string): string {
  const program = `
    import { setImmediate as turn, setTimeout as rest } from 'node:timers/promises';
    import { keepHeapTight } from '${heap}';
    import { poll } from '${poll}';
    keepHeapTight({ intervalMs: 100 });
    const resident = () => process.memoryUsage.rss();
    const before = resident();
    let held = Array.from({ length: 500_000 }, (_, at) => ({ at, text: 'number ' + at }));
    const grown = resident() - before;
    if (held.length === 0 || grown < 30_000_000) throw new Error('it has grown by ' + grown + ' bytes only');
    held = undefined;
    const given = () => (before + grown - resident()) / grown;
    const work = async (ms) => {
      for (const until = performance.now() + ms; performance.now() < until; await turn())
        for (const slice = performance.now() + 20; performance.now() < slice; );
    };
    ${act}`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }).trim();
}

describe('the heap', () => {
  it('is given back once nothing goes on', () => {
    // How much work is worth a collection goes by how long the first one took. Left to itself, V8 waits for 8 s at least.
    const told = afterGrowing(`
      await poll(async () => (await work(500), await rest(500), given()), (share) => share > 0.7, 7_000);
      console.log('given back');`);
    expect(told).to.equal('given back');
  });

  it('is left alone while there is work', () => {
    const told = afterGrowing(`
      await work(1_000);
      console.log(given() < 0.3 ? 'kept' : 'given back');`);
    expect(told).to.equal('kept');
  });

  for (const [quietLooks, neededMs] of [
    [1, 2_000],
    [2, 1_000],
    [5, 400],
    [50, 400],
  ] as const) {
    it(`is worth a collection of 100 ms after ${neededMs} ms of work, at quiet look ${quietLooks} in a row`, () => {
      expect(isWorthIt({ workedMs: neededMs, tookMs: 100, quietLooks })).to.equal(false);
      expect(isWorthIt({ workedMs: neededMs + 1, tookMs: 100, quietLooks })).to.equal(true);
    });
  }

  it('is never collected at a look at which there is work', () => {
    expect(isWorthIt({ workedMs: 1_000_000, tookMs: 1, quietLooks: 0 })).to.equal(false);
  });
});
