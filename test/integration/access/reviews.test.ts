// AgentReviews on the real API server: who approves, who can't, and what people stop, each acting with credentials of their own.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { agentReviews } from '../../../src/api/review.ts';
import { type Client, isForbidden } from '../../../src/kube/client.ts';
import { usePolicies } from '../endings/policies.ts';
import { grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const api = '/apis/hallpass.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';

describe('a grant and what people decide about it', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const policy = usePolicies(stage);
  let count = 0;

  const person = (user: string, groups: string[] = []) => stage().person(user, groups);

  /** Lets a user create objects of a kind of ours, and nothing else. */
  async function letCreate(namespace: string, user: string, resource: string): Promise<void> {
    const metadata = { name: `${user}-creates-${resource}` };
    await stage().admin.createRaw(`${rbac}/namespaces/${namespace}/roles`, {
      metadata,
      rules: [{ apiGroups: ['hallpass.dev'], resources: [resource], verbs: ['create'] }],
    });
    await stage().bind(namespace, user, metadata.name, { roleKind: 'Role' });
  }

  const bind = (namespace: string, user: string, role: string) => stage().bind(namespace, user, role);

  /** A namespace where a policy wants these approvals, with its agent, and `carol` and `dave`, who may ask for grants. */
  async function setting(name: string, approvals: object[] = [{ why: 'a test', count: 1 }], more: object = {}) {
    const namespace = await stage().namespace(name);
    await stage().identity(namespace);
    await policy(name, namespace, { approvals, ...more });
    for (const user of ['carol', 'dave']) await bind(namespace, user, 'edit');
    for (const user of ['rita', 'rob', 'carol', 'dave']) await bind(namespace, user, 'hallpass-reviewer');
    return { namespace, agent: await stage().agent(namespace), ref: { namespace, name: 'asked' } };
  }

  /** Makes a review of what stands there now; those who were let in a moment ago are asked again until they are in. */
  async function review(
    by: Client,
    of: ParsedGrant | { metadata: ParsedGrant['metadata']; kind: string },
    decision: string,
    o: { namespace?: string; target?: object } = {},
  ) {
    count += 1;
    const { name, uid, generation } = of.metadata;
    const kind = 'hash' in of ? 'AgentGrant' : 'AgentIdentity';
    const specHash = 'hash' in of ? of.hash : undefined;
    const body = {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { name: `review-${count}` },
      spec: { target: { kind, name, uid, generation, specHash, ...o.target }, decision, comment: 'a test' },
    };
    const namespace = o.namespace ?? of.metadata.namespace;
    await by.createRaw(`${api}/namespaces/${namespace}/agentreviews`, body);
    return { namespace, name: body.metadata.name };
  }

  /** Waits until a grant's status mentions something. */
  async function says(ref: { namespace: string; name: string }, text: string): Promise<ParsedGrant> {
    const found = await stage().until(stage().seen.grants, ref, (now) => now?.status.message?.includes(text) ?? false);
    if (!found) throw new Error('the grant is gone');
    return found;
  }

  /** Creates a grant; who was let in a moment ago is kept waiting for that. */
  const created = (by: Client, ref: { namespace: string; name: string }) =>
    stage().poll(
      () =>
        by.createRaw(`${api}/namespaces/${ref.namespace}/agentgrants`, grantManifest(ref)).then(
          () => 'created',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'created',
    );

  const ask = async (by: Client, ref: { namespace: string; name: string }) => {
    await created(by, ref);
    return stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
  };

  it('waits for its approval, is given once it has it, and is taken back when the review goes', async () => {
    const { namespace, agent, ref } = await setting('review-approve');
    const [carol, rita] = [await person('carol'), await person('rita')];
    const asked = await ask(carol, ref);
    expect(asked.status.conditions?.find(({ type }) => type === 'Ready')?.status, 'nothing is left to do').to.equal(
      'True',
    );
    expect(asked.status.message).to.equal(
      'it takes 1 approval (AgentPolicy review-approve, spec.approvals[0]: a test); a reviewer runs: kubectl hallpass approve -n review-approve asked',
    );
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const made = await review(rita, asked, 'Approve');
    const given = await stage().phase(ref, 'Active');
    expect(given.status.approvals?.map(({ review, reviewer }) => [review, reviewer])).to.deep.equal([
      [made.name, 'rita'],
    ]);
    await agent.until(podsOf(namespace), 200);
    await stage().admin.delete(agentReviews, made);
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'ApprovalMissing');
  });

  it('is not approved by its creator, nor by who edited it in between, nor by whoever may act as one of them', async () => {
    const { namespace, agent, ref } = await setting('review-self');
    const [carol, dave, rob, erin] = [
      await person('carol'),
      await person('dave'),
      await person('rob'),
      await person('erin'),
    ];
    await stage().admin.createRaw(`${rbac}/clusterroles`, {
      metadata: { name: 'acts-as-carol' },
      rules: [{ apiGroups: [''], resources: ['users'], resourceNames: ['carol'], verbs: ['impersonate'] }],
    });
    await stage().admin.createRaw(`${rbac}/clusterrolebindings`, {
      metadata: { name: 'acts-as-carol' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'acts-as-carol' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'erin' }],
    });
    await bind(namespace, 'erin', 'hallpass-reviewer');
    await ask(carol, ref);
    await dave.patch(agentGrants, ref, { spec: { validity: { duration: '2h' } } }, { type: 'merge' });
    await carol.patch(agentGrants, ref, { spec: { validity: { duration: '3h' } } }, { type: 'merge' });
    await stage().until(stage().seen.grants, ref, (now) => now?.status.observedGeneration === 3);
    const edited = await stage().phase(ref, 'AwaitingApproval');
    expect(edited.stamps?.authors).to.deep.equal(['carol', 'dave']);
    await review(carol, edited, 'Approve');
    await says(ref, 'carol wrote what it is about');
    await review(dave, edited, 'Approve');
    await says(ref, 'dave wrote what it is about');
    await review(erin, edited, 'Approve');
    await says(ref, 'erin may act as carol, who wrote what it is about');
    await review(stage().admin, edited, 'Approve');
    await says(ref, 'hallpass-test-admin may act as carol');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await review(rob, edited, 'Approve');
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
  });

  it('is not given by an approval where its author does not hold what it hands out', async () => {
    const { namespace, agent, ref } = await setting('review-lacking');
    const [peter, rita] = [await person('peter'), await person('rita')];
    await letCreate(namespace, 'peter', 'agentgrants');
    await created(peter, ref);
    const asked = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    await review(rita, asked, 'Approve');
    await stage().until(stage().seen.grants, ref, (now) => now?.status.approvals?.length === 1);
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('needs a new approval when the spec is swapped after the first of two', async () => {
    const { namespace, agent, ref } = await setting('review-swap', [{ why: 'a test', count: 2 }]);
    const [carol, rita, rob] = [await person('carol'), await person('rita'), await person('rob')];
    const first = await ask(carol, ref);
    await review(rita, first, 'Approve');
    await says(ref, 'has 1 (rita)');
    await carol.patch(agentGrants, ref, { spec: { validity: { duration: '20h' } } }, { type: 'merge' });
    await says(ref, 'edited since');
    await stage().until(stage().seen.grants, ref, (now) => now?.status.observedGeneration === 2);
    const swapped = await stage().phase(ref, 'AwaitingApproval');
    await review(rob, swapped, 'Approve');
    await says(ref, 'has 1 (rob)');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await review(rita, swapped, 'Approve');
    await stage().phase(ref, 'Active');
  });

  it('is given once when both of two approvals come at the same instant', async () => {
    const { agent, namespace, ref } = await setting('review-both', [{ why: 'a test', count: 2 }]);
    const [carol, rita, rob] = [await person('carol'), await person('rita'), await person('rob')];
    const asked = await ask(carol, ref);
    await Promise.all([review(rita, asked, 'Approve'), review(rob, asked, 'Approve')]);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    expect(stage().receiptsOf(ref)).to.have.length(1);
  });

  it('is not approved by a review of the grant that had its name before', async () => {
    const { namespace, agent, ref } = await setting('review-anew');
    const [carol, rita] = [await person('carol'), await person('rita')];
    const before = await ask(carol, ref);
    await carol.delete(agentGrants, ref);
    await stage().until(stage().seen.grants, ref, (now) => now?.metadata.uid !== before.metadata.uid);
    const anew = await ask(carol, ref);
    expect(anew.hash, 'it asks for the same').to.equal(before.hash);
    await review(rita, before, 'Approve');
    await says(ref, 'another grant that had this name');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('takes no word from another namespace, or from who holds no verb approve in its own', async () => {
    const { namespace, agent, ref } = await setting('review-forged');
    const elsewhere = await setting('review-elsewhere');
    const [carol, rita, mallory] = [await person('carol'), await person('rita'), await person('mallory')];
    await bind(elsewhere.namespace, 'mallory', 'hallpass-reviewer');
    await letCreate(namespace, 'mallory', 'agentreviews');
    const asked = await ask(carol, ref);
    await stage().poll(
      () => review(mallory, asked, 'Approve').catch((error: Error) => error.message),
      (message) => String(message).includes("'hallpass-reviews'"),
    );
    const refused = await review(mallory, asked, 'Approve').catch((error: unknown) => error);
    expect(isForbidden(refused)).to.equal(true);
    expect(String(refused)).to.contain(
      'you may not review agentgrants asked in namespace review-forged: it takes the verb approve on it; a cluster admin binds ClusterRole hallpass-reviewer to you in that namespace',
    );
    await review(mallory, asked, 'Approve', { namespace: elsewhere.namespace });
    await review(rita, asked, 'Deny', { namespace: elsewhere.namespace });
    // Something else that is decided afterwards: nothing came of either.
    await carol.patch(agentGrants, ref, { spec: { validity: { duration: '2h' } } }, { type: 'merge' });
    const { status } = await stage().phase(ref, 'AwaitingApproval');
    expect(status.message).to.not.contain('AgentReview review-');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('is denied for good, also under a manifest that is applied again', async () => {
    const { ref } = await setting('review-deny');
    const [carol, rita] = [await person('carol'), await person('rita')];
    const asked = await ask(carol, ref);
    await review(rita, asked, 'Deny');
    const { status } = await stage().phase(ref, 'Denied', 'DeniedByReview');
    expect(status.message).to.match(
      /^rita denied it \("a test", AgentReview review-\d+\); to ask again, change what grant asked asks for/,
    );
    await carol.delete(agentGrants, ref);
    await stage().until(stage().seen.grants, ref, (now) => now === undefined);
    await stage().create(grantManifest(ref));
    await stage().phase(ref, 'Denied', 'DeniedByReview');
  });

  it('is stopped by Suspend, and neither editing it nor creating it anew starts it again', async () => {
    const { namespace, agent, ref } = await setting('review-suspend', []);
    const [carol, rita] = [await person('carol'), await person('rita')];
    const manifest = grantManifest(ref);
    const given = await stage().give(manifest);
    await agent.until(podsOf(namespace), 200);
    const from = Date.now();
    await review(rita, given, 'Suspend');
    console.log(`      refused ${(await agent.until(podsOf(namespace), 403)) - from} ms after the review was sent`);
    await stage().phase(ref, 'Suspended', 'SuspendedByReview');
    await stage().admin.patch(agentGrants, ref, { spec: { task: { ref: 'again' } } }, { type: 'merge' });
    const edited = await stage().phase(ref, 'Pending', 'SuspendedByReview');
    await stage().admin.delete(agentGrants, ref);
    await stage().until(stage().seen.grants, ref, (now) => now?.metadata.uid !== edited.metadata.uid);
    await carol.createRaw(`${api}/namespaces/${namespace}/agentgrants`, grantManifest(ref, { task: 'another' }));
    const anew = await stage().phase(ref, 'Pending', 'SuspendedByReview');
    await review(carol, anew, 'Resume');
    await says(ref, 'carol wrote what it is about');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    // One of the suspension's own second counts for nothing, and says so: then another is made.
    for (let phase = anew.status.phase; phase !== 'Active'; ) {
      const { name } = await review(rita, anew, 'Resume');
      const judged = await stage().until(
        stage().seen.grants,
        ref,
        (now) => now?.status.phase === 'Active' || now?.status.message?.includes(`AgentReview ${name}:`) === true,
      );
      phase = judged?.status.phase;
    }
    await agent.until(podsOf(namespace), 200);
  });

  it('is stopped with every other of its agent, and the agent stays stopped when it is registered anew', async () => {
    const { namespace, agent } = await setting('review-agent', []);
    const rita = await person('rita');
    const refs = ['one', 'two'].map((name) => ({ namespace, name }));
    for (const ref of refs) await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    const identity = await stage().admin.get(agentIdentities, { namespace, name: 'triage' });
    await review(rita, { ...identity, kind: 'AgentIdentity' }, 'Suspend');
    await agent.until(podsOf(namespace), 403);
    for (const ref of refs) await stage().phase(ref, 'Suspended', 'AgentSuspended');
    await stage().admin.delete(agentIdentities, { namespace, name: 'triage' });
    for (const ref of refs) await stage().phase(ref, 'Expired');
    await stage().until(stage().seen.identities, { namespace, name: 'triage' }, (now) => now === undefined);
    await stage().admin.createRaw(`${api}/namespaces/${namespace}/agentidentities`, identityManifest(namespace));
    await stage().create(grantManifest({ namespace, name: 'three' }));
    await stage().phase({ namespace, name: 'three' }, 'Pending', 'AgentSuspended');
  });

  it('is revoked for good, whatever is asked under its name later', async () => {
    const { namespace, agent, ref } = await setting('review-revoke', []);
    const rita = await person('rita');
    const given = await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    await review(rita, given, 'Revoke');
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Revoked', 'RevokedByReview');
    expect((await stage().closed(ref))?.reason).to.equal('RevokedByReview');
    await stage().admin.patch(agentGrants, ref, { spec: { task: { ref: 'again' } } }, { type: 'merge' });
    await stage().phase(ref, 'Revoked', 'RevokedByReview');
  });

  it('takes the word of a ServiceAccount only where a policy names it', async () => {
    const { namespace, ref } = await setting('review-machine');
    // Not beside carol, who may create pods where she asks, and so could be the ServiceAccount.
    const ci = await stage().namespace('review-machine-ci', { enabled: false });
    const carol = await person('carol');
    const { admin } = stage().playground;
    await admin(['create', 'serviceaccount', 'bot', '-n', ci]);
    await stage().admin.createRaw(`${rbac}/namespaces/${namespace}/rolebindings`, {
      metadata: { name: 'bot' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'hallpass-reviewer' },
      subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: ci }],
    });
    const token = (await admin(['create', 'token', 'bot', '-n', ci])).trim();
    const bot = stage().withToken(token);
    const asked = await ask(carol, ref);
    await review(bot, asked, 'Approve');
    await says(ref, 'which no AgentPolicy names as a reviewer');
    const reviewers = { serviceAccounts: [{ namespace: ci, name: 'bot' }] };
    await stage().admin.patch(agentPolicies, { name: 'review-machine' }, { spec: { reviewers } }, { type: 'merge' });
    await stage().phase(ref, 'Active');
  });
});
