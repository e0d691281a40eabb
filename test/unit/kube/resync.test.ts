import { expect } from 'chai';
import { resync } from '../../../src/kube/resync.ts';
import { ManualClock } from './manual-clock.ts';

const hour = 3_600_000;

describe('a resync', () => {
  it('comes every ten hours, a tenth earlier or later', () => {
    const clock = new ManualClock();
    const chances = [0, 1, 0.5];
    const at: number[] = [];
    resync(() => at.push(clock.now() / hour), { setTimer: clock.setTimer, random: () => chances.shift() ?? 0.5 });
    clock.advance(35 * hour);
    expect(at.map((hours) => hours.toFixed(1))).to.deep.equal(['9.0', '20.0', '30.0']);
  });

  it('comes no more once it was ended', () => {
    const clock = new ManualClock();
    const end = resync(() => expect.fail('it came'), { setTimer: clock.setTimer });
    end();
    clock.advance(100 * hour);
    expect(clock.pendingTimers).to.equal(0);
  });

  it('goes on after one that threw', () => {
    const clock = new ManualClock();
    let times = 0;
    const again = () => {
      times += 1;
      if (times === 1) throw new Error('once');
    };
    resync(again, { setTimer: clock.setTimer });
    expect(() => clock.advance(12 * hour)).to.throw('once');
    clock.advance(12 * hour);
    expect(times).to.equal(2);
  });
});
