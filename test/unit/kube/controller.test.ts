import { expect } from 'chai';
import { Registry } from 'prom-client';
import { ApiError, Client } from '../../../src/kube/client.ts';
import { type Reconcile, type Result, startController, TerminalError } from '../../../src/kube/controller.ts';
import { roleBindings } from '../../../src/kube/kinds.ts';
import type { Log } from '../../../src/kube/log.ts';
import { createKubeMetrics } from '../../../src/kube/metrics.ts';
import { INITIAL, Queue, URGENT } from '../../../src/kube/queue.ts';
import { turnsDuring } from './cut.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { sendJson, startWire, status } from './wire.ts';

type Line = { level: string; message: string; fields: Record<string, unknown> };

function recordingLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      lines.push({ level, message, fields });
    };
  return { log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }, lines };
}

/** Keeps the process from everything else. */
function busyFor(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

function start(
  reconcile: Reconcile,
  o: {
    workers?: number;
    urgentWorkers?: number;
    timeoutMs?: number;
    urgent?: (key: string) => boolean;
    about?: (key: string) => Record<string, unknown>;
    sources?: { synced(): Promise<void> }[];
  } = {},
) {
  const clock = new ManualClock();
  const registry = new Registry();
  const queue = new Queue({ now: clock.now, setTimer: clock.setTimer });
  const { log, lines } = recordingLog();
  const calls: { key: string; priority: number; at: number }[] = [];
  const controller = startController({
    name: 'grants',
    queue,
    workers: o.workers ?? 1,
    urgentWorkers: o.urgentWorkers,
    log,
    metrics: createKubeMetrics(registry),
    timeoutMs: o.timeoutMs ?? 30_000,
    urgent: o.urgent,
    about: o.about,
    sources: o.sources,
    setTimer: clock.setTimer,
    reconcile: (key, options) => {
      calls.push({ key, priority: options.priority, at: clock.now() });
      return reconcile(key, options);
    },
  });
  const results = async () => {
    const metric = await registry.getSingleMetric('controller_reconcile_total')?.get();
    return Object.fromEntries((metric?.values ?? []).map((v) => [v.labels.result, v.value]));
  };
  return { clock, queue, controller, calls, lines, results };
}

/** A promise with its ends, for a reconcile that a test lets go on. */
function gate() {
  return Promise.withResolvers<Result>();
}

describe('startController', () => {
  it('calls reconcile with the key and the priority it had, and once only when that succeeds', async () => {
    const { clock, queue, calls, controller, results } = start(async () => undefined);
    queue.add('demo/a', { priority: URGENT });
    queue.add('demo/b', { priority: INITIAL });
    await clock.advanceAsync(3_600_000);
    expect(calls).to.deep.equal([
      { key: 'demo/a', priority: URGENT, at: 0 },
      { key: 'demo/b', priority: INITIAL, at: 0 },
    ]);
    expect(await results()).to.deep.equal({ success: 2 });
    await controller.stop();
  });

  it('has workers for urgent keys alone, which find one while all others wait', async () => {
    const waiting = gate();
    const { queue, calls, controller } = start(
      (key) => (key === 'due' ? Promise.resolve(undefined) : waiting.promise),
      { workers: 2, urgentWorkers: 1 },
    );
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.add('due', { priority: URGENT });
    await settle();
    expect(calls.map(({ key }) => key)).to.have.members(['a', 'b', 'due']);
    waiting.resolve(undefined);
    await settle();
    expect(calls.map(({ key }) => key)).to.include('c');
    await controller.stop();
  });

  it('lets timers and sockets have their turn between many keys that wait for nothing', async () => {
    const worked = Promise.withResolvers<void>();
    const { queue, calls, controller } = start(
      async () => {
        busyFor(1);
        if (calls.length === 500) worked.resolve();
        return undefined;
      },
      { workers: 32 },
    );
    for (let key = 0; key < 500; key += 1) queue.add(`${key}`);
    let doneByThen: number | undefined;
    setTimeout(() => {
      doneByThen = calls.length;
    }, 0);
    await worked.promise;
    expect(doneByThen).to.be.lessThan(500);
    await controller.stop();
  });

  it('lets them have it after every 5 ms also when as many workers wait as there are keys', async () => {
    const keys = Array.from({ length: 20 }, (_, at) => `ns/${at}`);
    const done = Promise.withResolvers<void>();
    const { queue, calls, controller } = start(
      async () => {
        busyFor(5);
        if (calls.length === keys.length) done.resolve();
        return undefined;
      },
      { workers: keys.length },
    );
    for (const key of keys) queue.add(key);
    expect(await turnsDuring(() => done.promise)).to.be.at.least(keys.length - 1);
    await controller.stop();
  });

  it('has what is urgent wait for one turn at most', async () => {
    const keys = Array.from({ length: 20 }, (_, at) => `ns/${at}`);
    const done = Promise.withResolvers<void>();
    const { queue, calls, controller } = start(
      async (key) => {
        // By now a worker waits with each of the others.
        if (calls.length === 1) queue.add('due', { priority: URGENT });
        busyFor(5);
        if (key === 'due') done.resolve();
        return undefined;
      },
      { workers: keys.length, urgentWorkers: 1 },
    );
    for (const key of keys) queue.add(key);
    await done.promise;
    expect(calls.findIndex(({ key }) => key === 'due')).to.be.below(4);
    await controller.stop();
  });

  it('calls again with a growing delay and the same priority after an error, whatever requeue was meant', async () => {
    let failures = 4;
    const { clock, queue, calls, controller, results } = start(async () => {
      if (failures-- > 0) throw new Error('conflict');
      return undefined;
    });
    queue.add('demo/a', { priority: INITIAL });
    await clock.advanceAsync(3_600_000);
    expect(calls.map((c) => c.at)).to.deep.equal([0, 5, 15, 35, 75]);
    expect(new Set(calls.map((c) => c.priority))).to.deep.equal(new Set([INITIAL]));
    expect(await results()).to.deep.equal({ error: 4, success: 1 });
    await controller.stop();
  });

  it('starts the delays over after a success', async () => {
    const script = ['fail', 'fail', 'ok', 'fail', 'ok'];
    const { clock, queue, calls, controller } = start(async () => {
      if (script.shift() === 'fail') throw new Error('conflict');
      return undefined;
    });
    queue.add('a');
    await clock.advanceAsync(1000);
    queue.add('a');
    await clock.advanceAsync(1000);
    expect(calls.map((c) => c.at)).to.deep.equal([0, 5, 15, 1000, 1005]);
    await controller.stop();
  });

  it('calls again after requeueAfterMs, and the delays of earlier failures are forgotten', async () => {
    const script: (Result | Error)[] = [new Error('x'), { requeueAfterMs: 500 }, new Error('x'), undefined];
    const { clock, queue, calls, controller, results } = start(async () => {
      const next = script.shift();
      if (next instanceof Error) throw next;
      return next;
    });
    queue.add('a', { priority: 7 });
    await clock.advanceAsync(10_000);
    expect(calls.map((c) => [c.at, c.priority])).to.deep.equal([
      [0, 7],
      [5, 7],
      [505, 7],
      [510, 7],
    ]);
    expect(await results()).to.deep.equal({ error: 2, requeue_after: 1, success: 1 });
    await controller.stop();
  });

  it('calls again at once after requeueAfterMs 0, behind what is more urgent', async () => {
    const script: Result[] = [{ requeueAfterMs: 0, priority: INITIAL }];
    const { clock, queue, calls, controller } = start(async () => script.shift());
    queue.add('a', { priority: URGENT });
    await clock.advanceAsync(0);
    expect(calls.map((c) => [c.key, c.priority])).to.deep.equal([
      ['a', URGENT],
      ['a', INITIAL],
    ]);
    await controller.stop();
  });

  it('uses the priority that a result names for its requeue', async () => {
    const script: Result[] = [{ requeueAfterMs: 10, priority: INITIAL }];
    const { clock, queue, calls, controller } = start(async () => script.shift());
    queue.add('a', { priority: URGENT });
    await clock.advanceAsync(100);
    expect(calls.map((c) => c.priority)).to.deep.equal([URGENT, INITIAL]);
    await controller.stop();
  });

  it('does not call again after a TerminalError until the key is added anew', async () => {
    const { clock, queue, calls, controller, results, lines } = start(async () => {
      throw new TerminalError('spec is not valid');
    });
    queue.add('demo/a');
    await clock.advanceAsync(3_600_000);
    expect(calls).to.have.length(1);
    expect(await results()).to.deep.equal({ terminal_error: 1 });
    expect(lines.map((l) => [l.level, l.fields.key, l.fields.error])).to.deep.equal([
      ['error', 'demo/a', 'spec is not valid'],
    ]);
    queue.add('demo/a');
    await settle();
    expect(calls).to.have.length(2);
    await controller.stop();
  });

  it('calls a failing key with a due lapse at least every 5 s, ahead of all others', async () => {
    const { clock, queue, calls, controller } = start(
      async (key) => {
        if (key !== 'quiet') throw new Error('the API server is away');
        return undefined;
      },
      { urgent: (key) => key === 'due' },
    );
    queue.add('due');
    queue.add('other');
    await clock.advanceAsync(600_000);
    const gaps = (key: string) => {
      const at = calls.filter((c) => c.key === key).map((c) => c.at);
      return at.slice(1).map((time, i) => time - (at[i] ?? 0));
    };
    expect(Math.max(...gaps('due'))).to.equal(5000);
    expect(Math.max(...gaps('other'))).to.equal(60_000);
    expect(
      calls
        .filter((c) => c.key === 'due')
        .slice(1)
        .every((c) => c.priority === URGENT),
    ).to.equal(true);
    await controller.stop();
  });

  it('treats a key as urgent when asking whether it is fails', async () => {
    const { clock, queue, calls, controller } = start(
      async () => {
        throw new Error('away');
      },
      {
        urgent: () => {
          throw new Error('cannot tell');
        },
      },
    );
    queue.add('a');
    await clock.advanceAsync(30);
    expect(calls.map((c) => c.priority)).to.deep.equal([0, URGENT, URGENT]);
    await controller.stop();
  });

  it('names in the log what a key is about, as it is told', async () => {
    const { queue, controller, lines } = start(() => Promise.reject(new Error('boom')), {
      about: (key) => ({ grant: key, uid: 'u-1' }),
    });
    queue.add('demo/a');
    await settle();
    await settle();
    expect(lines[0]?.fields).to.deep.equal({ controller: 'grants', grant: 'demo/a', uid: 'u-1', error: 'boom' });
    await controller.stop();
  });

  it('survives whatever reconcile throws, at once or later, and logs each error once with its key', async () => {
    const throws: unknown[] = [new Error('boom'), 'text', undefined, null, { odd: true }];
    const { clock, queue, controller, lines, results } = start((key) => {
      const thrown = throws[Number(key)];
      if (key === '0') throw thrown;
      return Promise.reject(thrown);
    });
    for (const i of throws.keys()) queue.add(`${i}`);
    await settle();
    await settle();
    expect(lines.map((l) => l.fields.key)).to.deep.equal(['0', '1', '2', '3', '4']);
    expect(lines[0]?.fields).to.deep.equal({ controller: 'grants', key: '0', error: 'boom' });
    expect(await results()).to.deep.equal({ error: 5 });
    await clock.advanceAsync(5);
    expect(lines).to.have.length(10);
    await controller.stop();
  });

  it('takes a conflict for usual, and many in a row for an error', async () => {
    let conflicts = 5;
    const { clock, queue, controller, lines, results } = start(async () => {
      if (conflicts-- > 0) throw new ApiError({ status: 409, reason: 'Conflict', message: 'the object was modified' });
      return undefined;
    });
    queue.add('demo/a');
    await clock.advanceAsync(60_000);
    expect(lines.map(({ level }) => level)).to.deep.equal(Array(5).fill('debug'));
    conflicts = 7;
    lines.length = 0;
    queue.add('demo/a');
    await clock.advanceAsync(60_000);
    expect(lines.map(({ level }) => level)).to.deep.equal([...Array(5).fill('debug'), 'error', 'error']);
    expect(lines[0]?.fields).to.include({ key: 'demo/a', error: 'the object was modified' });
    expect(await results()).to.deep.equal({ conflict: 10, error: 2, success: 2 });
    await controller.stop();
  });

  it('aborts a call that takes too long, counts it as failed and tries again', async () => {
    const { clock, queue, calls, controller, results, lines } = start(
      (_key, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    queue.add('a');
    await clock.advanceAsync(29_999);
    expect(lines).to.deep.equal([]);
    await clock.advanceAsync(6);
    expect(lines.map((l) => l.fields.error)).to.deep.equal(['reconcile took longer than 30 s']);
    expect(calls.map((c) => c.at)).to.deep.equal([0, 30_005]);
    expect(await results()).to.deep.equal({ timeout: 1 });
    const stopped = controller.stop();
    await clock.advanceAsync(30_000);
    await stopped;
  });

  it('gives up, with a call that takes too long, the request that it waits for', async () => {
    const asked = Promise.withResolvers<void>();
    const wire = await startWire((_received, response) => {
      sendJson(response, 429, status(429, 'TooManyRequests', 'later'), { 'Retry-After': '30' });
      asked.resolve();
    });
    const client = new Client({ credentials: { server: wire.server } });
    const ended = Promise.withResolvers<unknown>();
    const { clock, queue, controller } = start(async (key) => {
      if (key !== 'a') return undefined;
      await client.get(roleBindings, { namespace: 'demo', name: 'a' }).catch(ended.resolve);
      return undefined;
    });
    queue.add('a');
    await asked.promise;
    await clock.advanceAsync(30_000);
    expect(await ended.promise).to.have.property('message', 'reconcile took longer than 30 s');
    await controller.stop();
    client.close();
    await wire.stop();
  });

  it('counts a call that took too long as failed though it returns as if all were well', async () => {
    const slow = gate();
    const { clock, queue, calls, controller, results } = start(() => slow.promise);
    queue.add('a');
    await clock.advanceAsync(30_000);
    slow.resolve(undefined);
    await clock.advanceAsync(5);
    expect(calls).to.have.length(2);
    expect(await results()).to.deep.equal({ timeout: 1, success: 1 });
    await controller.stop();
  });

  it('never runs two calls for one key, though the first is past its time, and runs others meanwhile', async () => {
    const slow = gate();
    const { clock, queue, calls, controller } = start(
      (key) => (key === 'slow' ? slow.promise : Promise.resolve(undefined)),
      {
        workers: 3,
      },
    );
    queue.add('slow');
    await settle();
    queue.add('slow');
    queue.add('other');
    await clock.advanceAsync(60_000);
    expect(calls.map((c) => c.key)).to.deep.equal(['slow', 'other']);
    slow.resolve(undefined);
    await settle();
    expect(calls.map((c) => c.key)).to.deep.equal(['slow', 'other', 'slow']);
    await controller.stop();
  });

  it('runs at most as many calls at once as it has workers', async () => {
    let running = 0;
    let most = 0;
    const { clock, queue, controller, calls } = start(
      async () => {
        most = Math.max(most, ++running);
        await settle();
        running -= 1;
        return undefined;
      },
      { workers: 4 },
    );
    for (let i = 0; i < 40; i++) queue.add(`k${i}`);
    while (calls.length < 40) await clock.advanceAsync(0);
    expect(most).to.equal(4);
    await controller.stop();
  });

  it('works at once on what a call takes beside it, by a call of its own that fails and comes again by itself', async () => {
    const both = Promise.withResolvers<void>();
    const beside: string[] = [];
    const { clock, queue, controller, calls, results } = start(async (key, { beside: others }) => {
      if (key !== 'first' || beside.length > 0) return undefined;
      for (const other of ['good', 'bad', 'less', 'first', 'unknown']) {
        if (!others.isReady(other)) continue;
        others.take(other, async ({ priority }) => {
          beside.push(`${other} ${priority}`);
          await both.promise;
          if (other === 'bad') throw new Error('no');
          return undefined;
        });
      }
      return undefined;
    });
    for (const key of ['first', 'good', 'bad', 'next']) queue.add(key);
    queue.add('less', { priority: INITIAL });
    await settle();
    expect(beside).to.deep.equal(['good 0', 'bad 0']);
    // The one worker takes no other key before all have ended.
    queue.add('good');
    await settle();
    expect(calls.map(({ key }) => key)).to.deep.equal(['first']);
    both.resolve();
    await clock.advanceAsync(5);
    expect(calls.map(({ key }) => key)).to.deep.equal(['first', 'next', 'good', 'less', 'bad']);
    expect(await results()).to.deep.equal({ success: 6, error: 1 });
    await controller.stop();
  });

  it('starts working only when every source has synced', async () => {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const sources = [first, second].map((source) => ({ synced: () => source.promise }));
    const { clock, queue, calls, controller } = start(async () => undefined, { sources });
    queue.add('a');
    first.resolve();
    await clock.advanceAsync(119_000);
    expect(calls).to.deep.equal([]);
    second.resolve();
    await settle();
    expect(calls).to.have.length(1);
    await controller.stop();
    expect(clock.pendingTimers).to.equal(0);
  });

  it('fails for good, naming the controller, when a source has not synced after two minutes', async () => {
    const { clock, controller } = start(async () => undefined, { sources: [{ synced: () => new Promise(() => {}) }] });
    const failure = controller.stopped.then(
      () => 'stopped',
      (error: unknown) => (error instanceof Error ? error.message : 'not an error'),
    );
    await clock.advanceAsync(120_000);
    expect(await failure).to.match(/^controller grants: .*did not sync within 120 s/);
  });

  it('can be stopped while sources still sync', async () => {
    const { clock, controller } = start(async () => undefined, { sources: [{ synced: () => new Promise(() => {}) }] });
    await controller.stop();
    await controller.stopped;
    expect(clock.pendingTimers).to.equal(0);
  });

  it('takes no more keys when stopped, and resolves when the running call has ended', async () => {
    const running = gate();
    const { clock, queue, calls, controller } = start(() => running.promise);
    queue.add('a');
    queue.add('b');
    await settle();
    let stopped = false;
    const stopping = controller.stop().then(() => {
      stopped = true;
    });
    await clock.advanceAsync(20_000);
    expect(stopped).to.equal(false);
    running.resolve(undefined);
    await stopping;
    await controller.stopped;
    expect(calls.map((c) => c.key)).to.deep.equal(['a']);
    expect(clock.pendingTimers).to.equal(0);
  });

  it('aborts what still runs 30 s after it was stopped, and waits no longer', async () => {
    let aborted = false;
    const { clock, queue, controller } = start(
      (_key, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true;
        });
        return new Promise(() => {});
      },
      { timeoutMs: 120_000 },
    );
    queue.add('a');
    await settle();
    const stopping = controller.stop();
    await clock.advanceAsync(29_999);
    expect(aborted).to.equal(false);
    await clock.advanceAsync(1);
    await stopping;
    expect(aborted).to.equal(true);
  });
});
