// A queueing system that suspends every Job at its creation, the dead man too: what the grant says about it, and what is
// then left of the promise.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { type Job, jobs, mutatingAdmissionPolicies, mutatingAdmissionPolicyBindings } from '../../../src/kube/kinds.ts';
import { BY_HALLPASS, grantManifest, podsOf, useSharedStage } from './stage.ts';

describe('a dead man that a queueing system suspends at its creation', function () {
  this.timeout(60_000);
  // Before the stage's own hook, which may close it.
  after(async () => {
    await stage().remove(mutatingAdmissionPolicyBindings, queue);
    await stage().remove(mutatingAdmissionPolicies, queue);
  });
  const stage = useSharedStage();
  const namespace = 'queueing';
  const admission = '/apis/admissionregistration.k8s.io/v1';
  const queue = { name: 'queue-all-jobs' };

  const jobOf = (uid: string) => stage().seen.jobs.get({ namespace, name: `hallpass-${uid}` });
  /** Whether a Job of hallpass's would be suspended there now; asked with one that is nobody's, and isn't stored. */
  async function suspends(): Promise<boolean> {
    const container = { name: 'a', image: 'a' };
    const job = {
      metadata: { name: 'probe', namespace, labels: { 'app.kubernetes.io/managed-by': 'hallpass' } },
      spec: { parallelism: 0, template: { spec: { restartPolicy: 'Never', containers: [container] } } },
    };
    return (await stage().admin.create(jobs, job, { dryRun: true })).spec.suspend === true;
  }

  before(async () => {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const { admin } = stage();
    await admin.createRaw(`${admission}/mutatingadmissionpolicies`, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicy',
      metadata: queue,
      spec: {
        matchConstraints: {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
          objectSelector: { matchLabels: { 'app.kubernetes.io/managed-by': 'hallpass' } },
          resourceRules: [{ apiGroups: ['batch'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['jobs'] }],
        },
        reinvocationPolicy: 'Never',
        mutations: [
          {
            patchType: 'ApplyConfiguration',
            applyConfiguration: { expression: 'Object{spec: Object.spec{suspend: true}}' },
          },
        ],
      },
    });
    await admin.createRaw(`${admission}/mutatingadmissionpolicybindings`, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicyBinding',
      metadata: queue,
      spec: { policyName: queue.name },
    });
    await stage().poll(suspends, (does) => does);
  });

  const ref = { namespace, name: 'queued' };
  let uid: string;

  it('keeps nobody waiting: the grant is Active, and its DeadMan False with what to tell the queueing system', async () => {
    const agent = await stage().agent(namespace);
    await stage().create(grantManifest(ref));
    const { metadata } = await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    const { conditions } = (await stage().deadMan(ref, 'False', 'DeadManSuspended')).status;
    uid = metadata.uid;
    expect(jobOf(uid)?.spec.suspend, 'its Job suspended').to.equal(true);
    expect(conditions?.find(({ type }) => type === 'DeadMan')?.message)
      .to.contain(`Job hallpass-${uid} in namespace ${namespace} is suspended`)
      .and.contain('have a queueing system that does this leave it alone, then delete the Job');
  });

  it('lets nobody but hallpass resume the Job: the queueing system is refused, too, and told whose it is', async () => {
    const resumed = stage().admin.patch(
      jobs,
      { namespace, name: `hallpass-${uid}` },
      { spec: { suspend: false } },
      { type: 'merge' },
    );
    expect(await resumed.then(() => '', String)).to.contain('only hallpass creates or changes');
    expect(jobOf(uid)?.spec.suspend).to.equal(true);
  });

  it('still ends access at the deadline while hallpass runs', async () => {
    const short = { namespace, name: 'queued-short' };
    const agent = await stage().agent(namespace);
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(uid);
    await stage().create(grantManifest(short, { duration: '3s' }));
    const given = await stage().phase(short, 'Active');
    await agent.until(podsOf(namespace), 200);
    const refused = await agent.until(podsOf(namespace), 403);
    expect(refused - Date.parse(given.status.expiresAt ?? ''), 'ms after its end').to.be.within(0, BY_HALLPASS);
    const { status } = await stage().phase(short, 'Expired', 'EndPassed');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('is True again once the queueing system leaves Jobs of hallpass alone and the Job is made anew, with the same end', async () => {
    const again = { namespace, name: 'queued-again' };
    await stage().create(grantManifest(again));
    const given = await stage().phase(again, 'Active');
    await stage().deadMan(again, 'False', 'DeadManSuspended');
    await stage().admin.delete(mutatingAdmissionPolicyBindings, queue);
    await stage().poll(suspends, (does) => !does);
    const suspended = jobOf(given.metadata.uid);
    if (!suspended) throw new Error('no Job');
    await stage().admin.delete(jobs, suspended.metadata, { propagationPolicy: 'Background' });
    const { status } = await stage().deadMan(again, 'True', 'DeadManRunning');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    const job = jobOf(given.metadata.uid);
    expect(job?.metadata.uid).to.not.equal(suspended.metadata.uid);
    expect(slackOf(job, status.expiresAt), 'ms from the end until it fires').to.be.within(4_000, 7_000);
    await stage().remove(agentGrants, again);
  });

  function slackOf(job: Job | undefined, end: string | undefined): number {
    const start = Date.parse(job?.status?.startTime ?? '');
    return start + (job?.spec.activeDeadlineSeconds ?? Number.NaN) * 1000 - Date.parse(end ?? '');
  }
});
