// Access that ends with a Job or a Pod, on the real API server and with the real Job controller; the tests are the kubelet.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { Cache } from '../../../src/kube/cache.ts';
import { jobs, pods } from '../../../src/kube/kinds.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { jobEnd } from '../../../src/policy/task.ts';
import { configMapsOf, grantManifest, podsOf, SYSTEM_NAMESPACE, useSharedStage } from '../endings/stage.ts';

/** What the docs promise from the end of the task to the refusal, in milliseconds. */
const PROMISED = 1_000;

describe('access that ends with a task', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  const template = { containers: [{ name: 'task', image: 'task' }], restartPolicy: 'Never' };

  async function startJob(namespace: string, name: string): Promise<void> {
    await stage().admin.createRaw(`/apis/batch/v1/namespaces/${namespace}/jobs`, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name },
      spec: { backoffLimit: 0, template: { spec: template } },
    });
  }

  async function startPod(namespace: string, name: string, metadata: object = {}): Promise<void> {
    await stage().admin.createRaw(`/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, ...metadata },
      spec: template,
    });
  }

  /** Says of a Pod how it is, as its kubelet would. */
  const report = (ref: { namespace: string; name: string }, phase: string) =>
    stage().admin.patch(pods, ref, { status: { phase } }, { type: 'merge', subresource: 'status' });

  /** Lets the only Pod of a Job end, and resolves when the Job controller says so. */
  async function endJob(namespace: string, name: string, phase = 'Succeeded'): Promise<number> {
    const found = await stage().poll(
      () => stage().admin.list(pods, { namespace, labelSelector: `batch.kubernetes.io/job-name=${name}` }),
      ({ items }) => items.length > 0,
    );
    const closing = new AbortController();
    const seen = new Cache({ client: stage().admin, resource: jobs, namespace, log: silentLog });
    seen.start(closing.signal);
    await seen.synced();
    await report({ namespace, name: found.items[0]?.metadata.name ?? '' }, phase);
    await stage().until(seen, { namespace, name }, (job) => job !== undefined && jobEnd(job) !== undefined);
    const endedAt = Date.now();
    closing.abort();
    await seen.stopped;
    return endedAt;
  }

  /** A namespace with the agent `triage`, who passes by a grant that ends with this. */
  async function passing(namespace: string, kind: 'Job' | 'Pod', o: { duration?: string } = {}) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const task = { namespace, name: 'task' };
    await (kind === 'Job' ? startJob : startPod)(namespace, task.name);
    const ref = { namespace, name: 'given' };
    const { metadata, status } = await stage().give(grantManifest(ref, { endsWith: { kind, name: task.name }, ...o }));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    const { metadata: object } = await (kind === 'Job' ? stage().admin.get(jobs, task) : stage().admin.get(pods, task));
    expect(status.task, 'what it ends with').to.deep.equal({ kind, name: task.name, uid: object.uid });
    return { ref, task, agent, uid: metadata.uid };
  }

  /** It has ended for that reason, and nothing is left of it. */
  async function over(ref: { namespace: string; name: string }, uid: string, text: string | RegExp): Promise<void> {
    const { status } = await stage().phase(ref, 'Expired', 'TaskEnded');
    expect(status.message).to.match(new RegExp(text));
    expect(Date.parse(status.expiresAt ?? ''), 'the end in time').to.be.above(Date.now());
    await stage().nothingLeft(uid);
    const receipt = await stage().closed(ref);
    expect(receipt).to.include({ outcome: 'Expired', reason: 'TaskEnded' });
    expect(receipt?.message).to.match(new RegExp(text));
  }

  it('passes while the Job runs, and is refused within a second of its end', async () => {
    const { ref, task, agent, uid } = await passing('task-job', 'Job');
    const endedAt = await endJob(task.namespace, task.name);
    const refusedAt = await agent.until(podsOf(ref.namespace), 403);
    console.log(`      refused ${refusedAt - endedAt} ms after the test was told that the Job had ended`);
    expect(refusedAt - endedAt).to.be.below(PROMISED);
    await over(ref, uid, 'Job task, with which it ends, has ended');
    const [receipt] = stage().receiptsOf(ref);
    expect(receipt?.spec?.endsWith).to.deep.equal({ kind: 'Job', name: 'task' });
  });

  it('is refused, too, once a Job has failed', async () => {
    const { ref, task, agent, uid } = await passing('task-failed', 'Job');
    await endJob(task.namespace, task.name, 'Failed');
    await agent.until(podsOf(ref.namespace), 403);
    await over(ref, uid, 'Job task, with which it ends, has ended');
  });

  it('is refused within a second when a Pod has ended, is being deleted, or is gone', async () => {
    const ends: [string, (ref: { namespace: string; name: string }) => Promise<unknown>, string | RegExp][] = [
      ['ended', (ref) => report(ref, 'Succeeded'), /has ended \(Succeeded\)/],
      [
        'deleted',
        async (ref) => {
          const patch = { metadata: { finalizers: ['test.example/held'] } };
          await stage().admin.patch(pods, ref, patch, { type: 'merge' });
          await stage().remove(pods, ref);
        },
        /has ended \(deleted\)/,
      ],
      ['gone', (ref) => stage().remove(pods, ref), /is gone|has ended \(deleted\)/],
    ];
    for (const [name, end, text] of ends) {
      const { ref, task, agent, uid } = await passing(`task-pod-${name}`, 'Pod');
      await end(task);
      const endedAt = Date.now();
      const refusedAt = await agent.until(podsOf(ref.namespace), 403);
      expect(refusedAt - endedAt, name).to.be.below(PROMISED);
      await over(ref, uid, text);
    }
    await stage().admin.patch(
      pods,
      { namespace: 'task-pod-deleted', name: 'task' },
      { metadata: { finalizers: [] } },
      { type: 'merge' },
    );
  });

  it('does not wait for its task, says that there is none, and ends with it all the same', async () => {
    const namespace = await stage().namespace('task-later');
    await stage().identity(namespace);
    const ref = { namespace, name: 'given' };
    const { status, metadata } = await stage().give(grantManifest(ref, { endsWith: { kind: 'Job', name: 'later' } }));
    expect(status.warnings?.map(({ reason }) => reason)).to.deep.equal(['TaskNotFound']);
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    await startJob(namespace, 'later');
    const seen = await stage().until(stage().seen.grants, ref, (now) => now?.status.task !== undefined);
    expect(seen?.status.warnings).to.equal(undefined);
    expect(seen?.status.phase).to.equal('Active');
    await endJob(namespace, 'later');
    await agent.until(podsOf(namespace), 403);
    await over(ref, metadata.uid, 'has ended');
  });

  it('never begins when its task has ended before', async () => {
    const namespace = await stage().namespace('task-before');
    await stage().identity(namespace);
    await startPod(namespace, 'done');
    await report({ namespace, name: 'done' }, 'Failed');
    const ref = { namespace, name: 'late' };
    await stage().create(grantManifest(ref, { endsWith: { kind: 'Pod', name: 'done' } }));
    const { status } = await stage().phase(ref, 'Expired', 'TaskEnded');
    expect(status.startTime).to.equal(undefined);
    expect(stage().receiptsOf(ref)).to.deep.equal([]);
  });

  it('ends when its task goes, or is made anew, while every hallpass is dead', async () => {
    const gone = await passing('task-dead-gone', 'Job');
    const anew = await passing('task-dead-anew', 'Pod');
    await stage().kill();
    await stage().remove(jobs, gone.task);
    await stage().remove(pods, anew.task);
    await startPod(anew.task.namespace, anew.task.name);
    await stage().revive();
    await gone.agent.until(podsOf(gone.ref.namespace), 403);
    await anew.agent.until(podsOf(anew.ref.namespace), 403);
    await over(gone.ref, gone.uid, 'is gone');
    await over(anew.ref, anew.uid, 'was deleted and created anew');
  });

  it('goes on over a restart of hallpass while its task does', async () => {
    const { ref, task, agent, uid } = await passing('task-restart', 'Pod');
    await stage().kill();
    await stage().revive();
    // The watch of the new process is in place once it reacts to it.
    await report(task, 'Succeeded');
    await agent.until(podsOf(ref.namespace), 403);
    await over(ref, uid, /has ended \(Succeeded\)/);
  });

  it('can be narrowed to end with a task, and widened only by a new request', async () => {
    const namespace = await stage().namespace('task-edit');
    await stage().identity(namespace);
    await startPod(namespace, 'task');
    const ref = { namespace, name: 'given' };
    const permissions = [{}, { resources: ['configmaps'] }];
    const before = await stage().give(grantManifest(ref, { permissions }));
    const agent = await stage().agent(namespace);
    await agent.until(configMapsOf(namespace), 200);
    const edit = (endsWith: object | null) =>
      stage().admin.patch(agentGrants, ref, { spec: { validity: { endsWith } } }, { type: 'merge' });

    await edit({ kind: 'Pod', name: 'task' });
    const narrowed = await stage().until(stage().seen.grants, ref, (now) => now?.status.task !== undefined);
    expect(narrowed?.status.phase).to.equal('Active');
    expect(narrowed?.status.expiresAt).to.equal(before.status.expiresAt);
    expect(narrowed?.status.receipt).to.not.equal(before.status.receipt);

    // Until then, taking the edit back would go on with what there was.
    const first = { namespace: SYSTEM_NAMESPACE, name: before.status.receipt ?? '' };
    await stage().until(stage().seen.receipts, first, (now) => now?.status.outcome === 'Superseded');
    await edit(null);
    // The request that it was first: used, and not to be had by taking the task out again.
    const denied = await stage().phase(ref, 'Denied', 'RequestAlreadyUsed');
    expect(denied.status.startTime).to.equal(undefined);
    await agent.until(configMapsOf(namespace), 403);
  });

  it('is looked for no longer than a grant needs it', async () => {
    const { ref, agent } = await passing('task-watched', 'Pod');
    const kept = await podsKept();
    expect(kept).to.be.above(0);
    await stage().remove(agentGrants, ref);
    await agent.until(podsOf(ref.namespace), 403);
    await stage().poll(podsKept, (now) => now < kept);
  });

  /** How many Pods the leader knows. */
  const podsKept = () => stage().metric('reflector_objects', 'resource="pods"');
});
