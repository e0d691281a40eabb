// Grants that a pipeline writes on the real API server: the group that owns the agent answers for them, a person approves them,
// and who tries to get around that does so with credentials of their own.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { type Client, isInvalid } from '../../../src/kube/client.ts';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { usePolicies } from '../endings/policies.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const api = '/apis/hallpass.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const apiGroup = 'rbac.authorization.k8s.io';

describe('a grant that a pipeline writes', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const policy = usePolicies(stage);
  let argo: Client;
  const argoUser = 'system:serviceaccount:pipelines:argo';

  before(async function () {
    this.timeout(120_000);
    await stage().namespace('pipelines', { enabled: false });
    const { admin } = stage().playground;
    await admin(['create', 'serviceaccount', 'argo', '-n', 'pipelines']);
    const token = (await admin(['create', 'token', 'argo', '-n', 'pipelines'])).trim();
    argo = stage().withToken(token);
    await stage().admin.createRaw(`${rbac}/clusterrolebindings`, {
      metadata: { name: 'pipelines-argo' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'pipelines', name: 'argo' }],
    });
    await stage().poll(
      () =>
        argo.getRaw(`${rbac}/clusterroles`).then(
          () => true,
          () => false,
        ),
      Boolean,
    );
  });

  const person = (user: string, groups: string[] = []) => stage().person(user, groups);

  const bind = (namespace: string, kind: 'User' | 'Group', name: string, role: string) =>
    stage().bind(namespace, name, role, { kind });

  const naming = (ownerGroups: string[], more: object = {}) => ({
    pipelines: [{ subjects: [{ kind: 'ServiceAccount', namespace: 'pipelines', name: 'argo' }], ownerGroups, ...more }],
  });

  /** A namespace whose policy names the pipeline, with an agent of group `oncall`, which may view it, and a reviewer, rita. */
  async function setting(name: string, more: object = {}) {
    const namespace = await stage().namespace(name);
    await stage().identity(namespace);
    await policy(name, namespace, naming(['oncall'], more));
    await bind(namespace, 'Group', 'oncall', 'view');
    await bind(namespace, 'User', 'rita', 'hallpass-reviewer');
    return { namespace, agent: await stage().agent(namespace), ref: { namespace, name: 'synced' } };
  }

  const sync = (ref: { namespace: string; name: string }) =>
    argo.createRaw(`${api}/namespaces/${ref.namespace}/agentgrants`, grantManifest(ref));

  let count = 0;
  /** Approves what stands there now; who was let in a moment ago is kept waiting for that. */
  const approve = (by: Client, { metadata, hash }: ParsedGrant) =>
    stage().poll(
      async () => {
        count += 1;
        const { name, namespace, uid, generation } = metadata;
        const target = { kind: 'AgentGrant', name, uid, generation, specHash: hash };
        return by
          .createRaw(`${api}/namespaces/${namespace}/agentreviews`, {
            apiVersion: 'hallpass.dev/v1alpha1',
            kind: 'AgentReview',
            metadata: { name: `approval-${count}` },
            spec: { target, decision: 'Approve', comment: 'a test' },
          })
          .then(
            () => 'made',
            (error: Error) => error.message,
          );
      },
      (answer) => answer === 'made',
    );

  async function says(ref: { namespace: string; name: string }, text: string): Promise<void> {
    await stage().until(stage().seen.grants, ref, (now) => now?.status.message?.includes(text) ?? false);
  }

  const own = (namespace: string, owner: object) =>
    stage().admin.patch(agentIdentities, { namespace, name: 'triage' }, { spec: { owner } }, { type: 'merge' });

  it('waits for a person to approve it, and is given on the rights of the owner', async () => {
    const { namespace, agent, ref } = await setting('pipe-approve');
    await sync(ref);
    const asked = await stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
    expect(asked.status.message).to.equal(
      `it takes 1 approval by a person (AgentPolicy pipe-approve, spec.pipelines[0]: ${argoUser} wrote it, a pipeline); a reviewer runs: kubectl hallpass approve -n pipe-approve synced`,
    );
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await approve(await person('rita'), asked);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
  });

  it('is not given on what the pipeline holds where the owner does not, and is taken back when the owner loses it', async () => {
    const { namespace, agent, ref } = await setting('pipe-owner', { review: 'Waived' });
    const binding = { namespace, name: 'oncall-view' };
    await stage().admin.delete(roleBindings, binding);
    await sync(ref);
    const { status } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(status.message).to.contain(
      `the owner of its agent, Group oncall, which answers for its creator, ${argoUser}, may not do everything that this hands out (list pods in namespace pipe-owner)`,
    );
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await bind(namespace, 'Group', 'oncall', 'view');
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    await stage().admin.delete(roleBindings, binding);
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
  });

  it('is taken back when a tenant makes another group the owner, which the policy does not list', async () => {
    const { namespace, agent, ref } = await setting('pipe-renamed', { review: 'Waived' });
    await sync(ref);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    await bind(namespace, 'User', 'tess', 'hallpass-identities-edit');
    await bind(namespace, 'Group', 'strangers', 'edit');
    const tess = await person('tess');
    const owner = { kind: 'Group', name: 'strangers' };
    await stage().poll(
      () =>
        tess.patch(agentIdentities, { namespace, name: 'triage' }, { spec: { owner } }, { type: 'merge' }).then(
          () => 'patched',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'patched',
    );
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
    expect(status.message).to.contain(
      `its creator, ${argoUser}, is a pipeline (AgentPolicy pipe-renamed, spec.pipelines[0]), and the owner of AgentIdentity triage, Group strangers, is none of the groups that may answer for it (oncall)`,
    );
  });

  it("is never given on the rights of Kubernetes' own groups: no policy can list one, and an owner can't be one", async () => {
    const { namespace, agent, ref } = await setting('pipe-masters', { review: 'Waived' });
    const refused = await policy('pipe-masters-listed', namespace, naming(['system:masters'])).catch(
      (error: unknown) => error,
    );
    expect(isInvalid(refused)).to.equal(true);
    expect(String(refused)).to.contain("a group that begins with system: is Kubernetes' own and owns no agent");
    await own(namespace, { kind: 'Group', name: 'system:masters' });
    await sync(ref);
    const { status } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(status.message).to.contain('Group system:masters, is none of the groups');
    await own(namespace, { kind: 'User', name: 'oncall' });
    await says(ref, 'User oncall, is none of the groups');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await own(namespace, { kind: 'Group', name: 'oncall' });
    await stage().phase(ref, 'Active');
  });

  it('is not approved by who made it as the pipeline, nor by a ServiceAccount that may review', async () => {
    const { namespace, agent, ref } = await setting('pipe-impersonated');
    const { admin, kubectl, kubeconfigFor } = stage().playground;
    await stage().admin.createRaw(`${rbac}/namespaces/pipelines/roles`, {
      metadata: { name: 'acts-as-argo' },
      rules: [{ apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['argo'], verbs: ['impersonate'] }],
    });
    await stage().admin.createRaw(`${rbac}/namespaces/pipelines/rolebindings`, {
      metadata: { name: 'acts-as-argo' },
      roleRef: { apiGroup, kind: 'Role', name: 'acts-as-argo' },
      subjects: [{ apiGroup, kind: 'User', name: 'erin' }],
    });
    await bind(namespace, 'User', 'erin', 'hallpass-reviewer');
    const kubeconfig = await kubeconfigFor({ user: 'erin', groups: [] });
    const input = JSON.stringify(grantManifest(ref));
    await stage().poll(
      () => kubectl(['create', '-f', '-', `--as=${argoUser}`], { kubeconfig, input }),
      ({ code }) => code === 0,
    );
    const asked = await stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
    expect(asked.stamps?.creator.username).to.equal(argoUser);
    await approve(await person('erin'), asked);
    await says(ref, `erin may act as ${argoUser}, who wrote what it is about`);

    await admin(['create', 'serviceaccount', 'bot', '-n', namespace]);
    const subject = { kind: 'ServiceAccount', name: 'bot', namespace };
    await stage().admin.createRaw(`${rbac}/namespaces/${namespace}/rolebindings`, {
      metadata: { name: 'bot' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'hallpass-reviewer' },
      subjects: [subject],
    });
    const reviewers = { serviceAccounts: [{ namespace, name: 'bot' }] };
    await stage().admin.patch(agentPolicies, { name: namespace }, { spec: { reviewers } }, { type: 'merge' });
    const token = (await admin(['create', 'token', 'bot', '-n', namespace])).trim();
    const bot = stage().withToken(token);
    await approve(bot, asked);
    await stage().until(stage().seen.grants, ref, (now) => now?.status.approvals?.length === 1);
    await stage().phase(ref, 'AwaitingApproval');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await approve(await person('rita'), asked);
    await stage().phase(ref, 'Active');
  });

  it('is held to a person who edits it by what that person holds, and to the pipeline by its owner', async () => {
    const { namespace, agent, ref } = await setting('pipe-edited');
    await sync(ref);
    const asked = await stage().phase(ref, 'AwaitingApproval');
    const rita = await person('rita');
    await approve(rita, asked);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    await bind(namespace, 'User', 'nell', 'hallpass-grants-edit');
    const nell = await person('nell');
    const spec = { validity: { duration: '2h' } };
    await stage().poll(
      () =>
        nell.patch(agentGrants, ref, { spec }, { type: 'merge' }).then(
          () => 'patched',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'patched',
    );
    await agent.until(podsOf(namespace), 403);
    const edited = await stage().phase(ref, 'Pending', 'RequesterLacksPermission');
    expect(edited.status.message).to.contain('the last author of its spec, nell, may not do everything');
    await bind(namespace, 'User', 'nell', 'view');
    await approve(rita, await stage().phase(ref, 'AwaitingApproval'));
    await stage().phase(ref, 'Active');
  });
});
