// Tenants who want an agent's access to outlive its end: nothing that the built-in role `edit` lets them do disarms the dead man.
import { expect } from 'chai';
import { z } from 'zod';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { ApiError, Client } from '../../../src/kube/client.ts';
import { type Job, jobs, roleBindings, validatingAdmissionPolicyBindings } from '../../../src/kube/kinds.ts';
import { grantManifest, guardsDirectory, PROMISED, podsOf, useSharedStage } from './stage.ts';

const templateSchema = z.object({
  spec: z.object({ template: z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()) }) }) }),
});
const placedSchema = z.object({
  items: z.tuple([z.object({ spec: z.object({ nodeName: z.string() }) })]).rest(z.any()),
});

const UNGUARDED = 'tampered-unguarded';
/** Where the tenant holds the built-in role `admin`, and reads bindings. */
const ADMINISTERED = 'tampered-by-admin';

const holds = (role: string, namespace: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: 'tenant', namespace },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'tenant' }],
});

type Attack = { how: string; namespace: string; act: (grant: ParsedGrant) => Promise<void> };

describe('a tenant who tampers with the dead man', function () {
  this.timeout(120_000);
  const stage = useSharedStage();
  let tenant: Client;

  /** Makes the garbage collector wait for a ConfigMap of the tenant's before each of these goes, where it would wait at all. */
  async function block(namespace: string, objects: { kind: string; name: string; uid?: string | undefined }[]) {
    for (const { kind, name, uid } of objects) {
      if (uid === undefined) continue;
      const apiVersion = kind === 'Job' ? 'batch/v1' : 'rbac.authorization.k8s.io/v1';
      await tenant.createRaw(`/api/v1/namespaces/${namespace}/configmaps`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: `blocks-${uid}`,
          finalizers: ['example.com/for-ever'],
          ownerReferences: [{ apiVersion, kind, name, uid, blockOwnerDeletion: true }],
        },
      });
    }
  }

  /** Whatever is refused has failed, which is fine. */
  async function tried(action: Promise<unknown>): Promise<void> {
    try {
      await action;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 403)) throw error;
    }
  }

  const refOf = ({ metadata }: ParsedGrant) => ({ namespace: metadata.namespace ?? '', name: metadata.name });
  const jobRef = ({ metadata }: ParsedGrant) => ({
    namespace: metadata.namespace ?? '',
    name: `hallpass-${metadata.uid}`,
  });
  async function tenantsNamespace(name: string, role = 'edit'): Promise<void> {
    await stage().namespace(name);
    await stage().identity(name);
    await stage().admin.createRaw(
      `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/rolebindings`,
      holds(role, name),
    );
  }

  const attacks: Attack[] = [
    {
      how: 'by objects that block the deletion of all whose uid can be learnt',
      namespace: 'tampered-uids',
      act: async ({ metadata }) => {
        const { status } = await tenant.get(agentGrants, metadata);
        await block(metadata.namespace ?? '', status.created ?? []);
      },
    },
    {
      how: 'by a Job that is stuck in its deletion',
      namespace: 'tampered-job',
      act: async (grant) => {
        const job = await tenant.get(jobs, jobRef(grant));
        await block(job.metadata.namespace ?? '', [{ kind: 'Job', ...job.metadata }]);
        await tried(tenant.delete(jobs, job.metadata, { propagationPolicy: 'Foreground' }));
      },
    },
    {
      how: 'by a pod that its Job adopts, and that takes ten years to end',
      namespace: 'tampered-pod',
      act: async (grant) => {
        const { namespace, name } = jobRef(grant);
        const job = templateSchema.parse(await tenant.getRaw(`/apis/batch/v1/namespaces/${namespace}/jobs/${name}`));
        const placed = placedSchema.parse(await tenant.getRaw(podsOf(namespace)));
        const pod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'adopted', labels: job.spec.template.metadata.labels },
          // On a node, so that nobody but its kubelet says that it has ended.
          spec: {
            nodeName: placed.items[0].spec.nodeName,
            terminationGracePeriodSeconds: 315_360_000,
            containers: [{ name: 'none', image: 'none' }],
          },
        };
        await tried(tenant.createRaw(podsOf(namespace), pod));
      },
    },
  ];
  /** What the guard of Jobs keeps a tenant from, by the name of the grant that it is done to. */
  const guarded = new Map<string, (job: Job) => Promise<unknown>>([
    [
      'edited',
      ({ metadata }) => {
        const spec = { parallelism: 1, ttlSecondsAfterFinished: 31_536_000 };
        return tenant.patch(jobs, metadata, { spec }, { type: 'merge' });
      },
    ],
    ['stuck', ({ metadata }) => tenant.delete(jobs, metadata, { propagationPolicy: 'Foreground' })],
  ]);
  const disarmed: { grant: ParsedGrant; job: Job }[] = [];
  /** Does it all while the guard is away, which takes effect some 100 ms after. */
  async function disarm(): Promise<void> {
    await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'hallpass-jobs' });
    try {
      for (const { grant, job } of disarmed) {
        const passes = async () => {
          const act = guarded.get(grant.metadata.name);
          return act?.(job).then(
            () => true,
            () => false,
          );
        };
        await stage().poll(passes, (done) => done === true);
      }
    } finally {
      await stage().playground.admin(['apply', '-k', guardsDirectory]);
    }
  }
  /** From the deadline to the refusal, in milliseconds, or why that is not known. */
  const ends = new Map<string, number | Error>();

  before('try everything, and kill hallpass', async () => {
    tenant = new Client({ credentials: await stage().playground.credentialsFor({ user: 'tenant', groups: [] }) });
    const given = await Promise.all(
      attacks.map(async (attack) => {
        const { namespace } = attack;
        await tenantsNamespace(namespace);
        const agent = await stage().agent(namespace);
        const grant = await stage().give(grantManifest({ namespace, name: 'kept' }, { duration: '15s' }));
        await agent.until(podsOf(namespace), 200);
        await attack.act(grant);
        return { ...attack, agent, grant };
      }),
    );
    await tenantsNamespace(UNGUARDED);
    for (const name of guarded.keys()) {
      const grant = await stage().give(grantManifest({ namespace: UNGUARDED, name }));
      const job = await tenant.get(jobs, jobRef(grant));
      if (name === 'stuck') await block(UNGUARDED, [{ kind: 'Job', ...job.metadata }]);
      disarmed.push({ grant, job });
    }
    await tenantsNamespace(ADMINISTERED, 'admin');
    const kept = await stage().give(grantManifest({ namespace: ADMINISTERED, name: 'kept' }, { duration: '10s' }));
    const binding = await tenant.get(roleBindings, jobRef(kept));
    await block(ADMINISTERED, [{ kind: 'RoleBinding', ...binding.metadata }]);
    await stage().kill();
    try {
      await disarm();
      await Promise.all(
        given.map(async ({ how, namespace, agent, grant }) => {
          const end = Date.parse(grant.status.expiresAt ?? '');
          const refused = agent.until(podsOf(namespace), 403, 35_000).then((at) => at - end);
          ends.set(how, await refused.catch((error) => error));
        }),
      );
    } finally {
      await stage().revive();
    }
  });
  after(() => tenant?.close());

  for (const { how } of attacks) {
    it(`does not prolong the access ${how}`, () => expect(ends.get(how)).to.be.within(0, PROMISED));
  }

  it('as an admin, who can, does so only until hallpass is back', async () => {
    const agent = await stage().agent(ADMINISTERED);
    await agent.until(podsOf(ADMINISTERED), 403);
    const { metadata } = await stage().phase({ namespace: ADMINISTERED, name: 'kept' }, 'Expired', 'EndPassed');
    await stage().nothingLeft(metadata.uid);
  });

  it('has undone what was done to Jobs while their guard was away', async () => {
    const { seen, until } = stage();
    for (const { grant, job } of disarmed) {
      const anew = grant.metadata.name === 'stuck';
      const wanted = (uid: string | undefined) => (uid === job.metadata.uid) !== anew;
      const armed = await until(
        seen.jobs,
        jobRef(grant),
        (now) => now?.spec.ttlSecondsAfterFinished === 0 && wanted(now.metadata.uid),
      );
      expect(armed?.spec.parallelism).to.equal(0);
      expect(armed?.metadata.deletionTimestamp).to.equal(undefined);
      await until(
        seen.roleBindings,
        jobRef(grant),
        (now) => now?.metadata.ownerReferences?.[0]?.uid === armed?.metadata.uid && now?.subjects?.length === 1,
      );
      await stage().deadMan(refOf(grant), 'True', 'DeadManRunning');
      await stage().remove(agentGrants, grant.metadata);
      await stage().nothingLeft(grant.metadata.uid);
    }
  });
});
