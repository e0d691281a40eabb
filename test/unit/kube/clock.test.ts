import { expect } from 'chai';
import fc from 'fast-check';
import { ServerClock } from '../../../src/kube/clock.ts';

// A local and a server's clock, both of which a test moves; answers take some time there and back.
function clocks(skewMs: number) {
  const start = Date.parse('2026-03-01T12:00:00.250Z');
  const state = { elapsed: 0, skewMs, step: 0 };
  const wall = (): number => Math.floor(start + state.elapsed + state.step);
  const clock = new ServerClock({ wall, monotonic: () => state.elapsed });
  const serverMs = (): number => start + state.elapsed + state.skewMs;
  return {
    state,
    clock,
    wall,
    serverMs,
    exchange(thereMs: number, backMs: number): void {
      const sent = wall();
      state.elapsed += thereMs;
      const date = new Date(Math.floor(serverMs() / 1000) * 1000).toUTCString();
      state.elapsed += backMs;
      clock.observe(date, sent, wall());
    },
  };
}

describe('the API server’s clock', () => {
  it('is taken to agree with ours before any answer', () => {
    const { clock, wall } = clocks(5000);
    expect(clock.offsetMs).to.equal(0);
    expect(clock.now().getTime()).to.equal(wall());
  });

  it('stays exactly ours while the answers allow for that', () => {
    const { clock, exchange, state } = clocks(0);
    for (let times = 0; times < 200; times += 1) {
      exchange(3, 4);
      state.elapsed += 37;
    }
    expect(clock.offsetMs).to.equal(0);
  });

  it('is found to within some milliseconds although answers tell only whole seconds', () => {
    const delays = fc.array(fc.tuple(fc.nat(20), fc.nat(20), fc.integer({ min: 1, max: 173 })), {
      minLength: 150,
      maxLength: 200,
    });
    fc.assert(
      fc.property(fc.integer({ min: -100_000, max: 100_000 }), delays, (skewMs, exchanges) => {
        const { clock, exchange, state } = clocks(skewMs);
        for (const [there, back, pause] of exchanges) {
          exchange(there, back);
          state.elapsed += pause;
        }
        // The truth is inside the interval, so the error is at most its width.
        expect(Math.abs(clock.offsetMs - skewMs)).to.be.at.most(clock.uncertaintyMs + 1);
        expect(clock.uncertaintyMs).to.be.at.most(1045);
      }),
    );
  });

  it('is known better with each answer', () => {
    const { clock, exchange, state } = clocks(1700);
    exchange(2, 2);
    const first = clock.uncertaintyMs;
    for (let times = 0; times < 60; times += 1) {
      state.elapsed += 97;
      exchange(2, 2);
    }
    expect(first).to.be.greaterThan(900);
    expect(clock.uncertaintyMs).to.be.lessThan(40);
    expect(clock.offsetMs).to.be.closeTo(1700, 25);
  });

  it('is followed when the server’s clock is set', () => {
    const { clock, exchange, state } = clocks(0);
    exchange(1, 1);
    state.skewMs = 30_000;
    exchange(1, 1);
    expect(clock.offsetMs).to.be.closeTo(30_000, 600);
  });

  it('is followed when our own clock is set', () => {
    const { clock, exchange, state, serverMs } = clocks(0);
    exchange(1, 1);
    state.step = -3_600_000;
    exchange(1, 1);
    expect(clock.now().getTime()).to.be.closeTo(serverMs(), 600);
  });

  it('is kept while our own clock is slewed slowly', () => {
    const { clock, exchange, state, serverMs } = clocks(5000);
    for (let times = 0; times < 60; times += 1) {
      state.elapsed += 97;
      exchange(2, 2);
    }
    for (let times = 0; times < 100; times += 1) {
      state.elapsed += 1000;
      state.step += 5;
      expect(clock.now().getTime()).to.be.closeTo(serverMs(), 40);
    }
  });

  it('is not touched by a header that is no date', () => {
    const { clock, wall } = clocks(0);
    clock.observe('soon', wall(), wall());
    clock.observe(undefined, wall(), wall());
    expect(clock.uncertaintyMs).to.equal(Number.POSITIVE_INFINITY);
  });
});
