// Whatever happens to a grant while it is being issued, it ends up where it would have if it had happened before or after.
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { isNotFound } from '../../../src/kube/client.ts';
import { jobs, roleBindings, roles, serviceAccounts } from '../../../src/kube/kinds.ts';
import { settled } from '../../harness/invariants.ts';
import { grantManifest, identityManifest, openStage, type Stage } from '../endings/stage.ts';

/** How long after the grant's creation it happens, in milliseconds: issuing takes some 50, more on a busy machine. */
const delays = [0, 8, 16, 24, 32, 48, 64, 96];

type Ref = { namespace: string; name: string };
type Harm = {
  what: string;
  does: (stage: Stage, grant: Ref) => Promise<unknown>;
  ends: (grant: ParsedGrant | undefined) => boolean;
};

const identityOf = ({ namespace }: Ref) => ({ namespace, name: 'triage' });
const reason = (grant: ParsedGrant | undefined) =>
  grant?.status.conditions?.find(({ type }) => type === 'Granted')?.reason;
const isActive = (grant: ParsedGrant | undefined) => grant?.status.phase === 'Active';
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
      const grants = delays.map((ms) => ({ ms, ref: { namespace: `race-${at}-${ms}`, name: 'raced' } }));
      for (const { ref } of grants) await stage.namespace(ref.namespace);
      await Promise.all(grants.map(({ ref }) => stage.identity(ref.namespace)));
      // One after the other: what is tried is one grant's moment, not many grants' order.
      for (const { ms, ref } of grants) {
        await stage.create(grantManifest(ref));
        await delay(ms);
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
    const refs = delays.map((ms) => ({ namespace: `race-made-${ms}`, name: 'raced' }));
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
