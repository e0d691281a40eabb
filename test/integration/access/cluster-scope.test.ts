// Rights in the whole cluster, as the agent sees them: given where identity, policy, requester and an admin's ceiling agree, gone
// the moment one of them doesn't any more.
import { join } from 'node:path';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { Client, unlessGone } from '../../../src/kube/client.ts';
import { clusterRoleBindings, clusterRoles, namespaces, services } from '../../../src/kube/kinds.ts';
import { usePolicies } from '../endings/policies.ts';
import { BY_HALLPASS, grantManifest, type Permission, SYSTEM_NAMESPACE, useSharedStage } from '../endings/stage.ts';

const directory = join(import.meta.dirname, '..', '..', '..', 'deploy', 'cluster-scope');
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const pods = '/api/v1/pods';

describe('a grant for the whole cluster', function () {
  this.timeout(90_000);
  // Before the stage's own hook, which may close it.
  after(() => kubectl('delete', '--ignore-not-found', '-k', directory));
  const stage = useSharedStage();
  const namespace = 'cluster-wide';
  const kubectl = (...args: string[]) => stage().playground.admin(args);
  const everywhere = (permission: Permission = {}) => ({ permissions: [{ scope: 'Cluster' as const, ...permission }] });

  const allowing = (resource: string, ...verbs: string[]) => ({
    allow: [{ why: 'a test', scope: 'Cluster', apiGroups: [''], resources: [resource], verbs }],
  });
  const boundary = (fields: object) =>
    stage().admin.patch(
      agentIdentities,
      { namespace, name: 'triage' },
      { spec: { boundary: fields } },
      { type: 'merge' },
    );

  before(async () => {
    await kubectl('apply', '-k', directory);
    await stage().namespace(namespace);
    await stage().identity(namespace, { clusterScope: true });
  });
  afterEach(async () => {
    for (const { metadata } of stage()
      .seen.grants.list()
      .filter((grant) => grant.metadata.namespace === namespace)) {
      await stage().remove(agentGrants, metadata);
    }
  });
  // After the grants, which it would have decided anew.
  const policies = usePolicies(stage);
  const policy = (name: string, spec: object, selects = namespace) => policies(name, selects, spec);

  it('lets the agent list pods of every namespace until its end, and leaves nothing', async () => {
    await policy('reading', allowing('pods', 'get', 'list'));
    const agent = await stage().agent(namespace);
    expect(await agent.asks(pods)).to.equal(403);
    const ref = { namespace, name: 'looks' };
    const given = await stage().give(grantManifest(ref, { ...everywhere(), duration: '8s' }));
    await agent.until(pods, 200);
    const { uid } = given.metadata;
    expect(await stage().objectsOf(uid)).to.deep.equal([
      `ClusterRole hallpass-${uid}`,
      `ClusterRoleBinding hallpass-${uid}`,
      `Job hallpass-system/hallpass-${uid}`,
      `Service hallpass-system/hallpass-${uid}`,
    ]);
    expect(given.status.created?.map((each) => [each.kind, each.namespace, each.uid !== undefined])).to.deep.equal([
      ['Job', SYSTEM_NAMESPACE, true],
      ['Service', SYSTEM_NAMESPACE, false],
      ['ClusterRole', undefined, true],
      ['ClusterRoleBinding', undefined, false],
    ]);
    const [receipt] = stage().receiptsOf(ref);
    expect(receipt?.spec?.access.map((each) => each.namespace)).to.deep.equal([undefined]);
    expect(receipt?.spec?.summary).to.equal('list pods in the whole cluster');
    const identity = await stage().until(
      stage().seen.identities,
      { namespace, name: 'triage' },
      (now) => now?.status.blastRadius?.clusterRules === 1,
    );
    expect(identity?.status.standingAccess, 'its own binding is no standing access').to.equal(undefined);
    const refusedAt = await agent.until(pods, 403);
    expect(refusedAt - Date.parse(given.status.expiresAt ?? '')).to.be.within(0, BY_HALLPASS);
    await stage().phase(ref, 'Expired', 'EndPassed');
    await stage().nothingLeft(uid);
  });

  it('waits while the boundary of the identity, a policy, or the ceiling does not have it', async () => {
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'waits' };
    await boundary({ clusterScope: null });
    await stage().create(grantManifest(ref, everywhere({ resources: ['configmaps'] })));
    const { status } = await stage().phase(ref, 'Pending', 'OutsideBoundary');
    expect(status.reasons?.map(({ reason }) => reason)).to.deep.equal([
      'OutsideBoundary',
      'ClusterScopeRefused',
      'ExceedsCeiling',
    ]);
    await boundary({ clusterScope: true });
    const refused = await stage().phase(ref, 'Pending', 'ClusterScopeRefused');
    expect(refused.status.message).to.contain(
      'in the whole cluster no AgentPolicy allows by name list configmaps (core); ask for it in namespaces, or have whoever maintains AgentPolicies add it to spec.allow, with scope: Cluster, of one that selects cluster-wide',
    );
    // A line for namespaces says nothing of the cluster.
    await policy('in-namespaces', {
      allow: [{ why: 'a test', apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
    });
    await policy('by-name', allowing('configmaps', 'list'));
    const beyond = await stage().phase(ref, 'Pending', 'ExceedsCeiling');
    expect(await agent.asks('/api/v1/configmaps')).to.equal(403);
    // The command that the message has, as a cluster admin would paste it.
    const [, role = ''] = /printf %s '(.*)' \| kubectl create/.exec(beyond.status.message ?? '') ?? [];
    const made = JSON.parse(await stage().playground.admin(['create', '-o', 'json', '-f', '-'], { input: role }));
    try {
      await stage().phase(ref, 'Active');
      await agent.until('/api/v1/configmaps', 200);
    } finally {
      await stage().remove(clusterRoles, { name: made.metadata.name });
    }
    await agent.until('/api/v1/configmaps', 403);
    await stage().phase(ref, 'Suspended', 'ExceedsCeiling');
  });

  it('writes nothing that a policy does not name verb by verb', async () => {
    await policy('wild', allowing('pods', '*'));
    const ref = { namespace, name: 'deletes' };
    await stage().create(grantManifest(ref, everywhere({ verbs: ['delete'] })));
    const { status } = await stage().phase(ref, 'Pending', 'ClusterScopeRefused');
    expect(status.message).to.contain('verbs that write one by one: * stands for reading there');
    await policy('named', allowing('pods', 'delete'));
    await stage().phase(ref, 'Pending', 'ExceedsCeiling');
  });

  it('is given only by somebody who holds it in the whole cluster', async () => {
    await policy('reading', allowing('pods', 'list'));
    const user = 'cluster-requester';
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }];
    const bind = (path: string, kind: string, name: string, role: string) =>
      stage().admin.createRaw(`${rbac}${path}`, {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind,
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects,
      });
    const all = (await stage().admin.list(namespaces)).items.map(({ metadata }) => metadata.name);
    // In every namespace, one by one, is not in the whole cluster.
    for (const each of all) await bind(`/namespaces/${each}/rolebindings`, 'RoleBinding', user, 'edit');
    const requester = new Client({ credentials: await stage().playground.credentialsFor({ user }) });
    const ref = { namespace, name: 'asked' };
    try {
      await requester.createRaw(
        `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentgrants`,
        grantManifest(ref, everywhere()),
      );
    } finally {
      requester.close();
    }
    const { status } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(status.message).to.contain('(list pods in the whole cluster)');
    await bind('/clusterrolebindings', 'ClusterRoleBinding', user, 'view');
    await stage().phase(ref, 'Active');
    const agent = await stage().agent(namespace);
    await agent.until(pods, 200);
    await stage().remove(clusterRoleBindings, { name: user });
    await agent.until(pods, 403);
    await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
  });

  it('is suspended by whatever changes for any one namespace: a freeze, a line, a label', async () => {
    await policy('reading', allowing('pods', 'list'));
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'held' };
    const one = await stage().namespace('cluster-one');
    await boundary({ clusterScope: true, maxDataSensitivity: 'internal' });
    const given = await stage().give(grantManifest(ref, everywhere()));
    await agent.until(pods, 200);

    await policy('freeze', { freeze: { reason: 'an incident' } }, one);
    await agent.until(pods, 403);
    await stage().phase(ref, 'Suspended', 'Frozen');
    await stage().admin.delete(agentPolicies, { name: 'freeze' });
    await stage().phase(ref, 'Suspended', 'Restoring');

    const deny = [{ why: 'not here', apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    await policy('line', { deny }, one);
    const denied = await stage().phase(ref, 'Suspended', 'DeniedByPolicy');
    expect(denied.status.message).to.contain('in the whole cluster AgentPolicy line refuses list pods (core)');
    await stage().admin.delete(agentPolicies, { name: 'line' });
    await stage().phase(ref, 'Suspended', 'Restoring');

    const label = (level: string | null) =>
      stage().admin.patch(
        namespaces,
        { name: one },
        { metadata: { labels: { 'hallpass.dev/data-sensitivity': level } } },
        { type: 'merge' },
      );
    await label('restricted');
    const sensitive = await stage().phase(ref, 'Suspended', 'TooSensitive');
    expect(sensitive.status.message).to.contain(`the data of namespace ${one} is restricted (by its label)`);
    await label(null);
    await stage().phase(ref, 'Suspended', 'Restoring');
    const back = await stage().until(stage().seen.grants, ref, (now) => now?.status.phase === 'Active', 45_000);
    expect(back?.status.expiresAt).to.equal(given.status.expiresAt);
    await agent.until(pods, 200);
    await boundary({ maxDataSensitivity: null });
  });

  it('is put back when somebody deletes its binding, or what joins that to its Job', async () => {
    await policy('reading', allowing('pods', 'list'));
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'repaired' };
    const given = await stage().give(grantManifest(ref, everywhere()));
    const name = `hallpass-${given.metadata.uid}`;
    await agent.until(pods, 200);
    const bound = await stage().admin.get(clusterRoleBindings, { name });
    await stage().remove(clusterRoleBindings, { name });
    const again = await stage().poll(
      () => unlessGone(stage().admin.get(clusterRoleBindings, { name })),
      (now) => now !== undefined && now.metadata.uid !== bound.metadata.uid && now.subjects?.length === 1,
    );
    const service = await stage().admin.get(services, { namespace: SYSTEM_NAMESPACE, name });
    await stage().remove(services, service.metadata);
    await stage().poll(
      () => unlessGone(stage().admin.get(clusterRoleBindings, { name })),
      (now) =>
        now?.subjects?.length === 1 &&
        now.metadata.ownerReferences?.[0]?.uid !== again?.metadata.ownerReferences?.[0]?.uid,
    );
    await agent.until(pods, 200);
    await stage().remove(agentGrants, ref);
    await agent.until(pods, 403);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('ends when the admin takes deploy/cluster-scope away', async () => {
    await policy('reading', allowing('pods', 'list'));
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'disabled' };
    const given = await stage().give(grantManifest(ref, everywhere()));
    await agent.until(pods, 200);
    await kubectl('delete', '-k', directory);
    await agent.until(pods, 403);
    const { status } = await stage().phase(ref, 'Suspended', 'ClusterScopeNotEnabled');
    expect(status.message).to.contain('kubectl apply -k deploy/cluster-scope');
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(given.metadata.uid);
  });
});
