// How access ends: on time, at once, or for now; always seen by the agent itself.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { roleBindings, serviceAccounts } from '../../../src/kube/kinds.ts';
import { configMapsOf, grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

describe('access that ends', function () {
  this.timeout(90_000);
  const stage = useSharedStage();

  /** A namespace with the agent `triage`, who passes. */
  async function passing(namespace: string) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const ref = { namespace, name: 'given' };
    const { metadata } = await stage().give(grantManifest(ref));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    return { ref, agent, uid: metadata.uid };
  }

  it('ends when the grant is deleted, and leaves nothing behind', async () => {
    const { ref, agent, uid } = await passing('lapse-deleted');
    await stage().remove(agentGrants, ref);
    await agent.until(podsOf(ref.namespace), 403);
    await stage().until(stage().seen.grants, ref, (grant) => grant === undefined);
    expect(await stage().objectsOf(uid)).to.deep.equal([]);
    const [receipt] = stage().receiptsOf(ref);
    expect(receipt?.status).to.include({ outcome: 'Revoked', reason: 'EndedByDeletion' });
  });

  it('ends for good when the identity is deleted: first the grants, then the ServiceAccount', async () => {
    const { ref, agent } = await passing('lapse-identity');
    const seenAt: string[] = [];
    stage().seen.grants.subscribe(({ object }) => {
      if (object.metadata.namespace === ref.namespace && object.status.phase === 'Expired') seenAt.push('grant');
    });
    stage().seen.serviceAccounts.subscribe(({ object, type }) => {
      if (object.metadata.namespace === ref.namespace && type === 'deleted') seenAt.push('account');
    });
    await stage().remove(agentIdentities, { namespace: ref.namespace, name: 'triage' });
    const { status } = await stage().phase(ref, 'Expired', 'AgentDeleted');
    expect(status.endedAt).to.be.a('string');
    await stage().until(stage().seen.identities, { namespace: ref.namespace, name: 'triage' }, (gone) => !gone);
    await stage().until(
      stage().seen.serviceAccounts,
      { namespace: ref.namespace, name: 'hallpass-triage' },
      (gone) => !gone,
    );
    expect(seenAt[0]).to.equal('grant');
    // The API server takes the token of a deleted account for some seconds more; it gives no right.
    expect(await agent.asks(podsOf(ref.namespace))).to.be.oneOf([401, 403]);
    // An identity of the same name is another agent.
    await stage().identity(ref.namespace);
    expect((await stage().phase(ref, 'Expired')).status.message).to.contain('was deleted');
  });

  it('ends for good when the identity expires', async () => {
    const { ref, agent } = await passing('lapse-expires');
    const expiresAt = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_000).toISOString();
    await stage().admin.patch(
      agentIdentities,
      { namespace: ref.namespace, name: 'triage' },
      { spec: { expiresAt } },
      { type: 'merge' },
    );
    await agent.until(podsOf(ref.namespace), 403);
    expect(Date.now()).to.be.at.least(Date.parse(expiresAt));
    await stage().phase(ref, 'Expired', 'AgentExpired');
    await stage().until(
      stage().seen.serviceAccounts,
      { namespace: ref.namespace, name: 'hallpass-triage' },
      (gone) => !gone,
    );
    const expired = await stage().until(
      stage().seen.identities,
      { namespace: ref.namespace, name: 'triage' },
      (identity) =>
        Boolean(
          identity?.status.conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'IdentityExpired'),
        ),
    );
    expect(expired?.status.serviceAccount).to.equal(undefined);
  });

  it('ends with the last of two overlapping grants, not with the first', async () => {
    const { ref, agent } = await passing('lapse-overlap');
    const second = { namespace: ref.namespace, name: 'second' };
    await stage().give(grantManifest(second, { permissions: [{}, { resources: ['configmaps'] }] }));
    await agent.until(configMapsOf(ref.namespace), 200);
    await stage().remove(agentGrants, ref);
    await stage().until(stage().seen.grants, ref, (grant) => grant === undefined);
    expect(await agent.asks(podsOf(ref.namespace))).to.equal(200);
    await stage().remove(agentGrants, second);
    await agent.until(podsOf(ref.namespace), 403);
  });

  it('ends in every namespace that the grant reaches into', async () => {
    const home = await stage().namespace('lapse-many');
    const others = ['lapse-many-a', 'lapse-many-b'];
    for (const other of others) await stage().namespace(other, { accepts: home });
    await stage().identity(home, { namespaces: [home, ...others] });
    const agent = await stage().agent(home);
    const ref = { namespace: home, name: 'wide' };
    await stage().give(grantManifest(ref, { permissions: [{ namespaces: [home, ...others] }], duration: '6s' }));
    for (const namespace of [home, ...others]) await agent.until(podsOf(namespace), 200);
    for (const namespace of [home, ...others]) await agent.until(podsOf(namespace), 403);
    const { metadata } = await stage().phase(ref, 'Expired');
    await stage().nothingLeft(metadata.uid);
  });

  it('is withdrawn at once when the namespace is no longer enabled, by whichever of its two bindings', async () => {
    const { ref, agent } = await passing('lapse-disabled');
    await stage().remove(roleBindings, { namespace: ref.namespace, name: 'hallpass-issuer' });
    await agent.until(podsOf(ref.namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'NamespaceNotEnabled');
    expect(status.expiresAt).to.be.a('string');
  });

  it('can be far ahead: an end past the longest timer is kept to the second', async () => {
    const namespace = await stage().namespace('lapse-far');
    await stage().identity(namespace);
    const ref = { namespace, name: 'far' };
    const { status } = await stage().give(grantManifest(ref, { duration: '2000h' }));
    expect(Date.parse(status.expiresAt ?? '') - Date.parse(status.startTime ?? '')).to.equal(2000 * 3600_000);
    const job = stage()
      .seen.jobs.list()
      .find(({ metadata }) => metadata.namespace === namespace);
    expect(job?.spec.activeDeadlineSeconds).to.be.within(2000 * 3600, 2000 * 3600 + 7);
    expect((await stage().phase(ref, 'Active')).status.phase).to.equal('Active');
  });

  it('is not lived on by a spec that an earlier version took and this one refuses', async () => {
    const { ref, agent } = await passing('lapse-invalid');
    const crd = 'agentgrants.hallpass.dev';
    const { playground } = stage();
    // As if stored by a version with other rules: the schema is opened, an end that is none is stored, the schema is closed.
    await playground.admin(['patch', 'crd', crd, '--type=json', '-p', OPEN]);
    await stage().poll(
      () =>
        stage()
          .admin.patch(agentGrants, ref, { spec: { validity: { duration: 'for ever' } } }, { type: 'merge' })
          .then(
            () => true,
            () => false,
          ),
      Boolean,
    );
    await agent.until(podsOf(ref.namespace), 403);
    await playground.admin(['apply', '-k', 'crds', '--server-side', '--force-conflicts']);
    const { status } = await stage().phase(ref, 'Pending', 'InvalidSpec');
    expect(status.message).to.contain('spec.validity.duration');
    expect(status.conditions?.find(({ type }) => type === 'Stalled')?.status).to.equal('True');
  });
});

