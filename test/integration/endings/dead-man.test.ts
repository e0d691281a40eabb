// The dead man: access ends on time with every replica dead, and no access is given where it would not.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { isForbidden, isInvalid } from '../../../src/kube/client.ts';
import { type Job, jobs, validatingAdmissionPolicyBindings } from '../../../src/kube/kinds.ts';
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
  const noJobs = (where: string) =>
    stage().admin.createRaw(`/api/v1/namespaces/${where}/resourcequotas`, {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'no-jobs' },
      spec: { hard: { 'count/jobs.batch': '0' } },
    });
  /** Whether a Job of the admin's own would be refused there now. */
  const refusesJobs = async (where: string) => {
    const container = { name: 'a', image: 'a' };
    const job = {
      metadata: { name: 'probe', namespace: where },
      spec: { parallelism: 0, template: { spec: { restartPolicy: 'Never', containers: [container] } } },
    };
    try {
      await stage().admin.create(jobs, job, { dryRun: true });
      return false;
    } catch (error) {
      if (isForbidden(error) || isInvalid(error)) return true;
      throw error;
    }
  };

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

  it('is required: where a quota or an admission policy refuses the Job, the grant waits, and then lasts in full', async () => {
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
    await noJobs(quiet);
    for (const where of [quiet, strict])
      await stage().poll(
        () => refusesJobs(where),
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
    await stage().playground.admin(['delete', 'resourcequota', 'no-jobs', '-n', quiet]);
    const lifted = Date.now();
    for (const { ref } of waiting) {
      const { status } = await stage().phase(ref, 'Active');
      expect(seconds(status.startTime, status.expiresAt)).to.equal(1800);
      expect(Date.parse(status.startTime ?? '')).to.be.at.least(Math.floor(lifted / 1000) * 1000);
      await stage().remove(agentGrants, ref);
    }
  });

  it('is required of a live grant too: where its Job is gone and refused, access is gone in every namespace until it is taken', async function () {
    this.timeout(150_000);
    const ref = { namespace: quiet, name: 'robbed' };
    const agent = await stage().agent(quiet);
    const given = await stage().give(grantManifest(ref, { permissions: [{}, { namespaces: [namespace] }] }));
    for (const target of [quiet, namespace]) await agent.until(podsOf(target), 200);
    await noJobs(quiet);
    await stage().poll(
      () => refusesJobs(quiet),
      (refused) => refused,
    );
    await stage().admin.delete(jobs, jobOf(given, quiet).metadata, { propagationPolicy: 'Background' });
    const { status } = await stage().phase(ref, 'Suspended', 'DeadManRefused');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    for (const target of [quiet, namespace]) await agent.until(podsOf(target), 403);
    const reasons = new Set<string | undefined>();
    stage().seen.grants.subscribe(({ object }) => {
      if (object.metadata.name === ref.name) reasons.add(object.status.reasons?.[0]?.reason);
    });
    const suspended = Date.now();
    await stage().poll(
      async () => Date.now() - suspended,
      (waited) => waited > 17_000, // longer than until it is tried again
    );
    expect([...reasons], 'since it is refused').to.be.satisfy((seen: unknown[]) =>
      seen.every((each) => each === 'DeadManRefused'),
    );
    await stage().playground.admin(['delete', 'resourcequota', 'no-jobs', '-n', quiet]);
    await stage().until(
      stage().seen.grants,
      ref,
      (grant) => grant?.status.reasons?.[0]?.reason === 'Restoring',
      35_000,
    );
    const restored = await stage().until(stage().seen.grants, ref, (grant) => grant?.status.phase === 'Active', 40_000);
    expect(restored?.status.expiresAt).to.equal(given.status.expiresAt);
    for (const target of [quiet, namespace]) await agent.until(podsOf(target), 200);
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('is required of a grant whose status was wiped: what may have been given keeps its receipt and its end', async () => {
    const ref = { namespace: quiet, name: 'wiped' };
    const given = await stage().give(grantManifest(ref));
    const [before] = stage().receiptsOf(ref);
    await noJobs(quiet);
    await stage().poll(
      () => refusesJobs(quiet),
      (refused) => refused,
    );
    await stage().kill();
    try {
      await stage().admin.delete(jobs, jobOf(given, quiet).metadata, { propagationPolicy: 'Background' });
      // As after a restore, or by an admin who took the guard away for a moment.
      await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'hallpass-records' });
      const wipe = async () => {
        const { metadata } = await stage().admin.get(agentGrants, ref);
        const grant = { ...given, spec: undefined, metadata, status: {} };
        return stage()
          .admin.replace(agentGrants, grant, { subresource: 'status' })
          .then(
            () => true,
            () => false,
          );
      };
      await stage().poll(wipe, (done) => done);
    } finally {
      await stage().playground.admin(['apply', '-k', guardsDirectory]);
      await stage().revive();
    }
    const { status } = await stage().phase(ref, 'Suspended', 'DeadManRefused');
    expect(status).to.include({ startTime: given.status.startTime, expiresAt: given.status.expiresAt });
    expect(stage().receiptsOf(ref)[0]?.metadata.uid).to.equal(before?.metadata.uid);
    await stage().remove(agentGrants, ref);
    await stage().playground.admin(['delete', 'resourcequota', 'no-jobs', '-n', quiet]);
    await stage().poll(
      () => refusesJobs(quiet),
      (refused) => !refused,
    );
  });

  it('ends access on time with every replica killed, and hallpass notes it when it is back', async () => {
    const ref = { namespace: quiet, name: 'orphaned' };
    const agent = await stage().agent(quiet);
    const given = await stage().give(
      grantManifest(ref, { permissions: [{}, { namespaces: [namespace] }], duration: '5s' }),
    );
    await Promise.all([quiet, namespace].map((target) => agent.until(podsOf(target), 200)));
    await stage().kill();
    const end = Date.parse(given.status.expiresAt ?? '');
    try {
      const refused = await Promise.all([quiet, namespace].map((target) => agent.until(podsOf(target), 403, 45_000)));
      const latest = Math.max(...refused) - end;
      console.log(`      every replica dead: deadline → refused in both namespaces ${(latest / 1000).toFixed(2)} s`);
      expect(Math.min(...refused), 'when it was refused').to.be.at.least(end);
      expect(latest).to.be.at.most(PROMISED);
    } finally {
      await stage().revive();
    }
    const { status } = await stage().phase(ref, 'Expired', 'EndPassed');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    await stage().nothingLeft(given.metadata.uid);
    expect((await stage().closed(ref))?.outcome).to.equal('Expired');
  });
});
