import { expect } from 'chai';
import fc from 'fast-check';
import { INITIAL, NORMAL, Queue, URGENT } from '../../../src/kube/queue.ts';
import { ManualClock, settle } from './manual-clock.ts';

function start() {
  const clock = new ManualClock();
  return { clock, queue: new Queue({ now: clock.now, setTimer: clock.setTimer }) };
}

/** The keys that can be had now, in order, each done before the next is taken. */
async function drain(queue: Queue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.length > 0) {
    const taken = await queue.get();
    if (taken === undefined) break;
    keys.push(taken.key);
    queue.done(taken.key);
  }
  return keys;
}

describe('Queue', () => {
  it('hands out a key once however often it was added', async () => {
    const { queue } = start();
    queue.add('a');
    queue.add('a');
    queue.add('b');
    queue.add('a');
    expect(queue.length).to.equal(2);
    expect(await drain(queue)).to.deep.equal(['a', 'b']);
  });

  it('hands out the highest priority first, and within one priority in the order keys were added', async () => {
    const { queue } = start();
    queue.add('initial', { priority: INITIAL });
    queue.add('first');
    queue.add('second', { priority: NORMAL });
    queue.add('due', { priority: URGENT });
    queue.add('third');
    expect(await drain(queue)).to.deep.equal(['due', 'first', 'second', 'third', 'initial']);
  });

  it('gives who asks for urgent keys nothing else, and others whatever comes', async () => {
    const { queue } = start();
    const urgent = queue.get(URGENT);
    const any = queue.get();
    queue.add('first');
    expect(await any).to.deep.equal({ key: 'first', priority: NORMAL });
    queue.add('second');
    queue.add('due', { priority: URGENT });
    expect(await urgent).to.deep.equal({ key: 'due', priority: URGENT });
    expect(await queue.get()).to.deep.equal({ key: 'second', priority: NORMAL });
  });

  it('hands out a very key that is asked for, ahead of others, when it is ready with that priority', async () => {
    const { clock, queue } = start();
    for (const key of ['first', 'asked', 'late']) queue.add(key);
    queue.add('low', { priority: INITIAL });
    queue.add('waiting', { afterMs: 10 });
    expect(queue.take('asked', NORMAL)).to.deep.equal({ key: 'asked', priority: NORMAL });
    for (const key of ['asked', 'low', 'waiting', 'unknown']) {
      expect(queue.isReady(key, NORMAL), key).to.equal(false);
      expect(queue.take(key, NORMAL), key).to.equal(undefined);
    }
    // As for any other that was handed out: what is added meanwhile comes after `done`.
    queue.add('asked');
    expect(queue.isReady('asked', NORMAL)).to.equal(false);
    expect(await queue.get()).to.include({ key: 'first' });
    queue.done('asked');
    clock.advance(10);
    expect(await drain(queue)).to.deep.equal(['late', 'asked', 'waiting', 'low']);
    queue.add('held');
    queue.onlyFrom(URGENT);
    expect(queue.isReady('held', NORMAL)).to.equal(false);
  });

  it('lets every change pass the initial list, which stays in its own order', async () => {
    const { queue } = start();
    for (let i = 0; i < 5; i++) queue.add(`listed-${i}`, { priority: INITIAL });
    queue.add('changed');
    expect(await drain(queue)).to.deep.equal(['changed', 'listed-0', 'listed-1', 'listed-2', 'listed-3', 'listed-4']);
  });

  it('holds back what is below the priority that it is told, however long it has been ready', async () => {
    const { queue } = start();
    queue.add('first');
    queue.onlyFrom(URGENT);
    const taken = [queue.get(), queue.get(), queue.get()];
    queue.add('due', { priority: URGENT });
    queue.add('second');
    expect(await taken[0]).to.deep.equal({ key: 'due', priority: URGENT });
    expect(await Promise.race([taken[1], 'nothing'])).to.equal('nothing');
    queue.onlyFrom();
    expect(await taken[1]).to.deep.equal({ key: 'first', priority: NORMAL });
    expect(await taken[2]).to.deep.equal({ key: 'second', priority: NORMAL });
  });

  it('raises the priority of a ready key that is added with a higher one, and never lowers it', async () => {
    const { queue } = start();
    queue.add('a');
    queue.add('b', { priority: INITIAL });
    queue.add('b', { priority: URGENT });
    queue.add('b', { priority: INITIAL });
    expect(await queue.get()).to.deep.equal({ key: 'b', priority: URGENT });
  });

  it('raises the priority of a waiting key', async () => {
    const { clock, queue } = start();
    queue.add('a', { afterMs: 10 });
    queue.add('b', { afterMs: 10, priority: INITIAL });
    queue.add('b', { afterMs: 50, priority: URGENT });
    clock.advance(10);
    expect(await drain(queue)).to.deep.equal(['b', 'a']);
  });

  it('keeps the earliest time of a waiting key', () => {
    const { clock, queue } = start();
    queue.add('a', { afterMs: 100 });
    queue.add('a', { afterMs: 30 });
    queue.add('a', { afterMs: 500 });
    clock.advance(29);
    expect(queue.length).to.equal(0);
    clock.advance(1);
    expect(queue.length).to.equal(1);
    clock.advance(1000);
    expect(queue.length).to.equal(1);
  });

  it('makes a waiting key ready when it is added without a delay', async () => {
    const { clock, queue } = start();
    queue.add('a', { afterMs: 100 });
    queue.add('a');
    expect(await drain(queue)).to.deep.equal(['a']);
    clock.advance(200);
    expect(queue.length).to.equal(0);
  });

  it('keeps a ready key ready when it is added with a delay', async () => {
    const { clock, queue } = start();
    queue.add('a');
    queue.add('a', { afterMs: 100 });
    expect(await drain(queue)).to.deep.equal(['a']);
    clock.advance(200);
    expect(queue.length).to.equal(0);
  });

  it('never hands out a key that is being worked on; what is added meanwhile comes after done, once', async () => {
    const { queue } = start();
    queue.add('a');
    expect((await queue.get())?.key).to.equal('a');
    queue.add('a');
    queue.add('a');
    let handedOut = false;
    const next = queue.get().then((taken) => {
      handedOut = true;
      return taken;
    });
    await settle();
    expect(handedOut).to.equal(false);
    queue.done('a');
    expect((await next)?.key).to.equal('a');
    queue.done('a');
    expect(queue.length).to.equal(0);
  });

  it('hands out other keys while one is being worked on and is ready again', async () => {
    const { queue } = start();
    queue.add('a', { priority: URGENT });
    await queue.get();
    queue.add('a', { priority: URGENT });
    queue.add('b');
    expect((await queue.get())?.key).to.equal('b');
  });

  it('keeps a delay that runs out while its key is being worked on', async () => {
    const { clock, queue } = start();
    queue.add('a');
    await queue.get();
    queue.add('a', { afterMs: 10 });
    clock.advance(20);
    queue.done('a');
    expect(await drain(queue)).to.deep.equal(['a']);
  });

  it('keeps a delay that has not run out when its key is done', () => {
    const { clock, queue } = start();
    queue.add('a');
    void queue.get();
    queue.add('a', { afterMs: 10 });
    queue.done('a');
    expect(queue.length).to.equal(0);
    clock.advance(10);
    expect(queue.length).to.equal(1);
  });

  it('runs one timer however many keys wait, also beyond what a Node timer can hold', () => {
    const { clock, queue } = start();
    for (let i = 0; i < 100; i++) queue.add(`k${i}`, { afterMs: 3_000_000_000 + i });
    expect(clock.pendingTimers).to.equal(1);
    expect(clock.delays.every((delay) => delay < 2 ** 31)).to.equal(true);
    clock.advance(2_999_999_999);
    expect(queue.length).to.equal(0);
    clock.advance(100);
    expect(queue.length).to.equal(100);
    expect(clock.pendingTimers).to.equal(0);
  });

  it('delays a failing key by 5 ms, twice as long each time, and never longer than 60 s', async () => {
    const { clock, queue } = start();
    const delays: number[] = [];
    for (let i = 0; i < 16; i++) {
      queue.addRateLimited('a');
      delays.push(clock.delays.at(-1) ?? Number.NaN);
      clock.advance(60_000);
      expect(await drain(queue)).to.deep.equal(['a']);
    }
    expect(delays).to.deep.equal([
      5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 20_480, 40_960, 60_000, 60_000,
    ]);
  });

  it('never delays a failing key longer than its caller allows, however often it failed', async () => {
    const { clock, queue } = start();
    for (let i = 0; i < 1100; i++) {
      queue.addRateLimited('a', { maxDelayMs: 5000 });
      expect(clock.delays.at(-1)).to.be.at.most(5000);
      clock.advance(5000);
      expect(await drain(queue)).to.deep.equal(['a']);
    }
    expect(clock.delays.at(-1)).to.equal(5000);
  });

  it('counts failures for each key apart, and starts over only when a key is forgotten', () => {
    const { clock, queue } = start();
    const failAndWait = (key: string) => {
      queue.addRateLimited(key);
      const delay = clock.delays.at(-1);
      void queue.get();
      clock.advance(60_000);
      queue.done(key);
      return delay;
    };
    expect([failAndWait('a'), failAndWait('a'), failAndWait('b'), failAndWait('a')]).to.deep.equal([5, 10, 5, 20]);
    queue.forget('a');
    expect([failAndWait('a'), failAndWait('b')]).to.deep.equal([5, 10]);
  });

  it('gives undefined to everyone who waits for a key, and to everyone after, once it is shut down', async () => {
    const { clock, queue } = start();
    const waiting = [queue.get(), queue.get()];
    queue.add('late', { afterMs: 10 });
    queue.shutDown();
    queue.add('a');
    queue.addRateLimited('b');
    expect(await Promise.all([...waiting, queue.get()])).to.deep.equal([undefined, undefined, undefined]);
    expect(queue.length).to.equal(0);
    expect(clock.pendingTimers).to.equal(0);
  });

  it('is idle once nothing is ready that may be handed out and nothing is being worked on, delayed keys apart', async () => {
    const { queue } = start();
    const seen = { first: false, second: false };
    queue.add('later', { afterMs: 1_000 });
    queue.add('a');
    queue.add('due', { priority: URGENT });
    queue.onlyFrom(URGENT);
    void queue.idle().then(() => {
      seen.first = true;
    });
    await queue.get();
    await settle();
    expect(seen.first, 'while one is worked on').to.equal(false);
    queue.done('due');
    await settle();
    expect(seen.first, 'with another held back').to.equal(true);
    queue.onlyFrom();
    void queue.idle().then(() => {
      seen.second = true;
    });
    await settle();
    expect(seen.second, 'with one that may be handed out').to.equal(false);
    await drain(queue);
    await settle();
    expect(seen.second, 'with none').to.equal(true);
    queue.add('b');
    const end = queue.idle();
    queue.shutDown();
    await end;
  });

  it('hands each key to exactly one of many waiting workers', async () => {
    const { queue } = start();
    const workers = Array.from({ length: 8 }, () => queue.get());
    for (let i = 0; i < 8; i++) queue.add(`k${i % 4}`);
    queue.shutDown();
    const keys = (await Promise.all(workers)).flatMap((taken) => taken?.key ?? []);
    expect(keys.toSorted()).to.deep.equal(['k0', 'k1', 'k2', 'k3']);
  });

  it('reports what is ready, additions, retries, waiting time, work time and unfinished work', async () => {
    const clock = new ManualClock();
    const seen: Record<string, number[]> = { waited: [], worked: [] };
    let added = 0;
    let retried = 0;
    let state = () => ({ ready: -1, unfinishedSeconds: -1, longestSeconds: -1 });
    const queue = new Queue({
      now: clock.now,
      setTimer: clock.setTimer,
      metrics: {
        added: () => added++,
        retried: () => retried++,
        waited: (seconds) => seen.waited?.push(seconds),
        worked: (seconds) => seen.worked?.push(seconds),
        state: (read) => {
          state = read;
        },
      },
    });
    queue.add('a');
    queue.add('a');
    queue.addRateLimited('b');
    expect(state()).to.deep.equal({ ready: 1, unfinishedSeconds: 0, longestSeconds: 0 });
    clock.advance(2000);
    expect(state()).to.deep.equal({ ready: 2, unfinishedSeconds: 0, longestSeconds: 0 });
    await queue.get();
    await queue.get();
    clock.advance(3000);
    expect(state()).to.deep.equal({ ready: 0, unfinishedSeconds: 6, longestSeconds: 3 });
    queue.done('a');
    expect(state()).to.deep.equal({ ready: 0, unfinishedSeconds: 3, longestSeconds: 3 });
    expect({ added, retried }).to.deep.equal({ added: 2, retried: 1 });
    expect(seen).to.deep.equal({ waited: [2, 1.995], worked: [3] });
  });

  it('sorts 10,000 ready and 10,000 waiting keys in well under a second', async () => {
    const { clock, queue } = start();
    const started = performance.now();
    for (let i = 0; i < 10_000; i++) queue.add(`ready-${i}`, { priority: i % 7 });
    for (let i = 0; i < 10_000; i++) queue.add(`waiting-${i}`, { afterMs: 1 + ((i * 7919) % 10_000) });
    for (let i = 0; i < 10_000; i++) queue.add(`waiting-${i}`, { afterMs: 1 });
    clock.advance(1);
    expect(await drain(queue)).to.have.length(20_000);
    expect(performance.now() - started).to.be.below(1500);
  });

  it('agrees with a plain model on every sequence of additions, delays, passing time and work', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const step = fc.oneof(
      fc.record({
        do: fc.constant('add' as const),
        key,
        priority: fc.constantFrom(INITIAL, NORMAL, URGENT),
        afterMs: fc.constantFrom(0, 0, 5, 10, 50),
      }),
      fc.record({ do: fc.constant('take' as const) }),
      fc.record({ do: fc.constant('done' as const), key }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 20 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, queue } = start();
        const model = new Map<string, { at: number; priority: number; order: number }>();
        const running = new Set<string>();
        let order = 0;
        const ripen = () => {
          const ripe = [...model.values()].filter((e) => e.order < 0 && e.at <= clock.now());
          for (const e of ripe.sort((x, y) => x.at - y.at)) e.order = order++;
        };
        for (const s of steps) {
          if (s.do === 'add') {
            queue.add(s.key, s);
            const at = clock.now() + s.afterMs;
            const e = model.get(s.key) ?? { at, priority: s.priority, order: -1 };
            e.at = Math.min(e.at, at);
            e.priority = Math.max(e.priority, s.priority);
            model.set(s.key, e);
            ripen();
          } else if (s.do === 'take') {
            const ready = [...model].filter(([k, e]) => e.order >= 0 && !running.has(k));
            const best = Math.max(...ready.map(([, e]) => e.priority));
            const candidates = ready.filter(([, e]) => e.priority === best).sort(([, x], [, y]) => x.order - y.order);
            if (candidates.length === 0) continue;
            const taken = await queue.get();
            // Keys whose delays end in the same millisecond have no order among themselves.
            const [firstKey, first] = candidates[0] ?? ['', undefined];
            const entry = model.get(taken?.key ?? '');
            expect(taken?.priority).to.equal(best);
            expect(taken?.key === firstKey || (entry?.at === first?.at && entry?.priority === best)).to.equal(true);
            model.delete(taken?.key ?? '');
            running.add(taken?.key ?? '');
          } else if (s.do === 'done') {
            queue.done(s.key);
            running.delete(s.key);
          } else {
            for (let i = 0; i < s.ms; i++) {
              clock.advance(1);
              ripen();
            }
          }
          expect(queue.length).to.equal([...model.values()].filter((e) => e.order >= 0).length);
        }
      }),
    );
  });
});
