import { expect } from 'chai';
import { IdentityCounts } from '../../../src/controllers/identity-counts.ts';
import { Queue } from '../../../src/kube/queue.ts';
import { ManualClock, settle } from '../kube/manual-clock.ts';

function start() {
  const clock = new ManualClock();
  const queue = () => new Queue({ now: clock.now, setTimer: clock.setTimer });
  const queues = { grants: queue(), identities: queue() };
  return { clock, ...queues, counts: new IdentityCounts(queues) };
}

describe('the counts of an identity', () => {
  it('are looked at a second after the last grant was worked on, once for many changes', async () => {
    const { clock, grants, identities, counts } = start();
    grants.add('team/a');
    grants.add('team/b');
    for (const key of ['team/a', 'team/b']) {
      await grants.get();
      counts.changed('team/bot');
      await clock.advanceAsync(5_000);
      expect(identities.length).to.equal(0);
      grants.done(key);
    }
    await clock.advanceAsync(999);
    expect(identities.length).to.equal(0);
    await clock.advanceAsync(1);
    expect(identities.length).to.equal(1);
  });

  it('wait for five minutes at most where grants never come to rest', async () => {
    const { clock, grants, identities, counts } = start();
    grants.add('team/a');
    counts.changed('team/bot');
    await clock.advanceAsync(299_999);
    expect(identities.length).to.equal(0);
    await clock.advanceAsync(1);
    expect(identities.length).to.equal(1);
  });

  it('are looked at again for what changes after they were', async () => {
    const { clock, identities, counts } = start();
    counts.changed('team/bot');
    await clock.advanceAsync(1_000);
    identities.done((await identities.get())?.key ?? '');
    await settle();
    counts.changed('team/bot');
    await clock.advanceAsync(1_000);
    expect(identities.length).to.equal(1);
  });
});
