// Attacks by an agent itself: with all that a careless group binding gives it, it makes neither itself nor others stronger.
import { passesGuards, refusedByGuard, remove, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

export function agent(twins: () => Twins): void {
  const group = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:serviceaccounts:team' };
  const roleRef = { kind: 'ClusterRole', name: 'admin' };
  const standing = made.bindingNamed('everybody-is-admin', { roleRef, subjects: [group] });

  before(async () => {
    for (const { callers } of Object.values(twins())) {
      await succeed(callers.root, standing);
      const secrets = { method: 'GET', path: `${made.api}/secrets` } as const;
      await until(callers.agent, secrets, ({ code }) => code === 200);
    }
  });
  after(async () => {
    for (const { callers } of Object.values(twins())) await remove(callers.root, `${standing.path}/everybody-is-admin`);
  });

  it('gives it no token but the one in its pod', async () => {
    const token = {
      method: 'POST',
      path: `${made.account.path}/hallpass-bot/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 86_400 } },
    } as const;
    await refusedByGuard(twins(), 'agent', token, { by: 'hallpass-tokens', says: /only to their pods/ });
    const secret = made.tokenSecret('mine', 'hallpass-bot');
    await refusedByGuard(twins(), 'agent', secret, { by: 'hallpass-token-secrets', says: /never expires/ });
  });

  it('gives it no lasting binding, and no more of the one that it has', async () => {
    const view = { kind: 'ClusterRole', name: 'view' };
    const mine = made.bindingNamed('mine', { roleRef: view, subjects: [made.agentSubject] });
    await refusedByGuard(twins(), 'agent', mine, { by: 'hallpass-agent-bindings', says: /hold nothing by bindings/ });
    const rules = { method: 'PATCH', path: `${made.rbac}/roles/${made.uidName}` } as const;
    const more = { rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }] };
    await refusedByGuard(twins(), 'agent', { ...rules, body: more }, { by: 'hallpass-roles', says: /only hallpass/ });
  });

  it('gives it no more time', async () => {
    const job = { method: 'PATCH', path: `${made.batch}/jobs/${made.uidName}` } as const;
    const body = { spec: { activeDeadlineSeconds: 999_999 } };
    await refusedByGuard(twins(), 'agent', { ...job, body }, { by: 'hallpass-jobs', says: /only hallpass/ });
    const gone = { ...job, method: 'DELETE', body: { propagationPolicy: 'Orphan' } } as const;
    await refusedByGuard(twins(), 'agent', gone, { by: 'hallpass-jobs', says: /only together with the access/ });
  });

  it('lets it become no other agent', async () => {
    const pod = made.pod('other', { spec: { serviceAccountName: 'hallpass-bot' } });
    await refusedByGuard(twins(), 'agent', pod, { by: 'hallpass-pods', says: /must agree/ });
    const headers = { 'Impersonate-User': 'system:serviceaccount:team:hallpass-bot' };
    const own = { method: 'PATCH', path: `${made.api}/configmaps/kube-root-ca.crt`, body: {}, headers } as const;
    await refusedByGuard(twins(), 'agent', own, { by: 'hallpass-impersonation', says: /impersonating an agent/ });
    await passesGuards(twins(), 'agent', { ...own, headers: {} });
  });
}
