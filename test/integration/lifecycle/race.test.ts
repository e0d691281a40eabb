// Whatever happens to a grant while it is being issued, it ends up where it would have if it had happened before or after.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { receiptName } from '../../../src/api/request.ts';
import { isNotFound } from '../../../src/kube/client.ts';
import { jobs, roleBindings, roles, serviceAccounts } from '../../../src/kube/kinds.ts';
import { settled } from '../../harness/invariants.ts';
import { grantManifest, identityManifest, openStage, type Stage, SYSTEM_NAMESPACE } from '../endings/stage.ts';

type Ref = { namespace: string; name: string };

const isActive = (grant: ParsedGrant | undefined) => grant?.status.phase === 'Active';
const isThere = (object: object | undefined) => object !== undefined;
/** What gives a grant's access, by the name that all of it has. */
const given = async (stage: Stage, ref: Ref): Promise<Ref> => {
  const grant = await stage.until(stage.seen.grants, ref, isThere);
  return { namespace: ref.namespace, name: `hallpass-${grant?.metadata.uid}` };
};

/** Each step of issuing after which it happens. */
const moments: { after: string; comes: (stage: Stage, ref: Ref) => Promise<unknown> }[] = [
  { after: 'created', comes: async () => {} },
  {
    after: 'recorded',
    comes: async (stage, ref) => {
      const grant = await stage.until(stage.seen.grants, ref, isThere);
      const receipt = { namespace: SYSTEM_NAMESPACE, name: receiptName(ref, grant?.hash ?? '') };
      return stage.until(stage.seen.receipts, receipt, isThere);
    },
  },
  { after: 'job', comes: async (stage, ref) => stage.until(stage.seen.jobs, await given(stage, ref), isThere) },
  { after: 'role', comes: async (stage, ref) => stage.until(stage.seen.roles, await given(stage, ref), isThere) },
  {
    after: 'binding',
    comes: async (stage, ref) => stage.until(stage.seen.roleBindings, await given(stage, ref), isThere),
  },
  {
    after: 'announced',
    comes: (stage, ref) => stage.until(stage.seen.grants, ref, (grant) => grant?.status.startTime !== undefined),
  },
  {
    after: 'bound',
    comes: async (stage, ref) =>
      stage.until(stage.seen.roleBindings, await given(stage, ref), (binding) => !!binding?.subjects?.length),
  },
  { after: 'active', comes: (stage, ref) => stage.until(stage.seen.grants, ref, isActive) },
];

type Harm = {
  what: string;
  does: (stage: Stage, grant: Ref) => Promise<unknown>;
  ends: (grant: ParsedGrant | undefined) => boolean;
};

const identityOf = ({ namespace }: Ref) => ({ namespace, name: 'triage' });
const reason = (grant: ParsedGrant | undefined) =>
  grant?.status.conditions?.find(({ type }) => type === 'Granted')?.reason;
const changeIdentity = (stage: Stage, grant: Ref, spec: object) =>
  stage.admin.patch(agentIdentities, identityOf(grant), { spec }, { type: 'merge' });

const harms: Harm[] = [
  {
    what: 'the grant is deleted',
    does: (stage, grant) => stage.admin.delete(agentGrants, grant),
    ends: (grant) => grant === undefined,
  },
  {
    what: 'its identity is deleted',
    does: (stage, grant) => stage.admin.delete(agentIdentities, identityOf(grant)),
    ends: (grant) => ['AgentDeleted', 'AgentNotFound'].includes(reason(grant) ?? ''),
  },
  {
    what: 'its identity expires',
    does: (stage, grant) => changeIdentity(stage, grant, { expiresAt: new Date(Date.now() - 1_000).toISOString() }),
    ends: (grant) => reason(grant) === 'AgentExpired',
  },
  {
    what: 'its boundary is narrowed',
    does: (stage, grant) => changeIdentity(stage, grant, { boundary: { maxGrantDuration: '1m' } }),
    ends: (grant) => reason(grant) === 'DurationExceedsBoundary',
  },
  {
    what: 'its namespace is disabled',
    does: (stage, { namespace }) => stage.playground.admin(['delete', '-n', namespace, '-k', 'deploy/namespace']),
    ends: (grant) => reason(grant) === 'NamespaceNotEnabled',
  },
  {
    what: 'its spec is changed',
    does: (stage, grant) =>
      stage.admin.patch(agentGrants, grant, { spec: { task: { ref: 'INC-2' } } }, { type: 'merge' }),
    ends: (grant) => isActive(grant) && grant?.spec?.task.ref === 'INC-2',
  },
  {
    what: 'its spec is narrowed',
    does: (stage, grant) =>
      stage.admin.patch(agentGrants, grant, { spec: { validity: { duration: '30m' } } }, { type: 'merge' }),
    ends: (grant) => isActive(grant) && grant?.spec?.validity.duration === '30m',
  },
  {
    what: 'what gives its access is deleted',
    does: async (stage, grant) => {
      const { uid } = (await stage.admin.get(agentGrants, grant)).metadata;
      const object = { namespace: grant.namespace, name: `hallpass-${uid}` };
      const none = (error: unknown) => {
        if (!isNotFound(error)) throw error;
      };
      for (const remove of [
        () => stage.admin.delete(jobs, object, { propagationPolicy: 'Background' }),
        () => stage.admin.delete(roleBindings, object),
        () => stage.admin.delete(roles, object),
      ]) {
        await remove().catch(none);
      }
    },
    ends: isActive,
  },
  {
    what: "its agent's ServiceAccount is deleted",
    does: (stage, { namespace }) => stage.admin.delete(serviceAccounts, { namespace, name: 'hallpass-triage' }),
    ends: isActive,
  },
];

describe('a grant, when while it is being issued', function () {
  this.timeout(90_000);
  let stage: Stage;

  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());
  afterEach(() => expect(stage.problems, 'inconsistent statuses').to.deep.equal([]));

  harms.forEach(({ what, does, ends }, at) => {
    it(`${what}, ends up as if that had been before or after`, async () => {
      const grants = moments.map(({ after, comes }) => ({
        comes,
        ref: { namespace: `race-${at}-${after}`, name: 'raced' },
      }));
      for (const { ref } of grants) await stage.namespace(ref.namespace);
      await Promise.all(grants.map(({ ref }) => stage.identity(ref.namespace)));
      // One after the other: what is tried is one grant's moment, not many grants' order.
      for (const { comes, ref } of grants) {
        await stage.create(grantManifest(ref));
        await comes(stage, ref);
        await does(stage, ref);
      }
      for (const { ref } of grants) {
        await stage.until(stage.seen.grants, ref, (grant) => {
          const seen = grant?.status.observedGeneration === grant?.metadata.generation;
          return seen && ends(grant);
        });
      }
      await settled(stage.admin);
    });
  });

  it('is one of an identity that is made at the same time, is given in the end', async () => {
    const refs = moments.map(({ after }) => ({ namespace: `race-made-${after}`, name: 'raced' }));
    for (const { namespace } of refs) await stage.namespace(namespace);
    const path = (namespace: string, kind: string) => `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/${kind}`;
    await Promise.all(
      refs.flatMap((ref) => [
        stage.create(grantManifest(ref)),
        stage.admin.createRaw(path(ref.namespace, 'agentidentities'), identityManifest(ref.namespace)),
      ]),
    );
    for (const ref of refs) await stage.phase(ref, 'Active');
    await settled(stage.admin);
  });
});
