// Attacks on what hallpass makes: rights taken, kept or prolonged by who may write Roles, bindings, Jobs and accounts.
import { expect } from 'chai';
import type { Call } from './caller.ts';
import { dryRun, passesGuards, refusedByGuard, remove, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const at = {
  role: `${made.rbac}/roles/${made.uidName}`,
  binding: `${made.rbac}/rolebindings/${made.uidName}`,
  job: `${made.batch}/jobs/${made.uidName}`,
  account: `${made.account.path}/hallpass-bot`,
};
const view = { kind: 'ClusterRole', name: 'view' };
const patch = (path: string, body: object): Call => ({ method: 'PATCH', path, body });
const deletion = (path: string, body?: object): Call => ({ method: 'DELETE', path, body });

export function grantObjects(twins: () => Twins): void {
  const role = { by: 'hallpass-roles', says: /Role team\/hallpass-\S+ has a name or label of hallpass's.*AgentGrant/ };
  const binding = { by: 'hallpass-rolebindings', says: /RoleBinding team\/hallpass-\S+ .*AgentGrant \(team\/triage\)/ };
  const job = { by: 'hallpass-jobs', says: /Job team\/hallpass-\S+ has a name or label of hallpass's/ };

  it('keep the rules that hallpass wrote', async () => {
    const more = patch(at.role, { rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'create'] }] });
    await refusedByGuard(twins(), 'owner', more, role);
  });

  it('keep the subjects that hallpass wrote', async () => {
    const me = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'editor' };
    await refusedByGuard(twins(), 'owner', patch(at.binding, { subjects: [me] }), binding);
  });

  it('stay owned by the dead-man Job', async () => {
    await refusedByGuard(twins(), 'owner', patch(at.binding, { metadata: { ownerReferences: null } }), binding);
    const finalizers = ['example.com/for-ever'];
    await refusedByGuard(twins(), 'owner', patch(at.binding, { metadata: { finalizers } }), binding);
  });

  it('keep the labels that hallpass finds them by', async () => {
    const labels = { 'hallpass.dev/grant': null };
    await refusedByGuard(twins(), 'owner', patch(at.binding, { metadata: { labels } }), {
      ...binding,
      says: /RoleBinding team\/hallpass-\S+ has a name or label of hallpass's/,
    });
    await refusedByGuard(twins(), 'owner', patch(at.role, { metadata: { labels } }), role);
    await refusedByGuard(twins(), 'owner', patch(at.job, { metadata: { labels } }), job);
  });

  it('are not made by others, neither by name nor by label', async () => {
    const labels = made.grantLabels(made.otherUid);
    await refusedByGuard(twins(), 'owner', made.roleNamed('hallpass-readers', {}, 'get'), role);
    await refusedByGuard(twins(), 'owner', made.roleNamed(made.otherName, {}, 'get'), role);
    await refusedByGuard(twins(), 'owner', made.roleNamed('mine', labels, 'get'), { ...role, says: /Role team\/mine/ });
    await refusedByGuard(twins(), 'owner', made.bindingNamed(made.otherName, { labels, roleRef: view }), binding);
    await refusedByGuard(twins(), 'owner', made.jobNamed(made.otherName), job);
    await refusedByGuard(twins(), 'editor', made.jobNamed('mine', labels), { ...job, says: /Job team\/mine/ });
  });

  it('leave the namespace its own Roles, bindings and Jobs', async () => {
    await passesGuards(twins(), 'owner', made.roleNamed('readers-of-hallpass', {}, 'get'));
    await passesGuards(twins(), 'owner', made.roleNamed('hallpass', {}, 'get'));
    await passesGuards(twins(), 'owner', made.bindingNamed('hallpass-readers', { roleRef: view }));
    await passesGuards(twins(), 'editor', made.jobNamed('nightly'));
    await passesGuards(twins(), 'owner', deletion(`${made.enabling[0].path}/hallpass-grantable`));
  });

  it('keep their deadline: the Job is neither suspended nor prolonged', async () => {
    await refusedByGuard(twins(), 'editor', patch(at.job, { spec: { suspend: true } }), job);
    await refusedByGuard(twins(), 'editor', patch(at.job, { spec: { activeDeadlineSeconds: 999_999 } }), job);
    await refusedByGuard(twins(), 'editor', patch(at.job, { spec: { ttlSecondsAfterFinished: 999_999 } }), job);
    await refusedByGuard(twins(), 'editor', patch(at.job, { metadata: { finalizers: ['example.com/x'] } }), job);
    await passesGuards(twins(), 'operator', patch(at.job, { spec: { activeDeadlineSeconds: 1800 } }));
  });

  it('leave the status of the Job to the Job controller', async () => {
    const status = patch(`${at.job}/status`, { metadata: { labels: { 'hallpass.dev/grant': null } } });
    await refusedByGuard(twins(), 'insider', status, { by: 'hallpass-jobs', says: /only the Job controller writes/ });
  });

  it('do not lose their Job while they stay themselves', async () => {
    const reason = { by: 'hallpass-jobs', says: /only together with the access that it owns/ };
    // Without a policy the API leaves what a Job owns alone.
    await refusedByGuard(twins(), 'editor', deletion(at.job), reason);
    await refusedByGuard(twins(), 'editor', deletion(at.job, { propagationPolicy: 'Orphan' }), reason);
    await refusedByGuard(twins(), 'editor', deletion(at.job, { orphanDependents: true }), reason);
    await refusedByGuard(twins(), 'editor', deletion(`${made.batch}/jobs?labelSelector=hallpass.dev/grant`), reason);
    // In the foreground it would wait for what a tenant made depend on it, and own a new binding in vain.
    await refusedByGuard(twins(), 'editor', deletion(at.job, { propagationPolicy: 'Foreground' }), reason);
    await passesGuards(twins(), 'editor', deletion(at.job, { propagationPolicy: 'Background' }));
  });

  it('can be deleted by who may delete in the namespace, which only ends access', async () => {
    await passesGuards(twins(), 'owner', deletion(at.binding));
    await passesGuards(twins(), 'owner', deletion(at.role));
  });

  it('are taken down by core Kubernetes when the deadline passes', async () => {
    const { operator } = twins().guarded.callers;
    const uid = '22222222-2222-4333-8444-555555555555';
    const name = `hallpass-${uid}`;
    const labels = made.grantLabels(uid);
    await succeed(operator, made.roleNamed(name, labels));
    const owner = await succeed(operator, made.jobNamed(name, labels));
    const ownerReferences = made.ownedBy(name, owner.metadata.uid);
    const subjects = [made.agentSubject];
    await succeed(operator, made.bindingNamed(name, { labels, ownerReferences, subjects }));
    await succeed(operator, patch(`${made.batch}/jobs/${name}`, { spec: { activeDeadlineSeconds: 1 } }));
    const { code } = await until(
      operator,
      { method: 'GET', path: `${made.rbac}/rolebindings/${name}` },
      (answer) => answer.code === 404,
    );
    expect(code).to.equal(404);
    await remove(operator, `${made.rbac}/roles/${name}`);
  });

  it('are taken down with their namespace, whatever a tenant did to it', async () => {
    const { operator, root } = twins().guarded.callers;
    const call = { method: 'POST', path: '/api/v1/namespaces', body: made.namespace('doomed') } as const;
    await succeed(root, call);
    const moved = (one: Call): Call => ({ ...one, path: one.path.replace('/team/', '/doomed/') });
    for (const one of made.enabling) await succeed(root, moved(one));
    await until(operator, dryRun(moved(made.role)), ({ code }) => code === 201);
    const job = await succeed(operator, moved(made.job));
    await succeed(operator, moved(made.role));
    await succeed(operator, moved(made.account));
    await succeed(operator, moved(made.roleBinding(job.metadata.uid)));
    await succeed(operator, moved(made.bindingNaming([made.agentSubject], job.metadata.uid)));
    await succeed(root, moved(made.grant('last', {})));
    await remove(root, '/api/v1/namespaces/doomed');
    const release = moved(patch(`${made.ours}/agentgrants/last`, { metadata: { finalizers: null } }));
    await until(operator, release, ({ code }) => code === 200 || code === 404);
    await until(root, { method: 'GET', path: '/api/v1/namespaces/doomed' }, ({ code }) => code === 404);
  });
}

