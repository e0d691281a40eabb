// Recertification on the real API server: what comes of it when it does not come, and whose word ends that.
import { expect } from 'chai';
import { agentIdentities, type ParsedIdentity } from '../../../src/api/identity.ts';
import { agentReviews } from '../../../src/api/review.ts';
import { type Client, isForbidden } from '../../../src/kube/client.ts';
import { RESTORE_DELAY } from '../../../src/policy/decide.ts';
import { runKubectl } from '../cli/person.ts';
import { grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const api = '/apis/hallpass.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';

describe('an agent that is to be certified', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const person = (user: string, groups: string[] = []) => stage().person(user, groups);

  const bind = (namespace: string, user: string, kind: 'ClusterRole' | 'Role', name: string) =>
    stage().bind(namespace, user, name, { roleKind: kind });

  /** A namespace with the agent `triage` of group oncall, which is to be certified so often. */
  async function setting(namespace: string, every: string) {
    await stage().namespace(namespace);
    const manifest = identityManifest(namespace);
    await stage().admin.createRaw(`${api}/namespaces/${namespace}/agentidentities`, {
      ...manifest,
      spec: { ...manifest.spec, review: { every } },
    });
    const ref = { namespace, name: 'triage' };
    await identity(ref, (now) => now.status.serviceAccount !== undefined);
    return ref;
  }

  async function identity(
    ref: { namespace: string; name: string },
    wanted: (now: ParsedIdentity) => boolean,
    bound?: number,
  ): Promise<ParsedIdentity> {
    const found = await stage().until(stage().seen.identities, ref, (now) => now !== undefined && wanted(now), bound);
    if (!found) throw new Error('the identity is gone');
    return found;
  }

  const review = ({ status }: ParsedIdentity) => status.conditions?.find(({ type }) => type === 'ReviewDue');
  const stands = (reason: string) => (now: ParsedIdentity) => review(now)?.reason === reason;

  /** Certifies the identity as it stands now. */
  async function certify(by: Client, ref: { namespace: string; name: string }, name: string) {
    const { metadata } = await stage().admin.get(agentIdentities, ref);
    const { uid, generation } = metadata;
    await by.createRaw(`${api}/namespaces/${ref.namespace}/agentreviews`, {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { name },
      spec: {
        target: { kind: 'AgentIdentity', name: ref.name, uid, generation },
        decision: 'Certify',
        comment: 'still wanted',
      },
    });
  }

  /** The same by somebody who was let in a moment ago. */
  const certifyOnceIn = (by: Client, ref: { namespace: string; name: string }, name: string) =>
    stage().poll(
      () =>
        certify(by, ref, name).then(
          () => 'made',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'made',
    );

  it('passes until that is overdue, is refused then, and passes again half a minute after its owner has certified it', async function () {
    this.timeout(150_000);
    const ref = await setting('certify-due', '40s');
    const { namespace } = ref;
    await bind(namespace, 'ona', 'ClusterRole', 'hallpass-owner');
    const ona = await stage().playground.kubeconfigFor({ user: 'ona', groups: ['oncall'] });
    const grant = { namespace, name: 'given' };
    const given = await stage().give(grantManifest(grant));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);

    const reminded = await identity(ref, stands('ReviewDueSoon'), 40_000);
    const dueAt = Date.parse(reminded.status.reviewDueAt ?? '');
    expect(dueAt - Date.parse(reminded.metadata.creationTimestamp ?? '')).to.equal(40_000);
    expect(await agent.asks(podsOf(namespace)), 'before it is due').to.equal(200);
    const refusedAt = await agent.until(podsOf(namespace), 403, 40_000);
    console.log(`      refused ${refusedAt - dueAt} ms after the certification was due`);
    expect(refusedAt).to.be.at.least(dueAt);
    const suspended = await stage().phase(grant, 'Suspended', 'ReviewOverdue');
    expect(review(await identity(ref, stands('ReviewOverdue')))?.status).to.equal('True');

    // The remedy in the status is a command that works as it stands.
    const remedy = /runs: kubectl (hallpass certify .*)$/.exec(suspended.status.message ?? '')?.[1] ?? '';
    const { code, err } = await runKubectl(ona, [...remedy.split(' '), '--yes', '--comment', 'still wanted']);
    expect(code, err).to.equal(0);
    expect(err).to.contain(`to certify     by ${reminded.status.reviewDueAt}`);
    const certified = await identity(ref, stands('ReviewNotDue'));
    const from = Date.now();
    expect(certified.status.certifiedBy?.reviewer).to.equal('ona');
    expect(Date.parse(certified.status.reviewDueAt ?? '') - Date.parse(certified.status.certifiedAt ?? '')).to.equal(
      40_000,
    );
    await stage().phase(grant, 'Suspended', 'Restoring');
    const passesAt = await agent.until(podsOf(namespace), 200, 40_000);
    // Times in a status are whole seconds.
    expect(passesAt - from).to.be.above(RESTORE_DELAY - 2_000);
    expect((await stage().phase(grant, 'Active')).status.expiresAt, 'the end').to.equal(given.status.expiresAt);
    const events = await stage().poll(
      () => stage().playground.admin(['get', 'events', '-n', namespace]),
      (text) => text.includes('Certified'),
    );
    for (const reason of ['ReviewDueSoon', 'ReviewOverdue', 'Certified']) expect(events).to.contain(reason);
  });

  it('is given nothing when it was not certified in time, until who may edit it lets it go longer', async () => {
    const ref = await setting('certify-late', '1s');
    const { namespace } = ref;
    await identity(ref, stands('ReviewOverdue'));
    const grant = { namespace, name: 'asked' };
    await stage().create(grantManifest(grant));
    await stage().phase(grant, 'Pending', 'ReviewOverdue');
    await stage().admin.patch(agentIdentities, ref, { spec: { review: { every: '1h' } } }, { type: 'merge' });
    await stage().phase(grant, 'Active');
  });

  it('is certified by who holds the verb certify, and by that review only as long as it is there', async () => {
    const ref = await setting('certify-verb', '1h');
    const { namespace } = ref;
    const vera = await person('vera');
    await bind(namespace, 'vera', 'ClusterRole', 'hallpass-certifier');
    await certifyOnceIn(vera, ref, 'by-vera');
    const { status } = await identity(ref, (now) => now.status.certifiedBy?.review === 'by-vera');
    expect(status.certifiedBy?.reviewer).to.equal('vera');
    // An edit is no reason to certify it again before its time.
    await stage().admin.patch(agentIdentities, ref, { spec: { purpose: 'Looks into more.' } }, { type: 'merge' });
    const edited = await identity(ref, (now) => now.status.observedGeneration === 2);
    expect(edited.status.certifiedBy?.review).to.equal('by-vera');
    await stage().admin.delete(agentReviews, { namespace, name: 'by-vera' });
    await identity(ref, (now) => now.status.certifiedAt === undefined);
  });

  it('is not certified by a stranger, a reviewer, the owner of another agent, or the agent itself', async () => {
    const ref = await setting('certify-forged', '1h');
    const { namespace } = ref;
    const [mallory, rita, otto] = [await person('mallory'), await person('rita'), await person('otto', ['billing'])];
    await stage().admin.createRaw(`${rbac}/namespaces/${namespace}/roles`, {
      metadata: { name: 'creates-reviews' },
      rules: [{ apiGroups: ['hallpass.dev'], resources: ['agentreviews'], verbs: ['create'] }],
    });
    await bind(namespace, 'mallory', 'Role', 'creates-reviews');
    await bind(namespace, 'rita', 'ClusterRole', 'hallpass-reviewer');
    await bind(namespace, 'otto', 'ClusterRole', 'hallpass-owner');
    for (const stranger of [mallory, rita]) {
      const message = await stage().poll(
        () => certify(stranger, ref, 'forged').then(String, (error: Error) => error.message),
        (answer) => answer.includes("'hallpass-reviews'"),
      );
      expect(message).to.contain(
        'you may not review agentidentities triage in namespace certify-forged: to certify takes the verb certify on it, or own for its owner',
      );
    }
    await certifyOnceIn(otto, ref, 'by-otto');
    const ottos = await stage().playground.kubeconfigFor({ user: 'otto', groups: ['billing'] });
    const told = await runKubectl(ottos, ['hallpass', 'certify', '-n', namespace, 'triage', '--yes', '--comment', 'x']);
    expect(told.code).to.equal(1);
    expect(told.err.replaceAll('\n', ' ')).to.contain(
      'you (otto) are not the owner of AgentIdentity certify-forged/triage, and your word would not count. Somebody else must, its owner, Group oncall, or whoever',
    );
    const judged = await identity(ref, (now) => review(now)?.message.includes('by-otto') ?? false);
    expect(review(judged)?.message).to.contain('otto is not its owner and does not hold the verb certify');
    expect(judged.status.certifiedAt).to.equal(undefined);
    // Nor does owning one thing let anybody decide another.
    const { metadata } = judged;
    const suspend = {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { name: 'stop' },
      spec: {
        target: { kind: 'AgentIdentity', name: ref.name, uid: metadata.uid, generation: metadata.generation },
        decision: 'Suspend',
        comment: 'no',
      },
    };
    const path = `${api}/namespaces/${namespace}/agentreviews`;
    const refused = await otto.createRaw(path, suspend).catch((error: unknown) => error);
    expect(isForbidden(refused)).to.equal(true);
    const token = await stage().playground.agentToken({ namespace, identity: 'triage' });
    const agent = stage().withToken(token);
    const own = await certify(agent, ref, 'by-itself').catch((error: unknown) => error);
    expect(isForbidden(own)).to.equal(true);
  });
});
