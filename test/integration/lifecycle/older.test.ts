// What is older than today's guards and schemas, or was changed while neither they nor hallpass were there.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { Client, isForbidden, isInvalid } from '../../../src/kube/client.ts';
import {
  namespaces,
  roleBindings,
  roles,
  serviceAccounts,
  validatingAdmissionPolicyBindings,
} from '../../../src/kube/kinds.ts';
import { createPolicy } from '../endings/policies.ts';
import { grantManifest, identityManifest, openStage, podsOf, type Stage } from '../endings/stage.ts';

const rbac = 'rbac.authorization.k8s.io';
const kinds = '/apis/hallpass.dev/v1alpha1';

describe('hallpass and what is older than its guards', function () {
  this.timeout(90_000);
  let stage: Stage;

  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());
  afterEach(() => expect(stage.problems, 'inconsistent statuses').to.deep.equal([]));

  /** Writes what the guards of these names would refuse. They hold again once hallpass says so. */
  async function unguarded(guards: string[], writes: (() => Promise<unknown>)[]): Promise<void> {
    for (const name of guards) await stage.admin.delete(validatingAdmissionPolicyBindings, { name });
    for (const write of writes) {
      // The API server takes a moment to drop them.
      await stage.poll(
        () =>
          write().then(
            () => true,
            (error: unknown) => {
              if (!isForbidden(error) && !isInvalid(error)) throw error;
              return false;
            },
          ),
        Boolean,
      );
    }
  }
  const guarded = () => stage.playground.admin(['apply', '-k', 'deploy/guards']);
  const whole = () =>
    stage.poll(
      () => stage.metric('hallpass_guard_problems'),
      (problems) => problems === 0,
    );

  it('shows the standing access of agents by bindings that name them, as long as there are any', async () => {
    const namespace = await stage.namespace('older-bindings');
    await stage.identity(namespace);
    const ref = { namespace, name: 'triage' };
    const account = { kind: 'ServiceAccount', name: 'hallpass-triage', namespace };
    const user = { apiGroup: rbac, kind: 'User', name: `system:serviceaccount:${namespace}:hallpass-triage` };
    const group = { apiGroup: rbac, kind: 'Group', name: 'system:serviceaccounts' };
    const bind = (name: string, subject: object, inNamespace: boolean) => () =>
      stage.admin.createRaw(
        `/apis/${rbac}/v1/${inNamespace ? `namespaces/${namespace}/role` : 'clusterrole'}bindings`,
        {
          apiVersion: `${rbac}/v1`,
          kind: inNamespace ? 'RoleBinding' : 'ClusterRoleBinding',
          metadata: { name },
          roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'system:service-account-issuer-discovery' },
          subjects: [{ apiGroup: rbac, kind: 'User', name: 'somebody' }, subject],
        },
      );
    await unguarded(
      ['hallpass-agent-bindings'],
      [
        bind('direct', account, true),
        bind('by-user-name', user, true),
        bind('everywhere', account, false),
        bind('all-accounts', group, false),
      ],
    );
    await guarded();
    const role = 'ClusterRole/system:service-account-issuer-discovery';
    const direct = `ServiceAccount ${namespace}/hallpass-triage`;
    const found = await stage.until(stage.seen.identities, ref, (now) => now?.status.standingAccess?.length === 4);
    expect(found?.status.standingAccess).to.deep.equal([
      { binding: 'ClusterRoleBinding', name: 'all-accounts', role, subject: 'Group system:serviceaccounts' },
      { binding: 'ClusterRoleBinding', name: 'everywhere', role, subject: direct },
      { binding: 'RoleBinding', namespace, name: 'by-user-name', role, subject: `User ${user.name}` },
      { binding: 'RoleBinding', namespace, name: 'direct', role, subject: direct },
    ]);
    const standing = found?.status.conditions?.find(({ type }) => type === 'StandingAccess');
    expect(standing).to.include({ status: 'True', reason: 'RightsFound' });
    expect(standing?.message).to.contain(`RoleBinding ${namespace}/direct gives ${role} to ${direct}`);
    await stage.playground.admin(['delete', 'rolebindings', 'direct', 'by-user-name', '-n', namespace]);
    await stage.playground.admin(['delete', 'clusterrolebindings', 'everywhere', 'all-accounts']);
    await stage.until(stage.seen.identities, ref, (now) =>
      Boolean(now?.status.conditions?.some(({ type, status }) => type === 'StandingAccess' && status === 'False')),
    );
    await whole();
  });

  let taken: string;
  it("takes over no ServiceAccount that has an agent's name", async () => {
    const namespace = await stage.namespace('older-account');
    const account = { namespace, name: 'hallpass-triage' };
    await unguarded(
      ['hallpass-serviceaccounts'],
      [() => stage.admin.create(serviceAccounts, { metadata: account, automountServiceAccountToken: true })],
    );
    await guarded();
    const { uid } = (await stage.admin.get(serviceAccounts, account)).metadata;
    await stage.admin.createRaw(`${kinds}/namespaces/${namespace}/agentidentities`, identityManifest(namespace));
    const ref = { namespace, name: 'triage' };
    const waiting = await stage.until(stage.seen.identities, ref, (now) =>
      Boolean(now?.status.conditions?.some(({ reason }) => reason === 'ForeignObject')),
    );
    expect(waiting?.status.serviceAccount).to.equal(undefined);
    expect(waiting?.status.conditions?.find(({ type }) => type === 'Ready')?.message).to.contain(
      `ServiceAccount hallpass-triage in namespace ${namespace} was not made by hallpass`,
    );
    expect((await stage.admin.get(serviceAccounts, account)).metadata.uid).to.equal(uid);
    await stage.admin.delete(serviceAccounts, account);
    taken = uid;
    await whole();
  });

  it('gives back nothing that was edited while a guard is missing, to anyone', async () => {
    const namespace = await stage.namespace('older-edited');
    await stage.identity(namespace);
    const ref = { namespace, name: 'edited' };
    const { metadata } = await stage.give(grantManifest(ref));
    const object = { namespace, name: `hallpass-${metadata.uid}` };
    const eve = new Client({ credentials: await stage.playground.credentialsFor({ user: 'eve', groups: [] }) });
    const sees = () =>
      eve.getRaw(podsOf(namespace)).then(
        () => true,
        (error: unknown) => {
          if (!isForbidden(error)) throw error;
          return false;
        },
      );
    try {
      const subjects = [{ apiGroup: rbac, kind: 'User', name: 'eve' }];
      await unguarded(
        ['hallpass-rolebindings'],
        [() => stage.admin.patch(roleBindings, object, { subjects }, { type: 'merge' })],
      );
      await stage.phase(ref, 'Suspended', 'GuardsMissing');
      await stage.poll(sees, (seen) => !seen);
      expect(stage.seen.roleBindings.get(object)).to.equal(undefined);
    } finally {
      eve.close();
      await guarded();
    }
    await whole();
    await stage.phase(ref, 'Suspended', 'Restoring');
    await stage.remove(agentGrants, ref);
  });

  it("leaves alone what carries a grant's label and is no grant's, when the grants of its namespace are withdrawn together", async () => {
    const namespace = await stage.namespace('older-labelled');
    await stage.identity(namespace);
    // More than hallpass works on at once: what it need not wait for goes by itself.
    const refs = Array.from({ length: 80 }, (_, at) => ({ namespace, name: `grant-${at}` }));
    await Promise.all(refs.map((ref) => stage.create(grantManifest(ref))));
    const given = await Promise.all(refs.map((ref) => stage.phase(ref, 'Active')));
    // By their names the API server comes to them first.
    const copies = given.map(({ metadata }) => ({
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name: `a-copy-${metadata.uid}`, labels: { 'hallpass.dev/grant': metadata.uid } },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'view' },
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'somebody' }],
    }));
    const path = `/apis/${rbac}/v1/namespaces/${namespace}/rolebindings`;
    const agent = await stage.agent(namespace);
    try {
      const writes = copies.map((copy) => () => stage.admin.createRaw(path, copy));
      await unguarded(['hallpass-rolebindings'], writes);
    } finally {
      await guarded();
    }
    await whole();
    await Promise.all(refs.map((ref) => stage.phase(ref, 'Active')));
    await agent.until(podsOf(namespace), 200);
    // The guard is there again, and may not be enforced yet: the API server takes a moment.
    await createPolicy(stage, 'older-labelled', namespace, { freeze: { reason: 'a test' } });
    await Promise.all(refs.map((ref) => stage.phase(ref, 'Suspended')));
    await agent.until(podsOf(namespace), 403);
    const { items } = await stage.admin.list(roleBindings, { namespace, labelSelector: 'hallpass.dev/grant' });
    expect(items.map(({ metadata }) => metadata.name).sort()).to.deep.equal(
      copies.map(({ metadata }) => metadata.name).sort(),
    );
    await Promise.all(refs.map((ref) => stage.remove(agentGrants, ref)));
  });

  it('makes the ServiceAccount of an agent once the one that had its name is gone', async () => {
    const ref = { namespace: 'older-account', name: 'triage' };
    const made = await stage.until(
      stage.seen.identities,
      ref,
      (now) => now?.status.serviceAccount !== undefined,
      30_000,
    );
    expect(made?.status.serviceAccount?.uid).to.not.equal(taken);
  });

  it('puts right at its start what was edited while neither it nor its guards were there', async () => {
    const namespace = await stage.namespace('older-down');
    await stage.identity(namespace);
    const ref = { namespace, name: 'edited' };
    const { metadata, status } = await stage.give(grantManifest(ref));
    const object = { namespace, name: `hallpass-${metadata.uid}` };
    await stage.kill();
    const rules = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
    const subjects = [
      { apiGroup: rbac, kind: 'User', name: 'eve' },
      { kind: 'ServiceAccount', name: 'hallpass-triage', namespace },
    ];
    await unguarded(
      ['hallpass-roles', 'hallpass-rolebindings', 'hallpass-agent-bindings'],
      [
        () => stage.admin.patch(roles, object, { rules }, { type: 'merge' }),
        () => stage.admin.patch(roleBindings, object, { subjects }, { type: 'merge' }),
      ],
    );
    await guarded();
    const agent = await stage.agent(namespace);
    await agent.until(`/api/v1/namespaces/${namespace}/secrets`, 200);
    await stage.revive();
    await agent.until(`/api/v1/namespaces/${namespace}/secrets`, 403);
    await stage.until(stage.seen.roleBindings, object, (now) => now?.subjects?.[0]?.name === 'hallpass-triage');
    expect(stage.seen.roleBindings.get(object)?.subjects).to.have.lengthOf(1);
    expect(stage.seen.roles.get(object)?.rules).to.deep.equal([
      { verbs: ['list'], apiGroups: [''], resources: ['pods'] },
    ]);
    await agent.until(podsOf(namespace), 200);
    const after = await stage.phase(ref, 'Active');
    expect(after.status).to.include({ startTime: status.startTime, expiresAt: status.expiresAt });
    await stage.poll(
      () => stage.playground.admin(['get', 'events', '-n', namespace]),
      (text) => /Warning +Repaired/.test(text),
    );
  });

  describe('and its schemas', () => {
    const crds = ['agentgrants.hallpass.dev', 'agentidentities.hallpass.dev'];
    /** Lets anything be stored as a spec, as an earlier version might have. */
    const lax = JSON.stringify([
      {
        op: 'replace',
        path: '/spec/versions/0/schema/openAPIV3Schema',
        value: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    ]);
    const namespace = 'older-schema';
    const live = { namespace, name: 'live' };
    const { spec } = grantManifest(live);
    /** Of the right form, and beyond a limit or against a rule: what the API server still lets be changed elsewhere. */
    const wrong = {
      'no-end': { ...spec, validity: {} },
      'no-verb': { ...spec, permissions: [{ apiGroups: [''], resources: ['pods'], verbs: [] }] },
      'long-task': { ...spec, task: { description: 'x'.repeat(2_000) } },
      'hostile-task': { ...spec, task: { description: 'to\u202e\u009b31m\nday' } },
      endless: { ...spec, validity: { notAfter: '9999-99-99T99:99:99Z' } },
    };
    /** Of another form, which the API server lets nobody change but into a valid one. */
    const misshapen = {
      nothing: undefined,
      text: 'give me everything',
      'no-list': { ...spec, permissions: 'all' },
    };
    const refs = (specs: object) => Object.keys(specs).map((name) => ({ namespace, name }));

    before(async () => {
      await stage.namespace(namespace);
      await stage.identity(namespace);
      await stage.give(grantManifest(live));
      const agent = await stage.agent(namespace);
      await agent.until(podsOf(namespace), 200);
      for (const crd of crds) await stage.playground.admin(['patch', 'crd', crd, '--type=json', '-p', lax]);
      // Until the API server takes the lax schema, the first of them is refused.
      for (const [name, spec] of Object.entries({ ...wrong, ...misshapen })) {
        await unguarded(
          [],
          [
            () =>
              stage.admin.createRaw(`${kinds}/namespaces/${namespace}/agentgrants`, {
                apiVersion: 'hallpass.dev/v1alpha1',
                kind: 'AgentGrant',
                metadata: { namespace, name },
                spec,
              }),
          ],
        );
      }
      await unguarded(
        [],
        [
          () =>
            stage.admin.patch(
              agentIdentities,
              { namespace, name: 'triage' },
              { spec: { boundary: 'none' } },
              { type: 'merge' },
            ),
        ],
      );
      await agent.until(podsOf(namespace), 403);
      await stage.playground.admin(['apply', '-k', 'crds', '--server-side', '--force-conflicts']);
    });

    it('give no access for a grant whose stored spec they would refuse, and say which field to correct', async () => {
      for (const ref of refs({ ...wrong, ...misshapen })) {
        const { status } = await stage.phase(ref, 'Pending', 'InvalidSpec');
        expect(status.message, ref.name).to.match(/the stored spec is not one that this version accepts \(.*spec/);
        expect(status.conditions?.find(({ type }) => type === 'Stalled')?.status).to.equal('True');
      }
      expect(stage.seen.receipts.list().filter(({ spec }) => spec?.grant.namespace === namespace)).to.have.lengthOf(1);
    });

    it('suspend the grants of an identity whose stored spec they would refuse, until it is corrected', async () => {
      const { status } = await stage.phase(live, 'Suspended', 'AgentNotReady');
      expect(status.message).to.contain('is not valid').and.contain('spec.boundary');
      const ref = { namespace, name: 'triage' };
      await stage.until(stage.seen.identities, ref, (now) =>
        Boolean(now?.status.conditions?.some(({ type, reason }) => type === 'Stalled' && reason === 'InvalidSpec')),
      );
      await stage.admin.patch(agentIdentities, ref, { spec: { boundary: null } }, { type: 'merge' });
      await stage.phase(live, 'Suspended', 'Restoring');
    });

    it('let such a grant be deleted: at once, or once its spec is corrected where the API server insists on that', async () => {
      for (const ref of refs({ ...wrong, ...misshapen })) await stage.remove(agentGrants, ref);
      for (const ref of refs(wrong)) await stage.until(stage.seen.grants, ref, (grant) => !grant);
      for (const ref of refs(misshapen)) {
        await stage.admin.patch(agentGrants, ref, { spec }, { type: 'merge' });
        await stage.until(stage.seen.grants, ref, (grant) => !grant);
      }
      await stage.playground.admin(['delete', 'pods', '--all', '-n', namespace, '--force', '--grace-period=0']);
      await stage.admin.delete(namespaces, { name: namespace });
      await stage.until(stage.seen.namespaces, { name: namespace }, (gone) => !gone, 40_000);
    });
  });
});