export function accounts(twins: () => Twins): void {
  const reason = { by: 'hallpass-serviceaccounts', says: /it is an agent, and only hallpass creates or changes it/ };

  it('are not made by others, neither by name nor by label', async () => {
    const account = (metadata: object) =>
      ({
        method: 'POST',
        path: made.account.path,
        body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
      }) as const;
    await refusedByGuard(twins(), 'editor', account({ name: 'hallpass-mine' }), reason);
    const labels = { 'hallpass.dev/identity-uid': made.uid };
    await refusedByGuard(twins(), 'editor', account({ name: 'mine', labels }), reason);
    await passesGuards(twins(), 'editor', account({ name: 'hallpass' }));
  });

  it('mount no token by themselves, and carry no cloud identity that a tenant wrote', async () => {
    await refusedByGuard(twins(), 'editor', patch(at.account, { automountServiceAccountToken: true }), reason);
    const annotations = { 'cloud.example.com/role': 'admin' };
    await refusedByGuard(twins(), 'editor', patch(at.account, { metadata: { annotations } }), reason);
    await refusedByGuard(twins(), 'editor', patch(at.account, { metadata: { finalizers: ['example.com/x'] } }), reason);
  });
}

export function bindings(twins: () => Twins): void {
  const reason = { by: 'hallpass-agent-bindings', says: /hold nothing by bindings of people.*AgentGrant/ };
  const user = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'system:serviceaccount:team:hallpass-bot' };

  it('give an agent nothing, as ServiceAccount or as user', async () => {
    for (const subjects of [[made.agentSubject], [user], [{ ...user, name: 'somebody' }, user]]) {
      await refusedByGuard(twins(), 'owner', made.bindingNamed('standing', { roleRef: view, subjects }), reason);
    }
  });

  it('give an agent nothing in the whole cluster', async () => {
    const { body } = made.bindingNamed('standing', { roleRef: view, subjects: [made.agentSubject] });
    const call = {
      method: 'POST',
      path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      body: { ...Object(body), kind: 'ClusterRoleBinding' },
    } as const;
    await refusedByGuard(twins(), 'insider', call, reason);
    await refusedByGuard(twins(), 'root', call, reason);
  });

  it('are not turned into one that does', async () => {
    const theirs = `${made.rbac}/rolebindings/editor`;
    await refusedByGuard(twins(), 'owner', patch(theirs, { subjects: [made.agentSubject] }), reason);
    await passesGuards(twins(), 'owner', patch(theirs, { subjects: [{ ...user, name: 'somebody' }] }));
  });
}

