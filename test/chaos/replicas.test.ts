// Two replicas: the leader frozen, killed or stopped in the middle of its work, and what the other makes of it.
import { expect } from 'chai';
import { isTerminal } from '../../src/api/conditions.ts';
import { agentGrants } from '../../src/api/grant.ts';
import { LABELS } from '../../src/api/names.ts';
import { agentReceipts } from '../../src/api/receipt.ts';
import { jobs, roleBindings, roles } from '../../src/kube/kinds.ts';
import type { HallpassProcess } from '../controlplane/playground.ts';
import { settled } from '../harness/invariants.ts';
import { logged } from './logged.ts';
import { HOME, OTHER, type Setting, soon, startSetting } from './setting.ts';
import { byDeadline, byDeletion, type Case, cases, issue } from './steps.ts';
import type { Held } from './write-proxy.ts';

const both = [HOME, OTHER];

describe('two replicas of hallpass', function () {
  this.timeout(120_000);
  let setting: Setting;
  /** Behind the proxy, and leading when a scenario begins; the other is ready to take over. */
  let leader: HallpassProcess;
  let other: HallpassProcess;

  const phase = (name: string) => setting.find(name)?.status.phase;
  const receiptsOf = (name: string) => setting.caches.receipts.list().filter(({ spec }) => spec?.grant.name === name);
  const eventsOf = (uid: string, reasons: string[]) =>
    setting.caches.events
      .list()
      .filter(({ reason, regarding }) => reasons.includes(reason ?? '') && regarding?.uid === uid)
      .reduce((sum, { series }) => sum + (series?.count ?? 1), 0);
  const grantedEvents = (uid: string) => eventsOf(uid, ['Granted']);
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

  const stopAt = (each: Case): [string, Held] => [each.name, setting.proxy.stopAt({ ...each, subject: each.name })];

  /** Starts two, of which the one behind the proxy leads. */
  async function startBoth(): Promise<void> {
    leader = await setting.start({ proxied: true });
    await setting.leads(leader);
    other = await setting.start();
    await other.ready();
  }

  /** Starts one behind the proxy that leads in the place of the one that did, and another that is ready to take over. */
  async function relieve(): Promise<void> {
    const standby = await setting.start({ proxied: true });
    await standby.ready();
    other.kill('SIGTERM');
    expect((await other.exited).code, 'of the one that was told to stop').to.equal(0);
    await setting.leads(standby);
    leader = standby;
    other = await setting.start();
    await other.ready();
  }

  before(async () => {
    setting = await startSetting();
  });
  after(() => setting?.stop());
  afterEach(() => {
    expect(setting.history.violations).to.deep.equal([]);
  });

  describe('of which the leader is frozen at every step of issue, and woken after the other took over', () => {
    const deleted = cases('frozen-deleted', issue);
    const lapsed = cases('frozen-lapsed', issue);
    const all = [...deleted, ...lapsed];
    let writesWhileFrozen: number;

    before(async () => {
      await startBoth();
      const held = new Map(all.map(stopAt));
      await Promise.all([
        ...deleted.map(({ name }) => setting.grant(name, { duration: '1h' }, both)),
        ...lapsed.map(({ name }) => setting.grant(name, { duration: '5s' }, both)),
      ]);
      await Promise.all([...held.values()].map(({ arrived }) => arrived));
      leader.kill('SIGSTOP');
      await Promise.all(deleted.map(({ name }) => setting.remove(name)));
      await setting.leads(other);
      await setting.until('the other to revoke every grant', () => {
        const gone = deleted.every(({ name }) => setting.find(name) === undefined);
        return gone && lapsed.every(({ name }) => isTerminal(phase(name)));
      });
      // What the frozen one had sent already arrives only now; of the answers one half comes and the other never will.
      await Promise.all(deleted.map(({ name }) => held.get(name)?.deliver()));
      for (const { name, moment } of lapsed) {
        if (moment === 'before') await held.get(name)?.deliver();
        else held.get(name)?.cut();
      }
      writesWhileFrozen = setting.proxy.writes.length;
      leader.kill('SIGCONT');
    });

    it('ends the woken one, which writes nothing more', async () => {
      expect((await leader.exited).code).to.equal(1);
      expect(setting.proxy.writes.slice(writesWhileFrozen)).to.deep.equal([]);
      expect(await setting.log(leader)).to.contain('lost the lease');
    });

    for (const { name, title } of deleted) {
      it(`${title}, and deleted meanwhile: nothing comes back`, async () => {
        await setting.accessIs(false, name, both);
        expect(setting.find(name)).to.equal(undefined);
        await setting.until('its receipt, if it got one, to be closed', () =>
          receiptsOf(name).every(({ status }) => status.outcome === 'Revoked'),
        );
        expect(receiptsOf(name).length).to.be.at.most(1);
      });
    }

    for (const { name, title } of lapsed) {
      it(`${title}, and lapsed meanwhile: nothing comes back`, async () => {
        await setting.accessIs(false, name, both);
        expect(phase(name)).to.equal('Expired');
        expect(receiptsOf(name).map(({ status }) => status.outcome)).to.deep.equal(['Expired']);
      });
    }

    it('leaves no orphan', () => settled(setting.admin));
  });

  describe('of which the leader is frozen at every step of a withdrawal, and woken after the other took over', () => {
    const lapsing = cases('thawed-lapsing', byDeadline);
    const deleted = cases('thawed-deleted', byDeletion);
    const all = [...lapsing, ...deleted];
    const uids = new Map<string, string>();
    /** The end of each grant, before and after. */
    const ends = new Map<string, string | undefined>();
    let writesWhileFrozen: number;
    /** What is stored once the other is done, and once the frozen one has woken: names and resourceVersions. */
    let done: string[];
    let woken: string[];

    const endOf = (name: string) => receiptsOf(name)[0]?.spec?.expiresAt;
    /** Of all that was ever made for grants, read uncached. */
    async function stored(): Promise<string[]> {
      const { admin } = setting;
      const lists = await Promise.all([
        admin.list(agentGrants),
        admin.list(agentReceipts),
        admin.list(jobs, { labelSelector: LABELS.grant }),
        admin.list(roles, { labelSelector: LABELS.grant }),
        admin.list(roleBindings, { labelSelector: LABELS.grant }),
      ]);
      const objects = lists.flatMap(({ items }) => items.map(({ metadata }) => metadata));
      return objects.map(({ namespace, name, resourceVersion }) => `${namespace}/${name} at ${resourceVersion}`).sort();
    }

    before(async () => {
      await relieve();
      const notAfter = soon();
      await Promise.all([
        ...lapsing.map(({ name }) => setting.grant(name, { notAfter }, both)),
        ...deleted.map(({ name }) => setting.grant(name, { duration: '1h' }, both)),
      ]);
      await setting.until('every grant to be Active', () => all.every(({ name }) => setting.isSettled(name)));
      for (const { name } of all) {
        uids.set(name, setting.find(name)?.metadata.uid ?? '');
        ends.set(name, endOf(name));
      }
      const held = new Map(all.map(stopAt));
      await Promise.all(deleted.map(({ name }) => setting.remove(name)));
      await Promise.all([...held.values()].map(({ arrived }) => arrived));
      leader.kill('SIGSTOP');
      await setting.leads(other);
      await setting.until('the other to end every grant', () => {
        const closed = all.every(({ name }) => receiptsOf(name)[0]?.status.outcome !== undefined);
        const gone = deleted.every(({ name }) => setting.find(name) === undefined);
        return closed && gone && lapsing.every(({ name }) => isTerminal(phase(name)));
      });
      await settled(setting.admin);
      done = await stored();
      // What the frozen one had sent already arrives only now; of the answers one half comes and the other never will.
      await Promise.all(all.filter(({ moment }) => moment === 'before').map(({ name }) => held.get(name)?.deliver()));
      await Promise.all(
        deleted.filter(({ moment }) => moment === 'after').map(({ name }) => held.get(name)?.deliver()),
      );
      for (const { name, moment } of lapsing) if (moment === 'after') held.get(name)?.cut();
      writesWhileFrozen = setting.proxy.writes.length;
      leader.kill('SIGCONT');
      await leader.exited;
      woken = await stored();
    });

    it('ends the woken one, which writes nothing more', async () => {
      expect((await leader.exited).code).to.equal(1);
      expect(setting.proxy.writes.slice(writesWhileFrozen)).to.deep.equal([]);
      expect(await setting.log(leader)).to.contain('lost the lease');
    });

    it('does nothing a second time: what the frozen one had sent before changes nothing any more', () => {
      expect(woken).to.deep.equal(done);
    });

    for (const { name, title } of lapsing) {
      it(`at the deadline, ${title}: its end has not moved, and nothing comes back`, async () => {
        await setting.accessIs(false, name, both);
        expect(phase(name)).to.equal('Expired');
        expect(setting.find(name)?.status.expiresAt).to.equal(ends.get(name));
        expect(receiptsOf(name).map(({ status }) => status.outcome)).to.deep.equal(['Expired']);
        expect(endOf(name)).to.equal(ends.get(name));
      });
    }

    for (const { name, title } of deleted) {
      it(`after a deletion, ${title}: nothing comes back`, async () => {
        await setting.accessIs(false, name, both);
        expect(setting.find(name)).to.equal(undefined);
        expect(receiptsOf(name).map(({ status }) => status.outcome)).to.deep.equal(['Revoked']);
        expect(endOf(name)).to.equal(ends.get(name));
      });
    }

    it('announces no end twice', () => {
      for (const { name } of all) {
        expect(eventsOf(uids.get(name) ?? '', ['Lapsed', 'Revoked']), name).to.be.at.most(1);
      }
    });

    it('leaves no orphan', () => settled(setting.admin));
  });

  describe('of which the leader is told to stop', () => {
    it('finishes what it does, hands the lease over at once and ends with 0', async () => {
      await relieve();
      const held = setting.proxy.stopAt({ subject: 'handed-over', step: 'POST rolebindings', moment: 'before' });
      await setting.grant('handed-over', { duration: '1h' });
      await held.arrived;
      leader.kill('SIGTERM');
      const exited = leader.exited.then(({ code }) => ({ code, at: performance.now() }));
      await logged(leader, /"stops"/);
      expect(setting.proxy.watches, 'watches of a process whose last reconcile still reads its caches').to.be.above(0);
      await held.deliver();
      const { code, at } = await exited;
      expect(code).to.equal(0);
      await setting.until('the grant to be Active', () => phase('handed-over') === 'Active', 5_000);
      await setting.leads(other);
      const took = performance.now() - at;
      console.log(`      the other leads ${seconds(took)} after the end of the one that was told to stop`);
      // Without the hand-over it would wait for the lease, of 15 s.
      expect(took).to.be.below(5_000);
      await settled(setting.admin);
    });
  });

  describe('of which the leader is killed while it issues', () => {
    it('goes on within 15 s, and nothing is done twice', async () => {
      await relieve();
      const names = issue.map((_, at) => `killed-${at}`);
      const held = issue.map(({ step, nth, namespace }, at) =>
        setting.proxy.stopAt({ subject: `killed-${at}`, step, nth, namespace, moment: 'after' }),
      );
      await Promise.all(names.map((name) => setting.grant(name, { duration: '1h' })));
      await Promise.all(held.map(({ arrived }) => arrived));
      const receipts = new Map(names.map((name) => [name, receiptsOf(name)[0]?.spec]));
      leader.kill('SIGKILL');
      const killedAt = performance.now();
      await setting.until('every grant to be Active', () => names.every((name) => phase(name) === 'Active'));
      const took = performance.now() - killedAt;
      console.log(`      ${names.length} interrupted grants are Active ${seconds(took)} after the leader was killed`);
      expect(took).to.be.below(15_000);
      await settled(setting.admin);
      for (const name of names) {
        expect(receiptsOf(name).map(({ spec }) => spec)).to.deep.equal([receipts.get(name)]);
        await setting.accessIs(true, name);
      }
      const uids = names.map((name) => setting.find(name)?.metadata.uid ?? '');
      // The last of them said Active before it died, and so nobody is told again.
      await setting.until('their events', () => uids.slice(0, -1).every((uid) => grantedEvents(uid) > 0));
      expect(uids.map(grantedEvents)).to.deep.equal([...uids.slice(0, -1).map(() => 1), 0]);
      for (const cache of [setting.caches.jobs, setting.caches.roles, setting.caches.bindings]) {
        const made = (uid: string) =>
          cache.list().filter((object) => object.metadata.name === `hallpass-${uid}`).length;
        expect(uids.map(made)).to.deep.equal(uids.map(() => 1));
      }
    });
  });
});
