// What gives access is put back when somebody deletes it, and an agent that is made anew works again.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import type { Cache } from '../../../src/kube/cache.ts';
import { jobs, roleBindings, roles, serviceAccounts } from '../../../src/kube/kinds.ts';
import { isLaterVersion, type KubeObject, type ObjectRef, type Resource } from '../../../src/kube/object.ts';
import { BY_HALLPASS, grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

describe('what hallpass made', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  /** Deletes an object, and returns how long it took, in milliseconds, until it was there again under another uid. */
  async function deleted<T extends KubeObject>(resource: Resource<T>, cache: Cache<T>, ref: ObjectRef) {
    const before = cache.get(ref)?.metadata.uid;
    const from = performance.now();
    await stage().admin.delete(resource, ref, { propagationPolicy: 'Background' });
    await stage().until(cache, ref, (now) => now !== undefined && now.metadata.uid !== before, 5_000);
    return Math.round(performance.now() - from);
  }

  it('is put back at once when it is deleted, in each namespace, and works', async () => {
    const home = await stage().namespace('repair-deleted');
    const other = await stage().namespace('repair-deleted-other', { accepts: home });
    await stage().identity(home, { namespaces: [home, other] });
    const ref = { namespace: home, name: 'mended' };
    const given = await stage().give(grantManifest(ref, { permissions: [{ namespaces: [home, other] }] }));
    const agent = await stage().agent(home);
    const name = `hallpass-${given.metadata.uid}`;
    const { seen } = stage();
    for (const namespace of [home, other]) {
      await agent.until(podsOf(namespace), 200);
      const object = { namespace, name };
      const took = {
        RoleBinding: await deleted(roleBindings, seen.roleBindings, object),
        Role: await deleted(roles, seen.roles, object),
        Job: await deleted(jobs, seen.jobs, object),
      };
      console.log(`      back in ${namespace} after ms: ${JSON.stringify(took)}`);
      for (const [kind, ms] of Object.entries(took)) expect(ms, kind).to.be.below(BY_HALLPASS);
      // The garbage collector may take the binding of the Job that is gone, too: then that is put back again.
      await stage().until(
        seen.roleBindings,
        object,
        (now) =>
          now?.metadata.ownerReferences?.[0]?.uid === seen.jobs.get(object)?.metadata.uid &&
          now?.subjects?.length === 1,
      );
      await agent.until(podsOf(namespace), 200);
    }
    const { status } = await stage().deadMan(ref, 'True');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    await stage().until(
      seen.grants,
      ref,
      (now) =>
        now?.status.phase === 'Active' &&
        (now.status.created ?? []).every(({ kind, namespace, uid }) => {
          const cache = { Job: seen.jobs, Role: seen.roles, RoleBinding: seen.roleBindings }[kind];
          // Nobody is told the uid of a binding.
          return kind === 'RoleBinding' ? uid === undefined : cache?.get({ namespace, name })?.metadata.uid === uid;
        }),
    );
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('lets an agent whose ServiceAccount was deleted pass again with a new token, and no more with the old one', async () => {
    const namespace = await stage().namespace('repair-account');
    await stage().identity(namespace);
    const ref = { namespace, name: 'kept' };
    await stage().give(grantManifest(ref));
    const before = await stage().agent(namespace);
    await before.until(podsOf(namespace), 200);
    await deleted(serviceAccounts, stage().seen.serviceAccounts, { namespace, name: 'hallpass-triage' });
    // The API server takes the tokens of an account that is gone for some seconds more.
    await before.until(podsOf(namespace), 401, 30_000);
    const after = await stage().agent(namespace);
    await after.until(podsOf(namespace), 200);
    await stage().phase(ref, 'Active');
  });

  it('goes with an identity that expires, for good: a later end makes a new agent without the old grants', async () => {
    const namespace = await stage().namespace('repair-expired');
    await stage().identity(namespace);
    const identity = { namespace, name: 'triage' };
    const refs = ['one', 'two', 'three'].map((name) => ({ namespace, name }));
    for (const ref of refs) await stage().give(grantManifest(ref));
    const accountsGone: string[] = [];
    stage().seen.serviceAccounts.subscribe(({ object, type }) => {
      const { namespace: of, resourceVersion } = object.metadata;
      if (type === 'deleted' && of === namespace) accountsGone.push(resourceVersion);
    });
    const end = (expiresAt: string) =>
      stage().admin.patch(agentIdentities, identity, { spec: { expiresAt } }, { type: 'merge' });
    await end(new Date(Date.now() - 1_000).toISOString());
    for (const ref of refs) await stage().phase(ref, 'Expired', 'AgentExpired');
    const expired = await stage().until(stage().seen.identities, identity, (now) =>
      Boolean(now?.status.conditions?.some(({ reason }) => reason === 'IdentityExpired')),
    );
    expect(expired?.status.activeGrants).to.equal(0);
    await stage().until(stage().seen.serviceAccounts, { namespace, name: 'hallpass-triage' }, (account) => !account);
    const late = { namespace, name: 'late' };
    await stage().create(grantManifest(late));
    await stage().phase(late, 'Pending', 'AgentExpired');
    await end(new Date(Date.now() + 3_600_000).toISOString());
    await stage().phase(late, 'Active');
    for (const ref of refs) await stage().phase(ref, 'Expired', 'AgentExpired');
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    await stage().remove(agentGrants, late);
    await agent.until(podsOf(namespace), 403);
    expect(accountsGone).to.have.length(1);
    // Two watches tell in any order. What was stored first has the lower version, for both are in one etcd.
    for (const ref of refs) {
      const receipts = stage().receiptsOf(ref);
      expect(receipts.map(({ status }) => status.outcome)).to.deep.equal(['Expired']);
      for (const { metadata } of receipts)
        expect(isLaterVersion(accountsGone[0] ?? '', metadata.resourceVersion), ref.name).to.equal(true);
    }
  });
});
