// Attacks on what gives access in the whole cluster, and what hallpass itself is held to there. Attackers are cluster admins:
// nobody less may write any of it.
import { expect } from 'chai';
import { z } from 'zod';
import type { Call } from './caller.ts';
import { passesGuards, refusedByGuard, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const everywhere = '/apis/rbac.authorization.k8s.io/v1';
const home = '/api/v1/namespaces/hallpass-system';
const at = {
  role: `${everywhere}/clusterroles/${made.uidName}`,
  binding: `${everywhere}/clusterrolebindings/${made.uidName}`,
  service: `${home}/services/${made.uidName}`,
};
const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
const patch = (path: string, body: object): Call => ({ method: 'PATCH', path, body });
/** The same object written over, as hallpass does: it holds update, and no patch. */
const replaced = (call: Call): Call => {
  const { name } = z.object({ metadata: z.object({ name: z.string() }) }).parse(call.body).metadata;
  return { ...call, method: 'PUT', path: `${call.path}/${name}` };
};
const deletion = (path: string): Call => ({ method: 'DELETE', path });

const roleNamed = (name: string, o: { labels?: object; rules?: object[]; aggregationRule?: object } = {}): Call => ({
  method: 'POST',
  path: `${everywhere}/clusterroles`,
  body: {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name, labels: o.labels },
    rules: o.rules ?? rules,
    aggregationRule: o.aggregationRule,
  },
});
const bindingNamed = (name: string, o: { labels?: object; role?: string; subjects?: object[] } = {}): Call => ({
  method: 'POST',
  path: `${everywhere}/clusterrolebindings`,
  body: {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name, labels: o.labels },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: o.role ?? name },
    subjects: o.subjects ?? [],
  },
});
const serviceNamed = (name: string, o: { labels?: object; spec?: object; ownerReferences?: object[] } = {}): Call => ({
  method: 'POST',
  path: `${home}/services`,
  body: {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, labels: o.labels, ownerReferences: o.ownerReferences },
    spec: { ports: [{ port: 1 }], ...o.spec },
  },
});

const rolesSchema = z.object({
  items: z.array(z.object({ metadata: z.object({ name: z.string() }), rules: z.array(z.unknown()).nullish() })),
});

