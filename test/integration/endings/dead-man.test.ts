// The dead man: access ends on time with every replica dead, and no access is given where it would not.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { type Job, jobs, validatingAdmissionPolicyBindings } from '../../../src/kube/kinds.ts';
import { allowJobs, forbidJobs, refusesJobs } from './no-jobs.ts';
import { grantManifest, guardsDirectory, PROMISED, podsOf, useSharedStage } from './stage.ts';

describe('the dead man', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  const namespace = 'dead';
  const quiet = 'dead-quota';
  const strict = 'dead-policy';

  const jobOf = (grant: ParsedGrant, target = namespace): Job => {
    const job = stage().seen.jobs.get({ namespace: target, name: `hallpass-${grant.metadata.uid}` });
    if (!job) throw new Error(`no Job of ${grant.metadata.name} in ${target}`);
    return job;
  };
  /** When a Job fires, against the end of its grant, in milliseconds; undefined before the Job has started. */
  const slackOf = (job: Job | undefined, grant: ParsedGrant): number | undefined => {
    if (!job?.status?.startTime) return undefined;
    const fires = Date.parse(job.status.startTime) + (job.spec.activeDeadlineSeconds ?? Number.NaN) * 1000;
    return fires - Date.parse(grant.status.expiresAt ?? '');
  };
  const seconds = (from: string | undefined, to: string | undefined) =>
    (Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000;
  /** Grants of two namespaces whose Jobs are refused, until they are not any more. */
  async function askWhereJobsAreRefused(): Promise<void> {
    await stage().admin.createRaw('/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies', {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: 'no-jobs' },
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': strict } },
          resourceRules: [{ apiGroups: ['batch'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['jobs'] }],
        },
        validations: [{ expression: 'false', message: 'no Jobs in this team' }],
      },
    });
    await stage().admin.createRaw('/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings', {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'no-jobs' },
      spec: { policyName: 'no-jobs', validationActions: ['Deny'] },
    });
    await forbidJobs(stage(), quiet);
    await stage().poll(
      () => refusesJobs(stage(), strict),
      (refused) => refused,
    );

    const waiting = [
      { ref: { namespace: quiet, name: 'quota' }, says: /exceeded quota: no-jobs.*let through Jobs named hallpass-\*/ },
      { ref: { namespace: strict, name: 'policy' }, says: /no Jobs in this team.*let through Jobs named hallpass-\*/ },
    ];
    for (const { ref, says } of waiting) {
      await stage().create(grantManifest(ref, { duration: '30m' }));
      const { status, metadata } = await stage().phase(ref, 'Pending', 'DeadManRefused');
      await stage().deadMan(ref, 'False', 'DeadManRefused');
      expect(status.message).to.match(says);
      expect(status).to.not.have.any.keys('startTime', 'expiresAt', 'created', 'receipt');
      expect(await stage().objectsOf(metadata.uid)).to.deep.equal([]);
      await stage().poll(
        async () => stage().receiptsOf(ref).length,
        (count) => count === 0,
      );
    }

    await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'no-jobs' });
    await allowJobs(stage(), quiet);
    const lifted = Date.now();
    for (const { ref } of waiting) {
      const { status } = await stage().phase(ref, 'Active');
      expect(seconds(status.startTime, status.expiresAt)).to.equal(1800);
      expect(Date.parse(status.startTime ?? '')).to.be.at.least(Math.floor(lifted / 1000) * 1000);
      await stage().remove(agentGrants, ref);
    }
  }

  let refused: Promise<void>;
  before(async () => {
    await Promise.all([
      stage().namespace(namespace, { accepts: quiet }),
      stage().namespace(quiet),
      stage().namespace(strict),
    ]);
    await Promise.all([
      stage().identity(namespace),
      stage().identity(quiet, { namespaces: [quiet, namespace] }),
      stage().identity(strict),
    ]);
    // Most of it is the time until it is tried again. Its own test says how it went.
    refused = askWhereJobsAreRefused();
    refused.catch(() => undefined);
  });

  it('never fires while hallpass lives: the grant lapses, and the Job is deleted', async () => {
    const ref = { namespace, name: 'alive' };
    const conditions: string[] = [];
    stage().seen.jobs.subscribe(({ object }) => {
      if (object.metadata.namespace !== namespace) return;
      for (const { type, reason } of object.status?.conditions ?? []) conditions.push(`${type}/${reason}`);
    });
    const given = await stage().give(grantManifest(ref, { duration: '3s' }));
    expect(slackOf(jobOf(given), given)).to.be.within(4_000, 7_000);
    const { status } = await stage().phase(ref, 'Expired', 'EndPassed');
    await stage().nothingLeft(given.metadata.uid);
    expect(seconds(status.expiresAt, status.endedAt)).to.be.within(0, 2);
    expect(conditions, 'conditions of its Job').to.deep.equal([]);
  });

  it('fires sooner when the end of the grant is brought forward', async () => {
    const ref = { namespace, name: 'shortened' };
    const before = await stage().give(grantManifest(ref, { duration: '1h' }));
    const { uid } = jobOf(before).metadata;
    await stage().admin.patch(agentGrants, ref, { spec: { validity: { duration: '10m' } } }, { type: 'merge' });
    const after = await stage().until(
      stage().seen.grants,
      ref,
      (grant) => grant?.status.receipt !== before.status.receipt,
    );
    if (!after) throw new Error('the grant is gone');
    expect(seconds(after.status.startTime, after.status.expiresAt)).to.equal(600);
    const job = await stage().until(stage().seen.jobs, jobOf(before).metadata, (now) => {
      const slack = slackOf(now, after);
      return slack !== undefined && slack >= 4_000 && slack <= 7_000;
    });
    expect(job?.metadata.uid, 'the same Job').to.equal(uid);
    await stage().remove(agentGrants, ref);
  });

  it('fires on time although its Job started late', async () => {
    const ref = { namespace, name: 'late' };
    const { controllerManager } = stage().playground;
    await controllerManager.stop();
    let given: ParsedGrant;
    try {
      await stage().create(grantManifest(ref, { duration: '1h' }));
      given = await stage().phase(ref, 'Active');
      await stage().deadMan(ref, 'False', 'DeadManNotStarted');
      const created = Date.parse(jobOf(given).metadata.creationTimestamp ?? '');
      await stage().poll(
        async () => Date.now() - created,
        (age) => age > 5_000,
      );
    } finally {
      await controllerManager.start();
    }
    const started = await stage().until(
      stage().seen.jobs,
      jobOf(given).metadata,
      (job) => !!job?.status?.startTime,
      45_000,
    );
    const late = seconds(started?.metadata.creationTimestamp, started?.status?.startTime);
    expect(late, 'seconds between creation and start of the Job').to.be.at.least(5);
    const corrected = await stage().until(
      stage().seen.jobs,
      jobOf(given).metadata,
      (job) => (slackOf(job, given) ?? Infinity) <= 7_000,
    );
    expect(slackOf(corrected, given)).to.be.at.least(4_000);
    const { status } = await stage().deadMan(ref, 'True', 'DeadManRunning');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    await stage().remove(agentGrants, ref);
  });

  it('is required: where a quota or an admission policy refuses the Job, the grant waits, and then lasts in full', async () => {
    await refused;
  });

  it('is False while somebody has suspended the Job, which then counts no time', async () => {
    const ref = { namespace, name: 'suspended' };
    const given = await stage().give(grantManifest(ref));
    const job = jobOf(given).metadata;
    const suspend = (is: boolean) => stage().admin.patch(jobs, job, { spec: { suspend: is } }, { type: 'merge' });
    const refused = await suspend(true).then(
      () => undefined,
      (error) => error,
    );
    expect(refused?.message, 'while the guards stand').to.contain('only hallpass creates or changes');
    await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'hallpass-jobs' });
    try {
      await stage().poll(
        () =>
          suspend(true).then(
            () => true,
            () => false,
          ),
        (done) => done,
      );
      const { status } = await stage().deadMan(ref, 'False', 'DeadManSuspended');
      expect(status.conditions?.find(({ type }) => type === 'DeadMan')?.message).to.contain('a queueing system');
      await suspend(false);
      await stage().deadMan(ref, 'True', 'DeadManRunning');
    } finally {
      await stage().playground.admin(['apply', '-k', guardsDirectory]);
    }
    await stage().remove(agentGrants, ref);
  });

  describe('with every replica killed', () => {
    const orphaned = { namespace: quiet, name: 'orphaned' };
    const wiped = { namespace: strict, name: 'wiped' };
    let given: { orphaned: ParsedGrant; wiped: ParsedGrant };
    let record: string | undefined;
    let refusals: number[];

    // One death for both, and one wait until the lease of the dead has run out.
    before(async () => {
      const agent = await stage().agent(quiet);
      const kept = await stage().give(grantManifest(wiped));
      record = stage().receiptsOf(wiped)[0]?.metadata.uid;
      await forbidJobs(stage(), strict);
      const both = [{}, { namespaces: [namespace] }];
      const lapsing = await stage().give(grantManifest(orphaned, { permissions: both, duration: '5s' }));
      given = { orphaned: lapsing, wiped: kept };
      await Promise.all([quiet, namespace].map((target) => agent.until(podsOf(target), 200)));
      await stage().kill();
      try {
        await stage().admin.delete(jobs, jobOf(kept, strict).metadata, { propagationPolicy: 'Background' });
        // As after a restore, or by an admin who took the guard away for a moment.
        await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'hallpass-records' });
        const wipe = async () => {
          const { metadata } = await stage().admin.get(agentGrants, wiped);
          const grant = { ...kept, spec: undefined, metadata, status: {} };
          return stage()
            .admin.replace(agentGrants, grant, { subresource: 'status' })
            .then(
              () => true,
              () => false,
            );
        };
        await stage().poll(wipe, (done) => done);
        refusals = await Promise.all([quiet, namespace].map((target) => agent.until(podsOf(target), 403, 45_000)));
      } finally {
        await stage().playground.admin(['apply', '-k', guardsDirectory]);
        await stage().revive();
      }
    });

    it('ends access on time, and hallpass notes it when it is back', async () => {
      const end = Date.parse(given.orphaned.status.expiresAt ?? '');
      const latest = Math.max(...refusals) - end;
      console.log(`      every replica dead: deadline → refused in both namespaces ${(latest / 1000).toFixed(2)} s`);
      expect(Math.min(...refusals), 'when it was refused').to.be.at.least(end);
      expect(latest).to.be.at.most(PROMISED);
      const { status, metadata } = await stage().phase(orphaned, 'Expired', 'EndPassed');
      expect(status.expiresAt).to.equal(given.orphaned.status.expiresAt);
      await stage().nothingLeft(metadata.uid);
      expect((await stage().closed(orphaned))?.outcome).to.equal('Expired');
    });

    it('is required of a grant whose status was wiped: what may have been given keeps its receipt and its end', async () => {
      const { status } = await stage().phase(wiped, 'Suspended', 'DeadManRefused');
      const { startTime, expiresAt } = given.wiped.status;
      expect(status).to.include({ startTime, expiresAt });
      expect(stage().receiptsOf(wiped)[0]?.metadata.uid).to.equal(record);
      await stage().remove(agentGrants, wiped);
      await allowJobs(stage(), strict);
    });
  });
});
