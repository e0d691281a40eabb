// Clean-up: nothing that was created outlives its cause, and no namespace hangs because of us while a replica runs.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { jobAsOwner, renderBinding, renderJob, renderRole } from '../../../src/access/grant-objects.ts';
import { renderServiceAccount } from '../../../src/access/service-account.ts';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { Client } from '../../../src/kube/client.ts';
import {
  jobs,
  namespaces,
  roleBindings,
  roles,
  serviceAccounts,
  validatingAdmissionPolicyBindings,
} from '../../../src/kube/kinds.ts';
import { BY_HALLPASS, grantManifest, podsOf, useSharedStage } from './stage.ts';

const guards = join(import.meta.dirname, '..', '..', '..', 'deploy', 'guards');
const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];

describe('clean-up', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  /** hallpass's own hands, as those of a leader that was overtaken between two writes. */
  let operator: Client;

  const accountsOf = async (namespace: string) =>
    (await stage().admin.list(serviceAccounts, { namespace, labelSelector: 'hallpass.dev/identity-uid' })).items.length;
  const gone = (name: string) => stage().until(stage().seen.namespaces, { name }, (namespace) => !namespace, 45_000);
  const orphans = () => stage().metric('hallpass_orphans_removed_total');
  const withoutFinalizers = { metadata: { finalizers: [] } };

  before(() => {
    const { server, certificateAuthority, directory } = stage().playground;
    const token = async () => readFileSync(join(directory, 'hallpass.token'), 'utf8').trim();
    operator = new Client({ credentials: { server, certificateAuthority, token } });
  });
  after(() => operator?.close());

  it('at the start removes everything whose cause went while hallpass was down', async () => {
    const target = await stage().namespace('swept-target', { accepts: 'swept,swept-gone,swept-forced' });
    for (const name of ['swept', 'swept-gone', 'swept-forced']) {
      await stage().namespace(name);
      await stage().identity(name, { namespaces: [name, target] });
    }
    const both = [{}, { namespaces: [target] }];
    const refs = {
      // Its finalizer is taken off and it is deleted; its identity stays.
      released: { namespace: 'swept', name: 'released' },
      // It goes with its identity and its namespace, finalizers taken off.
      gone: { namespace: 'swept-gone', name: 'gone' },
      // Its namespace is finalized by force, with the grant still in it.
      forced: { namespace: 'swept-forced', name: 'forced' },
    };
    const given = [];
    for (const ref of Object.values(refs)) given.push(await stage().give(grantManifest(ref, { permissions: both })));
    // Not of those whose namespace goes: without a kubelet, its pod would keep that.
    const agent = await stage().agent('swept');
    await agent.until(podsOf(target), 200);

    await stage().kill();
    const { admin, seen } = stage();
    const { controllerManager } = stage().playground;
    try {
      await admin.patch(agentGrants, refs.released, withoutFinalizers, { type: 'merge' });
      await admin.delete(agentGrants, refs.released);
      await admin.patch(agentGrants, refs.gone, withoutFinalizers, { type: 'merge' });
      await admin.patch(agentIdentities, { ...refs.gone, name: 'triage' }, withoutFinalizers, { type: 'merge' });
      await admin.delete(namespaces, { name: 'swept-gone' });
      await gone('swept-gone');
      // By force and at once, so that everything is still in it.
      await controllerManager.stop();
      await admin.delete(agentGrants, refs.forced);
      await admin.delete(namespaces, { name: 'swept-forced' });
      await stage().playground.admin(['replace', '--raw', '/api/v1/namespaces/swept-forced/finalize', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'swept-forced' }, spec: {} }),
      });
      await gone('swept-forced');
      expect(await agent.asks(podsOf(target)), 'while hallpass is down').to.equal(200);
    } finally {
      await controllerManager.start();
      await stage().revive();
    }

    for (const [at, { metadata }] of given.entries()) {
      // The API server lets nobody delete anything in a namespace that is not there.
      const ghosts = Object.values(refs)[at] === refs.forced ? 3 : 0;
      const left = await stage().poll(
        () => stage().objectsOf(metadata.uid),
        (objects) => objects.length === ghosts,
      );
      expect(left.filter((object) => !object.includes('swept-forced/'))).to.deep.equal([]);
    }
    await stage().namespace('swept-forced', { enabled: false });
    for (const { metadata } of given) await stage().nothingLeft(metadata.uid);
    await stage().until(seen.grants, refs.forced, (grant) => !grant);
    expect(await agent.asks(podsOf(target))).to.equal(403);
    expect(await accountsOf('swept'), 'ServiceAccounts of identities that live').to.equal(1);
    for (const ref of Object.values(refs)) {
      expect((await stage().closed(ref))?.outcome).to.equal('Revoked');
    }
    // Of `released`, three objects in each of two namespaces; of `gone`, the three in the target.
    expect(await stage().poll(orphans, (count) => count >= 9)).to.be.at.most(9);
  });

  it('removes a ServiceAccount whose identity went without its finalizer', async () => {
    const namespace = await stage().namespace('swept-identity');
    await stage().identity(namespace);
    const before = await orphans();
    await stage().admin.patch(agentIdentities, { namespace, name: 'triage' }, withoutFinalizers, { type: 'merge' });
    await stage().admin.delete(agentIdentities, { namespace, name: 'triage' });
    await stage().poll(
      () => accountsOf(namespace),
      (count) => count === 0,
    );
    expect(await stage().poll(orphans, (count) => count > before)).to.equal(before + 1);
  });

  it('removes what carries our label without a living cause, when it appears', async () => {
    const namespace = await stage().namespace('swept-label');
    const before = await orphans();
    const grant = { namespace, name: 'never', uid: randomUUID() };
    const job = await operator.create(jobs, renderJob(grant, namespace, 600, 'hallpass'));
    await operator.create(roles, renderRole(grant, namespace, rules)).catch(() => {});
    await operator.create(roleBindings, renderBinding(grant, namespace, jobAsOwner(job.metadata))).catch(() => {});
    await operator.create(serviceAccounts, renderServiceAccount(grant));
    await stage().nothingLeft(grant.uid);
    await stage().poll(
      () => accountsOf(namespace),
      (count) => count === 0,
    );
    expect(await stage().poll(orphans, (count) => count >= before + 2)).to.be.at.least(before + 2);
  });

  it('removes what carries the label of a living grant where that grant does not reach', async () => {
    const namespace = await stage().namespace('strayed');
    const beyond = await stage().namespace('strayed-beyond');
    await stage().identity(namespace);
    const { metadata } = await stage().give(grantManifest({ namespace, name: 'here' }));
    const key = { namespace, name: metadata.name, uid: metadata.uid };
    const job = await operator.create(jobs, renderJob(key, beyond, 600, 'hallpass'));
    await operator.create(roleBindings, renderBinding(key, beyond, jobAsOwner(job.metadata))).catch(() => {});
    const left = await stage().poll(
      () => stage().objectsOf(metadata.uid),
      (objects) => !objects.some((object) => object.includes(beyond)),
    );
    expect(left).to.have.lengthOf(3);
  });

  it("ends a grant although somebody else's object has its name, and leaves that alone", async () => {
    const namespace = await stage().namespace('taken');
    const ref = { namespace, name: 'taken' };
    await stage().create(grantManifest(ref));
    const { metadata } = await stage().phase(ref, 'Pending', 'AgentNotFound');
    const foreign = { namespace, name: `hallpass-${metadata.uid}` };
    await stage().admin.delete(validatingAdmissionPolicyBindings, { name: 'hallpass-rolebindings' });
    try {
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' };
      const create = () => stage().admin.create(roleBindings, { metadata: foreign, roleRef });
      await stage().poll(
        () =>
          create().then(
            () => true,
            () => false,
          ),
        (done) => done,
      );
    } finally {
      await stage().playground.admin(['apply', '-k', guards]);
    }
    const probe = { metadata: { ...foreign, labels: { probe: 'x' } } };
    await stage().poll(
      () =>
        stage()
          .admin.patch(roleBindings, foreign, probe, { type: 'merge', dryRun: true })
          .then(() => '', String),
      (refused) => refused.includes('only hallpass creates or changes'),
    );
    await stage().identity(namespace);
    const refused = await stage().phase(ref, 'Pending', 'ForeignObject');
    expect(refused.status.message).to.contain(foreign.name);
    await stage().remove(agentGrants, ref);
    await stage().until(stage().seen.grants, ref, (grant) => !grant);
    expect((await stage().admin.get(roleBindings, foreign)).metadata.labels).to.equal(undefined);
    expect(await stage().objectsOf(metadata.uid)).to.deep.equal([]);
  });

  describe('of namespaces that are deleted with live grants', () => {
    const deleted = { namespace: 'deleted', name: 'live' };
    const reaching = { namespace: 'reaching', name: 'reaches' };
    const waiting = { namespace: 'deleted-pending', name: 'waits' };
    const kept = 'kept-target';
    const target = 'deleted-target';
    let uid: string;

    // All at once: the namespace controller takes its time with each.
    before(async () => {
      await stage().namespace(kept, { accepts: deleted.namespace });
      await stage().namespace(target, { accepts: reaching.namespace });
      for (const { namespace } of [deleted, reaching, waiting]) await stage().namespace(namespace);
      await stage().identity(deleted.namespace, { namespaces: [deleted.namespace, kept] });
      await stage().identity(reaching.namespace, { namespaces: [reaching.namespace, target] });
      const live = await stage().give(grantManifest(deleted, { permissions: [{}, { namespaces: [kept] }] }));
      uid = live.metadata.uid;
      await stage().give(grantManifest(reaching, { permissions: [{}, { namespaces: [target] }] }));
      await stage().create(grantManifest(waiting));
      await stage().phase(waiting, 'Pending', 'AgentNotFound');
    });

    it('withdraws access in a target namespace at once, and suspends the grant that reached into it', async () => {
      const agent = await stage().agent(reaching.namespace);
      await agent.until(podsOf(target), 200);
      for (const name of [deleted.namespace, target, waiting.namespace])
        await stage().admin.delete(namespaces, { name });
      const from = Date.now();
      await Promise.all([target, reaching.namespace].map((name) => agent.until(podsOf(name), 403)));
      expect(Date.now() - from, 'ms until it was refused').to.be.below(BY_HALLPASS);
      await gone(target);
      await stage().phase(reaching, 'Suspended', 'NamespaceNotFound');
    });

    it("lets the agent's namespace go, with everything that its grants had elsewhere", async () => {
      await stage().nothingLeft(uid);
      await gone(deleted.namespace);
      expect(stage().seen.grants.get(deleted)).to.equal(undefined);
      // Its identity may have been deleted before it, which ends it, too.
      expect((await stage().closed(deleted))?.reason).to.be.oneOf(['EndedByDeletion', 'AgentDeleted']);
    });

    it('lets a namespace go with a grant that was never given', async () => {
      await gone(waiting.namespace);
      expect(stage().receiptsOf(waiting)).to.deep.equal([]);
    });
  });
});
