import { expect } from 'chai';
import { ApiError } from '../../../src/kube/client.ts';
import { type Lease, leases } from '../../../src/kube/kinds.ts';
import { electorIdentity, LeaderElector } from '../../../src/kube/leader.ts';
import { silentLog } from '../../../src/kube/log.ts';
import type { KubeObject, NewObject, ObjectMeta, Resource } from '../../../src/kube/object.ts';
import { ManualClock } from './manual-clock.ts';

/** One record with optimistic locking, which is all that an election needs; its network can be cut or silent. */
class StoredLease {
  stored: Lease | undefined;
  writes = 0;

  connect() {
    const link = { state: 'up' as 'up' | 'cut' | 'silent', answerAfter: Promise.resolve(), requests: 0 };
    const reach = (signal?: AbortSignal): Promise<void> => {
      link.requests += 1;
      if (link.state === 'up') return link.answerAfter;
      if (link.state === 'cut') return Promise.reject(new Error('connection refused'));
      return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    };
    const client = {
      get: async <T extends KubeObject>(
        resource: Resource<T>,
        _ref: unknown,
        o: { signal?: AbortSignal } = {},
      ): Promise<T> => {
        await reach(o.signal);
        if (this.stored === undefined) throw new ApiError({ status: 404, reason: 'NotFound', message: 'no lease' });
        return resource.parse(this.stored);
      },
      create: async <T extends KubeObject>(
        resource: Resource<T>,
        object: NewObject<T>,
        o: { signal?: AbortSignal } = {},
      ) => {
        await reach(o.signal);
        if (this.stored) throw new ApiError({ status: 409, reason: 'AlreadyExists', message: 'there is one' });
        return this.#store(resource, object);
      },
      replace: async <T extends KubeObject>(resource: Resource<T>, object: T, o: { signal?: AbortSignal } = {}) => {
        await reach(o.signal);
        if (!this.stored) throw new ApiError({ status: 404, reason: 'NotFound', message: 'no lease' });
        if (object.metadata.resourceVersion !== this.stored.metadata.resourceVersion) {
          throw new ApiError({ status: 409, reason: 'Conflict', message: 'changed meanwhile' });
        }
        return this.#store(resource, object);
      },
    };
    return { link, client };
  }

  #store<T extends KubeObject>(resource: Resource<T>, object: object): T {
    this.writes += 1;
    const written = { ...object, metadata: metadata(`${this.writes}`) };
    this.stored = leases.parse(written);
    return resource.parse(written);
  }

  /** Someone else writes. */
  touch(resourceVersion: string, spec: Lease['spec'] = this.stored?.spec): void {
    this.stored = { metadata: metadata(resourceVersion), spec };
  }
}

function metadata(resourceVersion: string): ObjectMeta {
  return { name: 'hallpass', namespace: 'hallpass-system', uid: 'u', resourceVersion };
}

function elector(clock: ManualClock, record: StoredLease, identity: string) {
  const { link, client } = record.connect();
  const frozen = { by: 0 };
  const leader = new LeaderElector({
    client,
    namespace: 'hallpass-system',
    name: 'hallpass',
    identity,
    log: silentLog,
    now: () => clock.now() + frozen.by,
    setTimer: clock.setTimer,
    date: () => new Date(clock.now()),
  });
  const state = { leads: false, lost: false };
  const stop = new AbortController();
  const running = leader.run(stop.signal).then(() => {
    state.leads = true;
  });
  running.catch(() => {});
  void leader.lost.then(() => {
    state.lost = true;
  });
  return { leader, link, state, stop, running, frozen };
}