/** Lets anything be stored as a spec. */
const OPEN = JSON.stringify([
  {
    op: 'replace',
    path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec',
    value: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
  { op: 'remove', path: '/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations' },
]);

describe('the identity of an agent', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  it('is a ServiceAccount without rights, without a mounted token and without a token Secret', async () => {
    const namespace = await stage().namespace('identity-plain');
    await stage().identity(namespace);
    const account = await stage().admin.get(serviceAccounts, { namespace, name: 'hallpass-triage' });
    expect(account.automountServiceAccountToken).to.equal(false);
    const identity = stage().seen.identities.get({ namespace, name: 'triage' });
    expect(identity?.status.serviceAccount).to.deep.equal({ name: 'hallpass-triage', uid: account.metadata.uid });
    const secrets = await stage().playground.admin(['get', 'secrets', '-n', namespace, '-o', 'name']);
    expect(secrets.trim()).to.equal('');
    const agent = await stage().agent(namespace);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    expect(await agent.asks('/api/v1/namespaces')).to.equal(403);
  });

  it('is made anew when its ServiceAccount is deleted, with a warning that pods must be restarted', async () => {
    const namespace = await stage().namespace('identity-anew');
    await stage().identity(namespace);
    const ref = { namespace, name: 'hallpass-triage' };
    const before = stage().seen.identities.get({ namespace, name: 'triage' })?.status.serviceAccount?.uid;
    await stage().remove(serviceAccounts, ref);
    const identity = await stage().until(
      stage().seen.identities,
      { namespace, name: 'triage' },
      (now) => now?.status.serviceAccount !== undefined && now.status.serviceAccount.uid !== before,
    );
    const { metadata } = await stage().admin.get(serviceAccounts, ref);
    expect(identity?.status.serviceAccount?.uid).to.equal(metadata.uid);
    const events = await stage().poll(
      () => stage().playground.admin(['get', 'events', '-n', namespace]),
      (text) => text.includes('ServiceAccountRecreated'),
    );
    expect(events).to.match(/Warning.*restart the pods/);
  });

  it('waits, with the command that helps, where its namespace is not enabled', async () => {
    const namespace = await stage().namespace('identity-waits', { enabled: false });
    await stage().admin.createRaw(
      `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentidentities`,
      identityManifest(namespace),
    );
    const ref = { namespace, name: 'triage' };
    const waiting = await stage().until(stage().seen.identities, ref, (now) =>
      Boolean(now?.status.conditions?.some(({ reason }) => reason === 'NamespaceNotEnabled')),
    );
    const ready = waiting?.status.conditions?.find(({ type }) => type === 'Ready');
    expect(ready?.message).to.contain(`kubectl apply -n ${namespace} -k deploy/namespace`);
    await stage().playground.admin(['apply', '-n', namespace, '-k', 'deploy/namespace']);
    await stage().until(stage().seen.identities, ref, (now) => now?.status.serviceAccount !== undefined);
  });

  it('shows what its agent holds by bindings to groups, as long as it does', async () => {
    const namespace = await stage().namespace('identity-standing');
    await stage().identity(namespace);
    const ref = { namespace, name: 'triage' };
    const standing = (status: string) =>
      stage().until(stage().seen.identities, ref, (now) =>
        Boolean(now?.status.conditions?.some((found) => found.type === 'StandingAccess' && found.status === status)),
      );
    await standing('False');
    await stage().playground.admin([
      'create',
      'rolebinding',
      'everybody',
      '-n',
      namespace,
      '--clusterrole=view',
      `--group=system:serviceaccounts:${namespace}`,
    ]);
    const found = await standing('True');
    expect(found?.status.standingAccess).to.deep.equal([
      {
        binding: 'RoleBinding',
        namespace,
        name: 'everybody',
        role: 'ClusterRole/view',
        subject: `Group system:serviceaccounts:${namespace}`,
      },
    ]);
    await stage().remove(roleBindings, { namespace, name: 'everybody' });
    await standing('False');
  });
});