export function operator(twins: () => Twins): void {
  const labels = made.grantLabels(made.otherUid);
  const writes = (by: string) => ({ by, says: /hallpass itself may write only/ });
  const deletes = (by: string) => ({ by, says: /hallpass itself may delete only/ });

  it('writes Roles of its own names and labels only', async () => {
    await refusedByGuard(twins(), 'operator', made.roleNamed('mine', labels), writes('hallpass-roles'));
    await refusedByGuard(twins(), 'operator', made.roleNamed(made.otherName), writes('hallpass-roles'));
    const stranger = made.roleNamed(made.otherName, made.grantLabels(made.uid));
    await refusedByGuard(twins(), 'operator', stranger, writes('hallpass-roles'));
    await passesGuards(twins(), 'operator', made.roleNamed(made.otherName, labels));
  });

  it('hands on no right by which access is made, though it holds some where it issues', async () => {
    const { body } = made.roleNamed(made.otherName, labels);
    const role = (...rules: object[]): Call => ({ ...made.role, body: { ...Object(body), rules } });
    const reason = { by: 'hallpass-roles', says: /without rules over RBAC, ServiceAccounts, kinds of hallpass/ };
    const read = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
    const bind = { apiGroups: ['rbac.authorization.k8s.io'], resources: ['rolebindings'], verbs: ['create'] };
    const become = { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['create'] };
    const change = { apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['patch'] };
    const run = { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create'] };
    for (const rule of [bind, become, change, run]) await refusedByGuard(twins(), 'operator', role(read, rule), reason);
    await passesGuards(twins(), 'operator', role({ ...run, verbs: ['get', 'list', 'watch'] }));
    const anything = role({ apiGroups: ['*'], resources: ['*'], verbs: ['*'] });
    const all = await twins().guarded.callers.operator.call(dryRun(anything));
    expect(all.code, 'whether by the guard or by the API server').to.equal(403);
    await passesGuards(twins(), 'operator', role(read));
    await passesGuards(twins(), 'operator', role());
  });

  it('binds agents only, and only the Role that it wrote', async () => {
    const one = (o: object) =>
      made.bindingNamed(made.uidName.replace('1', '3'), { labels: made.grantLabels(made.uid.replace('1', '3')), ...o });
    const reason = writes('hallpass-rolebindings');
    const person = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'editor' };
    const roleRef = { name: made.uidName };
    await refusedByGuard(
      twins(),
      'operator',
      one({ roleRef: { kind: 'ClusterRole', name: 'hallpass-grantable' } }),
      reason,
    );
    await refusedByGuard(twins(), 'operator', one({ roleRef }), reason);
    await refusedByGuard(twins(), 'operator', made.bindingNaming([person], made.uid), reason);
    const group = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:authenticated' };
    await refusedByGuard(twins(), 'operator', made.bindingNaming([group], made.uid), reason);
    const account = { kind: 'ServiceAccount', name: 'default', namespace: 'team' };
    await refusedByGuard(twins(), 'operator', made.bindingNaming([account], made.uid), reason);
    await passesGuards(twins(), 'operator', made.bindingNaming([], made.uid));
  });

  it('runs no pods: its Jobs have parallelism 0', async () => {
    const reason = writes('hallpass-jobs');
    await refusedByGuard(twins(), 'operator', made.jobNamed(made.otherName, labels, 1), reason);
    await refusedByGuard(twins(), 'operator', patch(at.job, { spec: { parallelism: 1 } }), reason);
    await refusedByGuard(twins(), 'operator', made.jobNamed('mine', {}, 0), reason);
  });

  it('makes ServiceAccounts that are agents, and that mount nothing', async () => {
    const reason = writes('hallpass-serviceaccounts');
    const account = (name: string, o: object = {}) =>
      ({
        ...made.account,
        body: { ...made.account.body, ...o, metadata: { ...made.account.body.metadata, name } },
      }) as const;
    await refusedByGuard(twins(), 'operator', account('mine'), reason);
    await refusedByGuard(twins(), 'operator', account('hallpass-two', { automountServiceAccountToken: true }), reason);
    await passesGuards(twins(), 'operator', account('hallpass-two'));
  });

  it('deletes what has a name of its own, also without its label, and nothing else, in any namespace', async () => {
    for (const { callers } of Object.values(twins())) {
      await succeed(callers.root, made.roleNamed('precious'));
      await succeed(callers.root, made.jobNamed('precious'));
    }
    await refusedByGuard(twins(), 'operator', deletion(`${made.rbac}/roles/precious`), deletes('hallpass-roles'));
    await refusedByGuard(
      twins(),
      'operator',
      deletion(`${made.rbac}/rolebindings/owner`),
      deletes('hallpass-rolebindings'),
    );
    const enabling = deletion(`${made.enabling[0].path}/hallpass-grantable`);
    await refusedByGuard(twins(), 'operator', enabling, deletes('hallpass-rolebindings'));
    await refusedByGuard(twins(), 'operator', deletion(`${made.batch}/jobs/precious`), deletes('hallpass-jobs'));
    const account = deletion(`${made.api}/serviceaccounts/default`);
    await refusedByGuard(twins(), 'operator', account, deletes('hallpass-serviceaccounts'));
    for (const path of Object.values(at)) await passesGuards(twins(), 'operator', deletion(path));
  });

  it('is nobody else: its name alone, impersonated, gives nothing', async () => {
    const headers = { 'Impersonate-User': 'system:serviceaccount:hallpass-system:hallpass' };
    const call = { ...made.roleNamed(made.otherName, labels), headers };
    await refusedByGuard(twins(), 'insider', call, { by: 'hallpass-roles', says: /only hallpass creates or changes/ });
  });
}