describe('LeaderElector', () => {
  it('creates the lease when there is none: 8 s, with its identity, no transition', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const { leader, state } = elector(clock, record, 'host_1');
    await clock.advanceAsync(0);
    expect(state.leads).to.equal(true);
    expect(leader.isFresh()).to.equal(true);
    expect(record.stored?.spec).to.include({ holderIdentity: 'host_1', leaseDurationSeconds: 8, leaseTransitions: 0 });
    expect(record.stored?.spec?.renewTime).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    await leader.release();
  });

  it('has an identity of host and uuid that no other process shares', () => {
    expect(electorIdentity()).to.match(/^.+_[0-9a-f-]{36}$/);
    expect(electorIdentity()).to.not.equal(electorIdentity());
  });

  it('renews every second with one write and no read, and stays fresh', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const { leader, link, state } = elector(clock, record, 'host_1');
    await clock.advanceAsync(0);
    const before = link.requests;
    await clock.advanceAsync(60_000);
    expect(link.requests - before).to.equal(60);
    expect(leader.isFresh()).to.equal(true);
    expect(state.lost).to.equal(false);
    await leader.release();
  });

  it('lets one of three lead', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const all = ['a', 'b', 'c'].map((id) => elector(clock, record, id));
    await clock.advanceAsync(60_000);
    expect(all.filter((e) => e.state.leads)).to.have.length(1);
    expect(all.filter((e) => e.leader.isFresh())).to.have.length(1);
    for (const e of all) e.stop.abort(new Error('over'));
    for (const e of all) await e.leader.release();
  });

  it('says that it was passed over when the first try fails, and not when it leads at once', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const passed: string[] = [];
    const all = ['first', 'second'].map((id) => {
      const one = elector(clock, record, id);
      void one.leader.passedOver.then(() => passed.push(id));
      return one;
    });
    await clock.advanceAsync(60_000);
    expect(all.map(({ state }) => state.leads)).to.deep.equal([true, false]);
    expect(passed).to.deep.equal(['second']);
    for (const { stop } of all) stop.abort(new Error('over'));
    for (const { leader } of all) await leader.release();
  });

  it('replaces a leader that vanished, within 12.4 s and never before its lease has run out', async () => {
    for (let dies = 0; dies < 1000; dies += 130) {
      const clock = new ManualClock();
      const record = new StoredLease();
      const first = elector(clock, record, 'a');
      await clock.advanceAsync(0);
      const second = elector(clock, record, 'b');
      await clock.advanceAsync(10_000 + dies);
      first.link.state = 'cut';
      const renewedLast = 10_000;
      while (!second.state.leads) await clock.advanceAsync(20);
      const took = clock.now() - 10_000 - dies;
      expect(took).to.be.at.most(12_400);
      expect(clock.now() - renewedLast).to.be.at.least(8000);
      expect(record.stored?.spec).to.include({ holderIdentity: 'b', leaseTransitions: 1 });
      await second.leader.release();
    }
  });

  it('gives up 5 s after its last successful renewal was sent, before anyone else may take over', async () => {
    for (const state of ['cut', 'silent'] as const) {
      const clock = new ManualClock();
      const { leader, link, state: seen } = elector(clock, new StoredLease(), 'a');
      await clock.advanceAsync(2000);
      link.state = state;
      await clock.advanceAsync(4999);
      expect(leader.isFresh()).to.equal(true);
      expect(seen.lost).to.equal(false);
      await clock.advanceAsync(1);
      expect(leader.isFresh()).to.equal(false);
      expect(seen.lost).to.equal(true);
      await clock.advanceAsync(60_000);
      expect(clock.pendingTimers).to.equal(0);
    }
  });

  it('is never fresh together with another, whatever the network does to either', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const all = ['a', 'b', 'c'].map((id) => elector(clock, record, id));
    let seed = 7;
    for (let second = 0; second < 600; second++) {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      const target = all[seed % all.length];
      if (target) target.link.state = (['up', 'up', 'cut', 'silent'] as const)[(seed >> 8) % 4] ?? 'up';
      await clock.advanceAsync(700);
      expect(all.filter((e) => e.leader.isFresh()).length).to.be.at.most(1);
    }
    expect(all.some((e) => e.state.lost)).to.equal(true);
    for (const e of all) e.stop.abort(new Error('over'));
    for (const e of all) e.link.state = 'up';
    await clock.advanceAsync(10_000);
    for (const e of all) await e.leader.release();
  });

  it('survives a network that is away for less than the renew deadline', async () => {
    const clock = new ManualClock();
    const { leader, link, state } = elector(clock, new StoredLease(), 'a');
    await clock.advanceAsync(0);
    link.state = 'cut';
    await clock.advanceAsync(3900);
    link.state = 'up';
    await clock.advanceAsync(60_000);
    expect(state.lost).to.equal(false);
    expect(leader.isFresh()).to.equal(true);
    await leader.release();
  });

  it('finds itself stale the moment it wakes from being frozen, and lost at its next step', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const { leader, frozen, state } = elector(clock, record, 'a');
    await clock.advanceAsync(1500);
    frozen.by = 20_000;
    expect(leader.isFresh()).to.equal(false);
    const writes = record.writes;
    await clock.advanceAsync(1000);
    expect(state.lost).to.equal(true);
    expect(record.writes).to.equal(writes);
  });

  it('counts freshness from when a renewal was sent, not from when its answer came', async () => {
    const clock = new ManualClock();
    const { leader, link } = elector(clock, new StoredLease(), 'a');
    await clock.advanceAsync(500);
    link.answerAfter = new Promise((resolve) => clock.setTimer(resolve, 2000));
    await clock.advanceAsync(2000);
    link.state = 'cut';
    await clock.advanceAsync(3499);
    expect(leader.isFresh()).to.equal(true);
    await clock.advanceAsync(1);
    expect(leader.isFresh()).to.equal(false);
  });

  it('judges expiry by how long it saw the lease unchanged, never by the times written in it', async () => {
    for (const renewTime of ['1999-01-01T00:00:00.000000Z', '2999-01-01T00:00:00.000000Z', 'nonsense', undefined]) {
      const clock = new ManualClock();
      const record = new StoredLease();
      record.touch('1', { holderIdentity: 'other', leaseDurationSeconds: 8, renewTime, acquireTime: renewTime });
      const { leader, state } = elector(clock, record, 'a');
      await clock.advanceAsync(7999);
      expect(state.leads).to.equal(false);
      await clock.advanceAsync(1300);
      expect(state.leads).to.equal(true);
      await leader.release();
    }
  });

  it('looks again the moment a lease runs out, not a period later', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    record.touch('1', { holderIdentity: 'other', leaseDurationSeconds: 8 });
    const { leader, state } = elector(clock, record, 'a');
    await clock.advanceAsync(8001);
    expect(state.leads).to.equal(true);
    await leader.release();
  });

  it('takes at once, and without counting a transition, a lease that it already wrote without hearing so', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    record.touch('1', { holderIdentity: 'a', leaseDurationSeconds: 8, leaseTransitions: 3 });
    const { leader, state } = elector(clock, record, 'a');
    await clock.advanceAsync(0);
    expect(state.leads).to.equal(true);
    expect(record.stored?.spec?.leaseTransitions).to.equal(3);
    await leader.release();
  });

  it('waits as long as the holder asked for, also when that is longer than its own duration', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    record.touch('1', { holderIdentity: 'other', leaseDurationSeconds: 15 });
    const { leader, state } = elector(clock, record, 'a');
    await clock.advanceAsync(14_900);
    expect(state.leads).to.equal(false);
    await clock.advanceAsync(1300);
    expect(state.leads).to.equal(true);
    await leader.release();
  });

  it('releases with an empty holder and a duration of 1 s, and the next takes over at its next look', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const first = elector(clock, record, 'a');
    await clock.advanceAsync(0);
    const second = elector(clock, record, 'b');
    await clock.advanceAsync(5500);
    await first.leader.release();
    expect(record.stored?.spec).to.include({ holderIdentity: '', leaseDurationSeconds: 1 });
    expect(first.leader.isFresh()).to.equal(false);
    await clock.advanceAsync(1200);
    expect(second.state.leads).to.equal(true);
    expect(record.stored?.spec).to.include({ holderIdentity: 'b', leaseDurationSeconds: 8, leaseTransitions: 1 });
    expect(first.state.lost).to.equal(false);
    await second.leader.release();
    expect(clock.pendingTimers).to.equal(0);
  });

  it('is lost at once when it finds that another holds the lease, and does not write over it', async () => {
    for (const holderIdentity of ['b', '']) {
      const clock = new ManualClock();
      const record = new StoredLease();
      const { leader, state } = elector(clock, record, 'a');
      await clock.advanceAsync(500);
      record.touch('77', { ...record.stored?.spec, holderIdentity });
      await clock.advanceAsync(600);
      expect(state.lost).to.equal(true);
      expect(leader.isFresh()).to.equal(false);
      expect(record.stored?.metadata.resourceVersion).to.equal('77');
      await leader.release();
      expect(record.stored?.metadata.resourceVersion).to.equal('77');
    }
  });

  it('keeps a lease that was touched without changing its holder, and one that was deleted by hand', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const { leader, state } = elector(clock, record, 'a');
    await clock.advanceAsync(500);
    record.touch('labelled');
    await clock.advanceAsync(1000);
    expect(record.stored?.metadata.resourceVersion).to.not.equal('labelled');
    record.stored = undefined;
    await clock.advanceAsync(1000);
    expect(record.stored).to.have.nested.property('spec.holderIdentity', 'a');
    expect(state.lost).to.equal(false);
    await leader.release();
  });

  it('rejects with the reason of its signal when aborted before it leads, and holds nothing then', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const first = elector(clock, record, 'a');
    await clock.advanceAsync(0);
    const second = elector(clock, record, 'b');
    await clock.advanceAsync(2000);
    second.stop.abort(new Error('stopping'));
    expect(await second.running.catch((error: Error) => error.message)).to.equal('stopping');
    await first.leader.release();
    await clock.advanceAsync(20_000);
    expect(record.stored?.spec?.holderIdentity).to.equal('');
  });

  it('hands back a lease that it got just when it was told to stop', async () => {
    const clock = new ManualClock();
    const record = new StoredLease();
    const { stop, running } = elector(clock, record, 'a');
    stop.abort(new Error('stopping'));
    expect(await running.catch((error: Error) => error.message)).to.equal('stopping');
    expect(record.stored?.spec?.holderIdentity).to.equal('');
  });

  it('never throws from a release that fails', async () => {
    const clock = new ManualClock();
    const { leader, link } = elector(clock, new StoredLease(), 'a');
    await clock.advanceAsync(0);
    link.state = 'cut';
    await leader.release();
    expect(leader.isFresh()).to.equal(false);
  });
});
