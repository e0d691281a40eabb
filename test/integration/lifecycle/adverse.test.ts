// What a replica does when the API server refuses, answers late or tells another time.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { jobs, roles } from '../../../src/kube/kinds.ts';
import { grantManifest, openStage, type Stage } from '../endings/stage.ts';
import { type Replica, startReplica } from './replica.ts';

/** Requests about one kind in one namespace. */
const about = (method: string, plural: string, namespace: string) => (url: URL, asked: string) =>
  asked === method && new RegExp(`/namespaces/${namespace}/${plural}(/|$)`).test(url.pathname);

describe('a replica under adverse conditions', function () {
  this.timeout(90_000);
  let stage: Stage;
  let replica: Replica;

  before(async function () {
    this.timeout(120_000);
    stage = await openStage();
    await stage.kill();
    replica = await startReplica(stage.playground);
  });
  after(async () => {
    await replica?.stop();
    await stage?.close();
  });
  afterEach(() => {
    replica.setClock(0);
    expect(stage.problems, 'inconsistent statuses').to.deep.equal([]);
  });

  it('gives nothing again after the end, should the clock step back once the bindings are gone', async () => {
    const ref = { namespace: await stage.namespace('adverse-clock'), name: 'over' };
    await stage.identity(ref.namespace);
    let bindings = 0;
    stage.seen.roleBindings.subscribe(({ type, object }) => {
      if (type === 'added' && object.metadata.namespace === ref.namespace) bindings += 1;
    });
    await stage.give(grantManifest(ref, { duration: '3s' }));
    await replica.proxy.next(about('DELETE', 'rolebindings', ref.namespace));
    replica.setClock(-2_000);
    await stage.phase(ref, 'Expired', 'EndPassed');
    expect(bindings).to.equal(1);
  });

  it('closes the record that it makes for a grant that goes meanwhile, although nothing comes of it', async () => {
    const ref = { namespace: await stage.namespace('adverse-gone'), name: 'gone' };
    await stage.identity(ref.namespace);
    const claiming = replica.proxy.hold((url, method) => method === 'POST' && url.pathname.endsWith('/agentreceipts'));
    for (const plural of ['jobs', 'roles']) replica.proxy.fail(about('POST', plural, ref.namespace), { status: 500 });
    await stage.create(grantManifest(ref));
    await claiming.arrived;
    await stage.admin.patch(agentGrants, ref, { metadata: { finalizers: [] } }, { type: 'merge' });
    await stage.remove(agentGrants, ref);
    await stage.until(replica.caches.grants, ref, (now) => now === undefined);
    // That it was made the replica learns from the answer, as most of the time, and nothing new from the watch.
    const letThrough = replica.proxy.holdWatches();
    claiming.release();
    await stage.poll(
      async () => replica.caches.receipts.list().filter(({ spec }) => spec?.grant.name === ref.name).length,
      (made) => made === 1,
    );
    letThrough();
    expect((await stage.closed(ref))?.outcome).to.equal('Revoked');
  });

  it('ends a grant whose Job is refused, although whether it still would be can not be found out', async () => {
    const ref = { namespace: await stage.namespace('adverse-trial'), name: 'refused' };
    await stage.identity(ref.namespace);
    const given = await stage.give(grantManifest(ref));
    const creating = about('POST', 'jobs', ref.namespace);
    const message = 'jobs.batch is forbidden: exceeded quota: no-jobs';
    const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 403, reason: 'Forbidden', message };
    const allow = replica.proxy.fail(creating, { status: 403, body }, Number.POSITIVE_INFINITY);
    const job = { namespace: ref.namespace, name: `hallpass-${given.metadata.uid}` };
    await stage.remove(jobs, job);
    await stage.phase(ref, 'Suspended', 'DeadManRefused');
    allow();
    replica.proxy.fail(creating, { status: 500 }, Number.POSITIVE_INFINITY);
    // Later than it is tried again.
    replica.setClock(20_000);
    await stage.remove(agentIdentities, { namespace: ref.namespace, name: 'triage' });
    await stage.phase(ref, 'Expired', 'AgentDeleted');
    expect((await stage.closed(ref))?.outcome).to.equal('Expired');
  });

  it('puts back ever more slowly what something deletes each time, and mends it once that is over', async () => {
    const ref = { namespace: await stage.namespace('adverse-undone'), name: 'deleted' };
    await stage.identity(ref.namespace);
    const { metadata } = await stage.give(grantManifest(ref));
    const role = { namespace: ref.namespace, name: `hallpass-${metadata.uid}` };
    let deleting = true;
    const again = () => {
      if (deleting && stage.seen.roles.get(role)) stage.remove(roles, role).catch(() => undefined);
    };
    stage.seen.roles.subscribe(again);
    const times: number[] = [];
    for (let repair = 0; repair < 12; repair += 1) {
      const made = replica.proxy.next(about('POST', 'roles', ref.namespace));
      if (repair === 0) again();
      await made;
      times.push(performance.now());
    }
    const [tenth = 0, eleventh = 0, twelfth = 0] = times.slice(9);
    // A second, then two; how long each takes from its beginning to the Role differs.
    expect(eleventh - tenth).to.be.within(700, 3_000);
    expect(twelfth - eleventh).to.be.within(1_500, 5_000);
    deleting = false;
    again();
    await stage.until(stage.seen.roles, role, (now) => now !== undefined);
    await stage.phase(ref, 'Active');
  });

  it('does not end a grant because its cache has lost sight of the agent', async () => {
    const ref = { namespace: await stage.namespace('adverse-unseen'), name: 'given' };
    await stage.identity(ref.namespace);
    await stage.give(grantManifest(ref));
    const read = about('GET', 'agentidentities', ref.namespace);
    const asked = replica.proxy.next(read);
    replica.caches.identities.forget({ namespace: ref.namespace, name: 'triage' });
    await asked;
    await replica.proxy.next(read);
    expect(stage.seen.grants.get(ref)?.status.phase).to.equal('Active');
    await stage.remove(agentIdentities, { namespace: ref.namespace, name: 'triage' });
    await stage.phase(ref, 'Expired', 'AgentDeleted');
  });

  for (const plural of ['roles', 'rolebindings']) {
    it(`waits with its time unspent while ${plural} are refused, says so, and gives access once they are taken`, async () => {
      const ref = { namespace: await stage.namespace(`adverse-${plural}`), name: 'refused' };
      await stage.identity(ref.namespace);
      const message = `admission webhook "strict" denied the request: no ${plural} in this team`;
      const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 403, reason: 'Forbidden', message };
      const refused = about('POST', plural, ref.namespace);
      const allow = replica.proxy.fail(refused, { status: 403, body }, Number.POSITIVE_INFINITY);
      await stage.create(grantManifest(ref));
      const { status, metadata } = await stage.phase(ref, 'Pending', 'AccessRefused');
      expect(status.message).to.contain(`no ${plural} in this team`).and.contain('let through Roles and RoleBindings');
      expect(status).to.not.have.any.keys('startTime', 'expiresAt', 'created', 'receipt');
      await stage.nothingLeft(metadata.uid);
      await stage.poll(
        async () => stage.receiptsOf(ref).length,
        (count) => count === 0,
      );
      allow();
      // Later than it is tried again.
      replica.setClock(20_000);
      const touch = { metadata: { labels: { touched: 'yes' } } };
      await stage.admin.patch(agentGrants, ref, touch, { type: 'merge' });
      await stage.phase(ref, 'Active');
    });
  }

  it('says that it could not ask about the authors of a grant, and gives it once it can', async () => {
    const ref = { namespace: await stage.namespace('adverse-unasked'), name: 'unasked' };
    await stage.identity(ref.namespace);
    const question = (url: URL) => url.pathname.endsWith('/subjectaccessreviews');
    const answer = replica.proxy.fail(question, { status: 500 }, Number.POSITIVE_INFINITY);
    try {
      // What no other test asks for: answers are remembered for a moment.
      await stage.create(grantManifest(ref, { permissions: [{ verbs: ['get'], resourceNames: ['unasked'] }] }));
      const { status } = await stage.phase(ref, 'Pending', 'CheckFailed');
      expect(status.message).to.contain('could not be found out').and.contain('it is tried again');
    } finally {
      answer();
    }
    await stage.phase(ref, 'Active');
  });

  it('takes access away while its questions about the authors of many grants get no answer', async () => {
    const ref = { namespace: await stage.namespace('adverse-asking'), name: 'stopped' };
    await stage.identity(ref.namespace);
    const { metadata } = await stage.give(grantManifest(ref));
    const isQuestion = (url: URL) => url.pathname.endsWith('/subjectaccessreviews');
    const asked = replica.proxy.requests.length;
    const asking = replica.proxy.hold(isQuestion, Number.POSITIVE_INFINITY);
    const many = Array.from({ length: 40 }, (_, at) => ({ namespace: ref.namespace, name: `asks-${at}` }));
    for (const each of many) {
      const resourceNames = Array.from({ length: 8 }, (_, at) => `${each.name}-${at}`);
      await stage.create(grantManifest(each, { permissions: [{ verbs: ['get'], resourceNames }] }));
    }
    for (const each of many) await stage.until(replica.caches.grants, each, (now) => now !== undefined);
    await asking.arrived;
    await stage.remove(agentGrants, ref);
    await stage.nothingLeft(metadata.uid);
    const questions = replica.proxy.requests.slice(asked).filter(({ url }) => isQuestion(url));
    expect(questions).to.have.lengthOf(16);
    asking.release();
    for (const each of many) await stage.phase(each, 'Active');
  });

  describe('which refuses to delete bindings for a while', () => {
    /** From the first to the last of so many attempts the delay would double each time, if nothing bounded it. */
    const ATTEMPTS = 13;
    const stops: [string, (ref: { namespace: string; name: string }) => Promise<unknown>][] = [
      ['deleted', (ref) => stage.remove(agentGrants, ref)],
      [
        'bounded',
        ({ namespace }) =>
          stage.admin.patch(
            agentIdentities,
            { namespace, name: 'triage' },
            { spec: { boundary: { maxGrantDuration: '1m' } } },
            { type: 'merge' },
          ),
      ],
      [
        'orphaned',
        async (ref) => {
          await stage.admin.patch(agentGrants, ref, { metadata: { finalizers: [] } }, { type: 'merge' });
          await stage.remove(agentGrants, ref);
        },
      ],
    ];
    it('tries again at least every five seconds to take the access of what was stopped', async () => {
      const longest = await Promise.all(
        stops.map(async ([name, stop]) => {
          const ref = { namespace: await stage.namespace(`adverse-${name}`), name };
          await stage.identity(ref.namespace);
          await stage.give(grantManifest(ref));
          const asked = about('DELETE', 'rolebindings', ref.namespace);
          const heal = replica.proxy.fail(asked, { status: 500 }, Number.POSITIVE_INFINITY);
          const times: number[] = [];
          await stop(ref);
          for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
            await replica.proxy.next(asked);
            times.push(performance.now());
          }
          heal();
          return Math.max(...times.map((time, at) => time - (times[at - 1] ?? time)));
        }),
      );
      for (const gap of longest) expect(gap).to.be.below(7_000);
    });
  });
});
