import { expect } from 'chai';
import fc from 'fast-check';
import { Deadlines } from '../../../src/kube/deadlines.ts';
import { ManualClock } from './manual-clock.ts';

/** Deadlines on a server clock that is `skewMs` ahead of the timers' clock. */
function start(skewMs = 0) {
  const clock = new ManualClock();
  const skew = { ms: skewMs };
  const fired: { key: string; at: number }[] = [];
  const now = () => new Date(clock.now() + skew.ms);
  const deadlines = new Deadlines({
    now,
    onDue: (key) => fired.push({ key, at: now().getTime() }),
    setTimer: clock.setTimer,
  });
  return { clock, deadlines, fired, skew };
}

describe('Deadlines', () => {
  it('calls each key once, at its deadline and not a millisecond before', () => {
    const { clock, deadlines, fired } = start();
    deadlines.set('a', new Date(1000));
    clock.advance(999);
    expect(fired).to.deep.equal([]);
    clock.advance(1);
    expect(fired).to.deep.equal([{ key: 'a', at: 1000 }]);
    clock.advance(100_000);
    expect(fired).to.have.length(1);
    expect(deadlines.size).to.equal(0);
  });

  it('keeps one timer however many keys wait, and none when none waits', () => {
    const { clock, deadlines } = start();
    for (let i = 0; i < 1000; i++) deadlines.set(`k${i}`, new Date(10_000 + ((i * 7919) % 1000)));
    expect(clock.pendingTimers).to.equal(1);
    expect(deadlines.next()).to.deep.equal(new Date(10_000));
    for (let i = 0; i < 1000; i++) deadlines.set(`k${i}`, undefined);
    expect(clock.pendingTimers).to.equal(0);
    expect(deadlines.next()).to.equal(undefined);
  });

  it('waits for a deadline that is further away than a Node timer can be', () => {
    const { clock, deadlines, fired } = start();
    const ninetyDays = 90 * 24 * 3_600_000;
    deadlines.set('a', new Date(ninetyDays));
    clock.advance(ninetyDays - 1);
    expect(fired).to.deep.equal([]);
    clock.advance(1);
    expect(fired).to.deep.equal([{ key: 'a', at: ninetyDays }]);
    expect(clock.delays.every((delay) => delay < 2 ** 31)).to.equal(true);
  });

  it('goes by the clock it is given and not by the time that timers measure', () => {
    const { clock, deadlines, fired } = start(5000);
    deadlines.set('a', new Date(6000));
    clock.advance(1000);
    expect(fired).to.deep.equal([{ key: 'a', at: 6000 }]);
  });

  it('does not fire early when the clock is set back while the timer sleeps', () => {
    const { clock, deadlines, fired, skew } = start();
    deadlines.set('a', new Date(1000));
    skew.ms = -300;
    clock.advance(1299);
    expect(fired).to.deep.equal([]);
    clock.advance(1);
    expect(fired).to.deep.equal([{ key: 'a', at: 1000 }]);
  });

  it('notices within a minute that the clock was set forward past a deadline', () => {
    const { clock, deadlines, fired, skew } = start();
    deadlines.set('a', new Date(3_600_000));
    skew.ms = 3_600_000;
    clock.advance(60_000);
    expect(fired).to.have.length(1);
  });

  it('replaces a deadline, earlier or later', () => {
    const { clock, deadlines, fired } = start();
    deadlines.set('a', new Date(1000));
    deadlines.set('b', new Date(2000));
    deadlines.set('a', new Date(3000));
    deadlines.set('b', new Date(500));
    clock.advance(5000);
    expect(fired).to.deep.equal([
      { key: 'b', at: 500 },
      { key: 'a', at: 3000 },
    ]);
  });

  it('is due at once, but not within the call, for a deadline that has passed', () => {
    const { clock, deadlines, fired } = start(10_000);
    deadlines.set('a', new Date(1));
    expect(fired).to.deep.equal([]);
    clock.advance(0);
    expect(fired).to.have.length(1);
  });

  it('lets a due key set a new deadline, also one that has passed, without looping', () => {
    const clock = new ManualClock();
    let calls = 0;
    const deadlines: Deadlines = new Deadlines({
      now: () => new Date(clock.now()),
      setTimer: clock.setTimer,
      onDue: (key) => {
        calls += 1;
        if (calls < 3) deadlines.set(key, new Date(0));
      },
    });
    deadlines.set('a', new Date(10));
    clock.advance(10);
    expect(calls).to.equal(3);
    expect(deadlines.size).to.equal(0);
  });

  it('is silent after stop', () => {
    const { clock, deadlines, fired } = start();
    deadlines.set('a', new Date(1000));
    deadlines.stop();
    clock.advance(2000);
    expect(fired).to.deep.equal([]);
    expect(clock.pendingTimers).to.equal(0);
  });

  it('refuses an invalid date and names the key', () => {
    expect(() => start().deadlines.set('demo/a', new Date('soon'))).to.throw(RangeError, 'demo/a');
  });

  it('fires every key exactly at its last deadline, whatever was set, replaced and removed before', () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      in: fc.option(fc.integer({ min: 0, max: 4_000_000 }), { nil: undefined }),
      wait: fc.integer({ min: 0, max: 100_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { clock, deadlines, fired } = start(1_700_000_000_000);
        const expected: { key: string; at: number }[] = [];
        const model = new Map<string, number>();
        const pass = (until: number) => {
          for (const [key, at] of [...model].sort((a, b) => a[1] - b[1])) {
            if (at > until) continue;
            expected.push({ key, at });
            model.delete(key);
          }
        };
        for (const s of steps) {
          const now = clock.now() + 1_700_000_000_000;
          deadlines.set(s.key, s.in === undefined ? undefined : new Date(now + s.in));
          if (s.in === undefined) model.delete(s.key);
          else model.set(s.key, now + s.in);
          expect(deadlines.next()?.getTime()).to.equal(model.size === 0 ? undefined : Math.min(...model.values()));
          clock.advance(s.wait);
          pass(now + s.wait);
        }
        clock.advance(5_000_000);
        pass(Number.POSITIVE_INFINITY);
        const order = (list: typeof fired) => list.toSorted((a, b) => a.at - b.at || a.key.localeCompare(b.key));
        expect(order(fired)).to.deep.equal(order(expected));
      }),
    );
  });
});
