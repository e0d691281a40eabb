// Repairs are made at once, until they are so many in a row that something must be taking away what they put back.

import { expect } from 'chai';
import { Repairs } from '../../../src/controllers/repairs.ts';

/** When repairs of one grant are made, in seconds, where something undoes each at once. */
function undone(repairs: Repairs, clock: { now: number }, until: number): number[] {
  const made: number[] = [];
  for (; clock.now <= until; clock.now += 500) {
    if (repairs.wait('team-a/incident') > 0) continue;
    repairs.note('team-a/incident');
    made.push(clock.now / 1000);
  }
  return made;
}

describe('repairs', () => {
  it('are made at once ten times in a row, then less and less often, up to once a minute', () => {
    const clock = { now: 0 };
    const repairs = new Repairs(() => clock.now);
    const made = undone(repairs, clock, 300_000);
    expect(made.slice(0, 10)).to.deep.equal([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]);
    expect(made.slice(10)).to.deep.equal([5.5, 7.5, 11.5, 19.5, 35.5, 67.5, 127.5, 187.5, 247.5]);
  });

  it('of one grant delay no other', () => {
    const repairs = new Repairs(() => 0);
    for (let count = 0; count < 20; count += 1) repairs.note('team-a/incident');
    expect(repairs.wait('team-a/incident')).to.equal(60_000);
    expect(repairs.wait('team-a/other')).to.equal(0);
  });

  it('are made at once again after two minutes of calm', () => {
    const clock = { now: 0 };
    const repairs = new Repairs(() => clock.now);
    for (let count = 0; count < 20; count += 1) repairs.note('team-a/incident');
    clock.now = 120_000;
    repairs.note('team-a/incident');
    expect(repairs.wait('team-a/incident')).to.equal(0);
  });
});