export function clusterObjects(twins: () => Twins): void {
  const labels = made.grantLabels(made.uid);
  const otherLabels = made.grantLabels(made.otherUid);
  const others = (by: string, kind: string) => ({
    by,
    says: new RegExp(`${kind} \\S+ has a name or label of hallpass's`),
  });
  const role = others('hallpass-clusterroles', 'ClusterRole');
  const binding = others('hallpass-clusterrolebindings', 'ClusterRoleBinding');
  const service = others('hallpass-services', 'Service');
  const writes = (by: string) => ({ by, says: /hallpass itself may write only/ });
  const deletes = (by: string) => ({ by, says: /hallpass itself may delete only/ });

  before(async function () {
    this.timeout(60_000);
    for (const { kubectl, callers } of Object.values(twins())) {
      const { code, stderr } = await kubectl(['apply', '-k', made.deploy('cluster-scope')]);
      expect(code, stderr).to.equal(0);
      // The ceiling is aggregated a moment after it was written.
      await until(callers.operator, roleNamed(made.uidName, { labels }), (answer) => answer.code === 201);
      const subjects = [made.agentSubject];
      await until(callers.operator, bindingNamed(made.uidName, { labels, subjects }), (answer) => answer.code === 201);
      const moved = { ...made.job, path: '/apis/batch/v1/namespaces/hallpass-system/jobs' };
      const job = await succeed(callers.operator, moved);
      const ownerReferences = made.ownedBy(made.uidName, job.metadata.uid);
      await succeed(callers.operator, serviceNamed(made.uidName, { labels, ownerReferences }));
    }
  });

  it('keep rules, subjects, owners and labels as hallpass wrote them, also against cluster admins', async () => {
    const me = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'insider' };
    const unlabelled = { metadata: { labels: { 'hallpass.dev/grant': null } } };
    await refusedByGuard(twins(), 'root', patch(at.role, { rules: [] }), role);
    await refusedByGuard(twins(), 'root', patch(at.role, unlabelled), role);
    await refusedByGuard(twins(), 'root', patch(at.binding, { subjects: [me] }), binding);
    await refusedByGuard(twins(), 'root', patch(at.binding, unlabelled), binding);
    const held = { metadata: { finalizers: ['example.com/for-ever'] } };
    await refusedByGuard(twins(), 'root', patch(at.binding, held), binding);
  });

  it('keep what joins the binding to its Job: nobody takes the Service its owner or its address', async () => {
    await refusedByGuard(twins(), 'root', patch(at.service, { metadata: { ownerReferences: null } }), service);
    const away = { spec: { type: 'ExternalName', externalName: 'example.com', clusterIP: null, clusterIPs: null } };
    await refusedByGuard(twins(), 'root', patch(at.service, away), service);
    await refusedByGuard(twins(), 'root', patch(at.service, { metadata: { finalizers: ['example.com/x'] } }), service);
  });

  it('are not made by others, neither by name nor by label', async () => {
    await refusedByGuard(twins(), 'root', roleNamed(made.otherName), role);
    await refusedByGuard(twins(), 'root', roleNamed('mine', { labels: otherLabels }), role);
    await refusedByGuard(twins(), 'root', bindingNamed(made.otherName, { role: 'view' }), binding);
    await refusedByGuard(twins(), 'root', bindingNamed('mine', { labels: otherLabels, role: 'view' }), binding);
    await refusedByGuard(twins(), 'root', serviceNamed(made.otherName), service);
    const named = bindingNamed(made.otherName, { role: 'view', subjects: [made.agentSubject] });
    await refusedByGuard(twins(), 'root', named, binding);
  });

  it('leave the cluster its own', async () => {
    await passesGuards(twins(), 'root', roleNamed('hallpass-more-to-grant'));
    await passesGuards(twins(), 'root', bindingNamed('hallpass-viewers', { role: 'view' }));
    await passesGuards(twins(), 'root', serviceNamed('web'));
    await passesGuards(twins(), 'root', { ...serviceNamed(made.otherName), path: '/api/v1/namespaces/team/services' });
  });

  it('can be deleted by who may, which only ends access', async () => {
    for (const path of Object.values(at)) await passesGuards(twins(), 'root', deletion(path));
  });

  it('hold hallpass to its own names and labels, to agents, and to rules that make no access', async () => {
    const by = 'hallpass-clusterroles';
    await refusedByGuard(twins(), 'operator', roleNamed('mine', { labels: otherLabels }), writes(by));
    await refusedByGuard(twins(), 'operator', roleNamed(made.otherName), writes(by));
    const more = (rule: object) => roleNamed(made.otherName, { labels: otherLabels, rules: [...rules, rule] });
    const bind = { apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterrolebindings'], verbs: ['create'] };
    const look = { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] };
    const end = { apiGroups: ['batch'], resources: ['jobs'], verbs: ['delete'] };
    for (const rule of [bind, look, end]) await refusedByGuard(twins(), 'operator', more(rule), writes(by));
    await passesGuards(twins(), 'operator', roleNamed(made.otherName, { labels: otherLabels }));
    const ceiling = replaced(roleNamed('hallpass-grantable-cluster-read'));
    await refusedByGuard(twins(), 'operator', ceiling, writes(by));

    const person = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'editor' };
    const one = (o: object) => bindingNamed(made.otherName, { labels: otherLabels, ...o });
    const reason = writes('hallpass-clusterrolebindings');
    await refusedByGuard(twins(), 'operator', one({ role: made.uidName }), reason);
    await refusedByGuard(twins(), 'operator', one({ role: 'hallpass-grantable-cluster' }), reason);
    await refusedByGuard(
      twins(),
      'operator',
      replaced(bindingNamed(made.uidName, { labels, subjects: [person] })),
      reason,
    );
  });

  it('hold hallpass to Services that serve nobody', async () => {
    const reason = writes('hallpass-services');
    const one = (spec: object) => serviceNamed(made.otherName, { labels: otherLabels, spec });
    await refusedByGuard(twins(), 'operator', serviceNamed('mine', { labels: otherLabels }), reason);
    await refusedByGuard(twins(), 'operator', one({ selector: { app: 'web' } }), reason);
    await refusedByGuard(twins(), 'operator', one({ type: 'NodePort' }), reason);
    await refusedByGuard(twins(), 'operator', one({ externalIPs: ['192.0.2.1'] }), reason);
    await passesGuards(twins(), 'operator', one({}));
  });

  it('let hallpass delete what has a name of its own, and nothing else', async () => {
    const { callers } = twins().guarded;
    for (const each of Object.values(twins())) await succeed(each.callers.root, serviceNamed('precious'));
    const system = `${everywhere}/clusterrolebindings/system:basic-user`;
    await refusedByGuard(twins(), 'operator', deletion(system), deletes('hallpass-clusterrolebindings'));
    await refusedByGuard(
      twins(),
      'operator',
      deletion(`${everywhere}/clusterroles/view`),
      deletes('hallpass-clusterroles'),
    );
    await refusedByGuard(twins(), 'operator', deletion(`${home}/services/precious`), deletes('hallpass-services'));
    for (const path of Object.values(at)) await passesGuards(twins(), 'operator', deletion(path));
    const elsewhere = await callers.operator.call(deletion('/api/v1/namespaces/team/services/web'));
    expect(elsewhere.code, 'no right outside its own namespace').to.equal(403);
  });

  it('take rights that deploy/cluster-scope alone gives, of which none escalates, and a ceiling that only reads', async () => {
    const { body } = await twins().guarded.callers.root.call({ method: 'GET', path: `${everywhere}/clusterroles` });
    const of = (name: string) =>
      z
        .array(z.object({ verbs: z.array(z.string()), apiGroups: z.array(z.string()), resources: z.array(z.string()) }))
        .parse(rolesSchema.parse(body).items.find(({ metadata }) => metadata.name === name)?.rules ?? []);
    const given = ['hallpass-cluster-issuer', 'hallpass-cluster-dead-man'].flatMap(of);
    expect(given).to.not.be.empty;
    for (const { verbs, apiGroups, resources } of given) {
      expect([...verbs, ...apiGroups, ...resources]).to.not.include.members(['*']);
      expect(['get', 'create', 'update', 'patch']).to.include.members(verbs);
    }
    const before = of('hallpass').filter(({ resources }) => resources.includes('clusterroles'));
    expect(before.flatMap(({ verbs }) => verbs).sort()).to.deep.equal(['delete', 'get', 'list', 'watch']);
    const ceiling = of('hallpass-grantable-cluster');
    expect(ceiling).to.not.be.empty;
    for (const { verbs, resources, apiGroups } of ceiling) {
      expect(['get', 'list']).to.include.members(verbs);
      expect(apiGroups).to.not.include('rbac.authorization.k8s.io');
      const closed = ['secrets', 'configmaps', 'serviceaccounts', 'pods/log', 'pods/exec', '*'];
      expect(resources.filter((resource) => closed.includes(resource))).to.deep.equal([]);
    }
  });
}
