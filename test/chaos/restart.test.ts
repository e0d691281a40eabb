// hallpass, or the API server, away for a while: what ended meanwhile is revoked first of all when it is back.
import { expect } from 'chai';
import { isTerminal } from '../../src/api/conditions.ts';
import { agentGrants } from '../../src/api/grant.ts';
import { LABELS } from '../../src/api/names.ts';
import { ApiError } from '../../src/kube/client.ts';
import { Deadlines } from '../../src/kube/deadlines.ts';
import { roleBindings } from '../../src/kube/kinds.ts';
import type { HallpassProcess } from '../controlplane/playground.ts';
import { settled } from '../harness/invariants.ts';
import { poll } from '../harness/poll.ts';
import { HOME, OTHER, type Setting, soon, startSetting } from './setting.ts';

const both = [HOME, OTHER];
const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, at) => `${prefix}-${at}`);
const reached = (time: string): Promise<void> =>
  new Promise((resolve) => {
    const deadlines = new Deadlines({ now: () => new Date(), onDue: () => resolve() });
    deadlines.set(time, new Date(time));
  });

function ignoreUnavailable(error: unknown): false {
  if (error instanceof ApiError && error.status === 503) return false;
  throw error;
}

describe('after a time away', function () {
  this.timeout(120_000);
  let setting: Setting;

  const phase = (name: string) => setting.find(name)?.status.phase;
  const uids = new Map<string, string>();
  const isBound = (name: string) =>
    setting.caches.bindings.list().some(({ metadata }) => metadata.name === `hallpass-${uids.get(name)}`);
  const outcomes = (name: string) =>
    setting.caches.receipts
      .list()
      .filter(({ spec }) => spec?.grant.name === name)
      .map(({ status }) => status.outcome);

  before(async () => {
    setting = await startSetting();
  });
  after(() => setting?.stop());
  afterEach(() => {
    expect(setting.history.violations).to.deep.equal([]);
  });

  it('hallpass revokes what ended meanwhile before it does anything else', async () => {
    const first = await setting.start();
    await setting.leads(first);
    const lapsed = numbered('lapsed', 5);
    // Its status is lost meanwhile, as a restore from a backup does it: only its receipt says when it ends.
    const wiped = 'wiped';
    const deleted = numbered('deleted', 5);
    const end = soon();
    await Promise.all([
      ...[...lapsed, wiped].map((name) => setting.grant(name, { notAfter: end }, both)),
      ...deleted.map((name) => setting.grant(name, { duration: '1h' }, both)),
    ]);
    const all = [...lapsed, wiped, ...deleted];
    await setting.until('all to be Active', () => all.every((name) => setting.isSettled(name)));
    for (const name of all) uids.set(name, setting.find(name)?.metadata.uid ?? '');
    await first.stop();
    // So that the dead man doesn't do hallpass's work.
    await setting.controlPlane.controllerManager.stop();
    await Promise.all(deleted.map((name) => setting.remove(name)));
    await setting.wipe(wiped);
    // Whose names come before the others', and so they do in every list.
    const waiting = numbered('asked', 60);
    await Promise.all(waiting.map((name) => setting.grant(name, { duration: '1h' })));
    await reached(end);
    for (const name of all) expect(await setting.access(name), `access of ${name}`).to.equal(true);

    const before = setting.proxy.writes.length;
    const startedAt = performance.now();
    const release = setting.proxy.holdReads(['jobs', 'roles', 'agentreceipts']);
    const second = await setting.start({ proxied: true });
    await setting.until('the access to go', () => [...lapsed, ...deleted].every((name) => !isBound(name)));
    console.log(
      `      revoked ${((performance.now() - startedAt) / 1000).toFixed(1)} s after the start of the process`,
    );
    const notes = await (await fetch(`${second.healthUrl}/readyz`)).text();
    expect(notes)
      .to.match(/^ok\nleads\n/)
      .and.contain('grants nothing new: jobs.batch: not listed yet');
    const early = setting.proxy.writes.slice(before).map(({ step }) => step);
    const withdrawals = Array.from({ length: 2 * (lapsed.length + deleted.length) }, () => 'DELETE rolebindings');
    expect(early, 'what is done before all is known').to.deep.equal(withdrawals);
    expect(isBound(wiped), 'that nothing says yet that its end has passed').to.equal(true);
    release();
    await setting.until('all to be done', () => {
      const done =
        [...lapsed, wiped].every((name) => isTerminal(phase(name))) && deleted.every((name) => !setting.find(name));
      return done && waiting.every((name) => phase(name) === 'Active');
    });
    await Promise.all(all.map((name) => setting.accessIs(false, name, both)));
    for (const name of [...lapsed, wiped]) expect(outcomes(name)).to.deep.equal(['Expired']);
    for (const name of deleted) expect(outcomes(name)).to.deep.equal(['Revoked']);
    await setting.controlPlane.controllerManager.start();
    await settled(setting.admin);
  });

  describe('of the API server', () => {
    let replicas: HallpassProcess[];
    let end: string;
    let backAt: number;

    before(async () => {
      await setting.stopAll();
      replicas = [await setting.start(), await setting.start()];
      await Promise.any(replicas.map((each) => setting.leads(each)));
      await Promise.all(replicas.map((each) => each.ready()));
      end = soon();
      await setting.grant('in-the-outage', { notAfter: end }, both);
      await setting.grant('past-the-outage', { duration: '1h' }, both);
      await setting.until('both to be Active', () => ['in-the-outage', 'past-the-outage'].every(setting.isSettled));
      const { apiServer } = setting.controlPlane;
      apiServer.kill('SIGKILL');
      await apiServer.stop();
      await reached(end);
      // Who led can't renew its lease, and gives up.
      await Promise.race(replicas.map(({ exited }) => exited));
      await apiServer.start();
      backAt = Date.now();
    });

    it('hallpass revokes at once what ended meanwhile', async () => {
      // Asked of the server, which for a moment after its start refuses everybody, and not of caches that have to recover.
      const phaseNow = async () => {
        const { status } = await setting.admin.get(agentGrants, { namespace: HOME, name: 'in-the-outage' });
        return status.phase;
      };
      await poll(phaseNow, (now) => now === 'Expired', backAt + 15_000 - Date.now());
      console.log(`      ended ${((Date.now() - backAt) / 1000).toFixed(1)} s after the API server was back`);
      const { items } = await setting.admin.list(roleBindings, { labelSelector: LABELS.grant });
      const named = items.filter(({ metadata }) => metadata.labels?.[LABELS.grantName] === 'in-the-outage');
      expect(named).to.deep.equal([]);
    });

    it('hallpass leaves alone what has not ended', async () => {
      await setting.accessIs(true, 'past-the-outage', both);
      await setting.accessIs(false, 'in-the-outage', both);
      expect(phase('past-the-outage')).to.equal('Active');
    });

    it('hallpass sees again what happens', async () => {
      // For a moment after its start the server's admission knows no kind of ours.
      const asked = () =>
        setting.grant('after-the-outage', { duration: '1h' }, both).then(() => true, ignoreUnavailable);
      await poll(asked, Boolean);
      const from = performance.now();
      await setting.until('it to be Active', () => phase('after-the-outage') === 'Active', 15_000);
      await setting.remove('past-the-outage');
      await setting.until('the deleted one to go', () => setting.find('past-the-outage') === undefined, 15_000);
      const took = performance.now() - from;
      console.log(`      gives and takes again, which took ${(took / 1000).toFixed(1)} s`);
      expect(took).to.be.below(8_000);
      await setting.accessIs(false, 'past-the-outage', both);
      await settled(setting.admin);
    });
  });
});
