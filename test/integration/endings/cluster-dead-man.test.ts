// The dead man of the whole cluster: nothing in a namespace can own a ClusterRoleBinding, and yet it goes on time when its Job
// does, with every replica dead.
import { join } from 'node:path';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { Client } from '../../../src/kube/client.ts';
import { clusterRoleBindings, clusterRoles, cronJobs, ipAddresses, jobs, services } from '../../../src/kube/kinds.ts';
import { createPolicy } from './policies.ts';
import { grantManifest, PROMISED, SYSTEM_NAMESPACE, useSharedStage } from './stage.ts';

const directory = join(import.meta.dirname, '..', '..', '..', 'deploy', 'cluster-scope');
const pods = '/api/v1/pods';

describe('the dead man of the whole cluster', function () {
  this.timeout(120_000);
  // Before the stage's own hook, which may close it.
  after(async () => {
    await stage().remove(agentPolicies, { name: 'dead-man' });
    await stage().playground.admin(['delete', '--ignore-not-found', '-k', directory]);
  });
  const stage = useSharedStage();
  const namespace = 'cluster-dead';
  const permissions = [{ scope: 'Cluster' as const }];

  before(async () => {
    await stage().playground.admin(['apply', '-k', directory]);
    const permission = { scope: 'Cluster', apiGroups: [''], resources: ['pods'], verbs: ['list'] };
    await createPolicy(stage(), 'dead-man', {}, { allow: [{ why: 'a test', ...permission }] });
    await stage().namespace(namespace);
    await stage().identity(namespace, { clusterScope: true });
  });

  it('ends the access on time with every replica dead, and what is left gives nothing and goes when hallpass is back', async () => {
    const agent = await stage().agent(namespace);
    const given = await stage().give(grantManifest({ namespace, name: 'orphaned' }, { permissions, duration: '6s' }));
    const name = `hallpass-${given.metadata.uid}`;
    await agent.until(pods, 200);
    const service = await stage().admin.get(services, { namespace: SYSTEM_NAMESPACE, name });
    const job = await stage().admin.get(jobs, { namespace: SYSTEM_NAMESPACE, name });
    const address = await stage().admin.get(ipAddresses, { name: service.spec.clusterIP ?? '' });
    const binding = await stage().admin.get(clusterRoleBindings, { name });
    expect(service.metadata.ownerReferences?.map(({ uid }) => uid)).to.deep.equal([job.metadata.uid]);
    expect(binding.metadata.ownerReferences?.map(({ uid }) => uid)).to.deep.equal([address.metadata.uid]);
    await stage().kill();
    try {
      const refusedAt = await agent.until(pods, 403, 60_000);
      const late = refusedAt - Date.parse(given.status.expiresAt ?? '');
      console.log(`      refused ${late} ms after its end, by Kubernetes alone`);
      expect(late).to.be.within(0, PROMISED);
      expect(await stage().objectsOf(given.metadata.uid), 'what gives nothing').to.deep.equal([`ClusterRole ${name}`]);
    } finally {
      await stage().revive();
    }
    await stage().phase({ namespace, name: 'orphaned' }, 'Expired', 'EndPassed');
    await stage().nothingLeft(given.metadata.uid);
  });

  it('is not held up by what a tenant may read of it, and create, in a namespace of their own', async () => {
    const home = await stage().namespace('cluster-tenant');
    const tenant = new Client({ credentials: await stage().playground.credentialsFor({ user: 'cluster-tenant' }) });
    const binding = (kind: string, name: string, role: string) => ({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind,
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'cluster-tenant' }],
    });
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await stage().admin.createRaw(`${rbac}/namespaces/${home}/rolebindings`, binding('RoleBinding', 'tenant', 'admin'));
    await stage().admin.createRaw(
      `${rbac}/clusterrolebindings`,
      binding('ClusterRoleBinding', 'cluster-tenant', 'view'),
    );
    const agent = await stage().agent(namespace);
    const given = await stage().give(grantManifest({ namespace, name: 'blocked' }, { permissions, duration: '10s' }));
    const name = `hallpass-${given.metadata.uid}`;
    await agent.until(pods, 200);
    const service = await stage().poll(
      () => tenant.get(services, { namespace: SYSTEM_NAMESPACE, name }).catch(() => undefined),
      (found) => found !== undefined,
    );
    const job = await tenant.get(jobs, { namespace: SYSTEM_NAMESPACE, name });
    for (const [kind, apiVersion, uid] of [
      ['Service', 'v1', service?.metadata.uid],
      ['Job', 'batch/v1', job.metadata.uid],
    ]) {
      await tenant.createRaw(`/api/v1/namespaces/${home}/configmaps`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: `blocks-${uid}`,
          finalizers: ['example.com/for-ever'],
          ownerReferences: [{ apiVersion, kind, name, uid, blockOwnerDeletion: true }],
        },
      });
    }
    tenant.close();
    await stage().kill();
    try {
      const refusedAt = await agent.until(pods, 403, 40_000);
      const late = refusedAt - Date.parse(given.status.expiresAt ?? '');
      console.log(`      refused ${late} ms after its end`);
      expect(late).to.be.within(0, PROMISED);
    } finally {
      await stage().revive();
    }
    await stage().phase({ namespace, name: 'blocked' }, 'Expired', 'EndPassed');
  });

  it('is removed with all that it would have ended, when the grant went while no hallpass ran', async () => {
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'gone' };
    const given = await stage().give(grantManifest(ref, { permissions }));
    await agent.until(pods, 200);
    await stage().kill();
    try {
      // As `hallpass release` does.
      await stage().admin.patch(agentGrants, ref, { metadata: { finalizers: null } }, { type: 'merge' });
      await stage().remove(agentGrants, ref);
      expect(await agent.asks(pods), 'until the Job fires, or hallpass is back').to.equal(200);
      expect(await stage().objectsOf(given.metadata.uid)).to.have.length(4);
    } finally {
      await stage().revive();
    }
    await agent.until(pods, 403);
    await stage().nothingLeft(given.metadata.uid);
    const receipt = await stage().closed(ref);
    expect(receipt).to.include({ outcome: 'Revoked', reason: 'EndedByDeletion' });
  });

  it('takes the whole cluster for not enabled while the CronJob would keep its Jobs', async () => {
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'kept' };
    await stage().give(grantManifest(ref, { permissions }));
    await agent.until(pods, 200);
    const cronJob = { namespace: SYSTEM_NAMESPACE, name: 'hallpass-cluster-dead-man' };
    const keeping = (failedJobsHistoryLimit: number) =>
      stage().admin.patch(cronJobs, cronJob, { spec: { failedJobsHistoryLimit } }, { type: 'merge' });
    await keeping(1);
    try {
      await agent.until(pods, 403);
      await stage().phase(ref, 'Suspended', 'ClusterScopeNotEnabled');
    } finally {
      await keeping(0);
    }
    await stage().phase(ref, 'Suspended', 'Restoring');
    await stage().remove(agentGrants, ref);
  });

  it('stands again, with a new address, when its Job is deleted under a live grant', async () => {
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'rearmed' };
    const given = await stage().give(grantManifest(ref, { permissions }));
    const name = `hallpass-${given.metadata.uid}`;
    const deadMan = { namespace: SYSTEM_NAMESPACE, name };
    const before = await stage().admin.get(clusterRoleBindings, { name });
    await stage().remove(jobs, deadMan);
    await stage().poll(
      async () => {
        const [binding] = (await stage().admin.list(clusterRoleBindings, { fieldSelector: `metadata.name=${name}` }))
          .items;
        return binding;
      },
      (now) =>
        now?.subjects?.length === 1 &&
        now.metadata.ownerReferences?.[0]?.uid !== before.metadata.ownerReferences?.[0]?.uid,
    );
    const [job, service] = await Promise.all([stage().admin.get(jobs, deadMan), stage().admin.get(services, deadMan)]);
    expect(service.metadata.ownerReferences?.map(({ uid }) => uid)).to.deep.equal([job.metadata.uid]);
    await stage().deadMan(ref, 'True', 'DeadManRunning');
    await agent.until(pods, 200);
    await stage().remove(agentGrants, ref);
    await agent.until(pods, 403);
    await stage().nothingLeft(given.metadata.uid);
    expect((await stage().admin.list(clusterRoles)).items.map(({ metadata }) => metadata.name)).to.not.include(name);
  });
});