describe('what gives access', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  it('is put back within a second when somebody deletes it, with an event', async () => {
    const namespace = await stage().namespace('drift-deleted');
    await stage().identity(namespace);
    const ref = { namespace, name: 'mended' };
    const { metadata, status } = await stage().give(grantManifest(ref));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    const object = { namespace, name: `hallpass-${metadata.uid}` };
    const uids = () => ({
      rolebinding: stage().seen.roleBindings.get(object)?.metadata.uid,
      role: stage().seen.roles.get(object)?.metadata.uid,
    });
    for (const kind of ['rolebinding', 'role'] as const) {
      const before = uids()[kind];
      const from = performance.now();
      await stage().playground.admin(['delete', kind, object.name, '-n', namespace]);
      await stage().poll(
        async () => uids()[kind],
        (uid) => uid !== undefined && uid !== before,
        5_000,
      );
      console.log(
        `      a deleted ${kind} was back ${Math.round(performance.now() - from)} ms after kubectl delete began`,
      );
    }
    await agent.until(podsOf(namespace), 200);
    const after = await stage().phase(ref, 'Active');
    expect(after.status.expiresAt).to.equal(status.expiresAt);
    await stage().poll(
      () => stage().playground.admin(['get', 'events', '-n', namespace]),
      (text) => /Repaired/.test(text),
    );
  });
});
