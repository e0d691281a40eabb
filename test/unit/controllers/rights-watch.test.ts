// Real caches that are told by hand what a watch would tell, and real queues: which change of RBAC reaches which grant.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { Registry } from 'prom-client';
import type { ParsedGrant } from '../../../src/api/grant.ts';
import { openCaches } from '../../../src/controllers/cluster.ts';
import { RightsWatch } from '../../../src/controllers/rights-watch.ts';
import { Client } from '../../../src/kube/client.ts';
import { ServerClock } from '../../../src/kube/clock.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { createKubeMetrics } from '../../../src/kube/metrics.ts';
import { Queue } from '../../../src/kube/queue.ts';
import { ManualClock } from '../kube/manual-clock.ts';
import { grant, identity, policy } from '../policy/snapshots.ts';

const apiGroup = 'rbac.authorization.k8s.io';
const jane = { username: 'jane', groups: ['crew'] };
const readPods = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] };

describe('a change of RBAC', () => {
  let version = 100;
  const meta = (name: string, namespace?: string) => {
    version += 1;
    return { name, uid: `uid-${name}`, resourceVersion: String(version), ...(namespace ? { namespace } : {}) };
  };

  /** Caches, and the grants that were queued since it was last asked. */
  function setting() {
    const client = new Client({ credentials: { server: 'https://127.0.0.1:1' } });
    const caches = openCaches({ client, log: silentLog, metrics: createKubeMetrics(new Registry()) });
    const time = new ManualClock();
    const clock = new ServerClock({ wall: time.now, monotonic: time.now });
    const cluster = { client, clock, log: silentLog, caches };
    const queues = { grants: new Queue(), rights: new Queue() };
    const queued: string[] = [];
    let forgotten = 0;
    const add = queues.grants.add.bind(queues.grants);
    queues.grants.add = (key, o) => {
      queued.push(key);
      add(key, o);
    };
    const rights = new RightsWatch({ cluster, queues, forget: () => (forgotten += 1), setTimer: time.setTimer });
    caches.grants.subscribe((event) => rights.grantChanged(event));
    caches.roles.subscribe((event) => rights.roleChanged('Role', { ...event, initial: false }));
    caches.clusterRoles.subscribe((event) => rights.roleChanged('ClusterRole', { ...event, initial: false }));
    for (const bindings of [caches.roleBindings, caches.clusterRoleBindings])
      bindings.subscribe((event) => rights.bindingChanged({ ...event, initial: false }));
    return {
      caches,
      rights,
      time,
      /** What is due to be looked at again. */
      again: queues.rights,
      forgotten: () => forgotten,
      /** They are queued in turns of the event loop, at least one in each. */
      queued: async () => {
        for (let turn = 0; turn < 5; turn += 1) await nextTurn();
        return [...new Set(queued.splice(0))].sort();
      },
      has: (of: ParsedGrant) =>
        caches.grants.observe({
          ...of,
          metadata: { ...of.metadata, ...meta(of.metadata.name, of.metadata.namespace) },
        }),
      role: (name: string, namespace: string | undefined, rules = [readPods]) =>
        namespace
          ? caches.roles.observe({ metadata: meta(name, namespace), rules })
          : caches.clusterRoles.observe({ metadata: meta(name), rules }),
      bind: (
        name: string,
        namespace: string | undefined,
        role: string,
        kind: string,
        ...subjects: [string, string][]
      ) =>
        (namespace ? caches.roleBindings : caches.clusterRoleBindings).observe({
          metadata: meta(name, namespace),
          roleRef: { apiGroup, kind, name: role },
          subjects: subjects.map(([kind, name]) => ({ apiGroup, kind, name })),
        }),
      close() {
        rights.stop();
        for (const queue of Object.values(queues)) queue.shutDown();
        client.close();
      },
    };
  }
  let at: ReturnType<typeof setting>;
  beforeEach(() => {
    at = setting();
    const active = { phase: 'Active' };
    at.has(grant({ metadata: { name: 'of-jane' }, stamps: { creator: jane, requester: jane }, status: active }));
    const joe = { username: 'joe', groups: ['others'] };
    at.has(grant({ metadata: { name: 'of-joe' }, stamps: { creator: joe, requester: joe }, status: active }));
    at.has(
      grant({ metadata: { name: 'ended' }, stamps: { creator: jane, requester: jane }, status: { phase: 'Expired' } }),
    );
  });
  afterEach(() => at.close());

  it('reaches the open grants of whom a binding names, by user and by group, and no others', async () => {
    at.bind('by-user', 'team-a', 'reads', 'Role', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane']);
    at.bind('by-group', undefined, 'reads', 'ClusterRole', ['Group', 'crew']);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane']);
    at.bind('of-others', 'team-a', 'reads', 'Role', ['User', 'jim']);
    expect(await at.queued()).to.deep.equal([]);
    expect(at.forgotten(), 'answers are dropped only where somebody is concerned').to.equal(2);
  });

  it('reaches whom a binding named before, and whom one named that is deleted', async () => {
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'jane'], ['User', 'joe']);
    await at.queued();
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'joe']);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane', 'team-a/of-joe']);
    at.caches.roleBindings.forget({ namespace: 'team-a', name: 'one' });
    expect(await at.queued()).to.deep.equal(['team-a/of-joe']);
  });

  it('in a namespace reaches the grants only that hand out something there', async () => {
    at.bind('elsewhere', 'team-b', 'reads', 'Role', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal([]);
    const permissions = [{ ...readPods, namespaces: ['team-b'] }];
    at.has(grant({ metadata: { name: 'across' }, spec: { permissions }, stamps: { creator: jane, requester: jane } }));
    at.bind('elsewhere-too', 'team-b', 'reads', 'Role', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal(['team-a/across']);
  });

  it('reaches a grant for the whole cluster only by what binds in the whole cluster', async () => {
    const permissions = [{ ...readPods, scope: 'Cluster' }];
    const stamps = { creator: jane, requester: jane };
    at.has(grant({ metadata: { name: 'everywhere' }, spec: { permissions }, stamps }));
    await at.queued();
    at.bind('in-one', 'team-a', 'reads', 'Role', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane']);
    at.bind('in-all', undefined, 'reads', 'ClusterRole', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal(['team-a/everywhere', 'team-a/of-jane']);
  });

  it('in a role reaches whom it is bound to, by bindings of every kind', async () => {
    at.role('reads', 'team-a');
    at.role('views', undefined);
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'joe']);
    at.bind('two', 'team-a', 'views', 'ClusterRole', ['User', 'jane']);
    at.bind('three', undefined, 'views', 'ClusterRole', ['Group', 'others']);
    await at.queued();
    at.role('reads', 'team-a', []);
    expect(await at.queued()).to.deep.equal(['team-a/of-joe']);
    at.role('views', undefined, []);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane', 'team-a/of-joe']);
    at.role('reads', 'team-b', []);
    expect(await at.queued(), 'of that name elsewhere').to.deep.equal([]);
  });

  it('that changes no rule and no subject reaches nothing', async () => {
    at.role('reads', 'team-a');
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'jane']);
    await at.queued();
    at.role('reads', 'team-a');
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'jane']);
    expect(await at.queued()).to.deep.equal([]);
  });

  it('of the group that owns an agent reaches its grants where there are pipelines', async () => {
    at.caches.identities.observe({ ...identity(), metadata: { ...identity().metadata, ...meta('triage', 'team-a') } });
    at.bind('one', 'team-a', 'reads', 'Role', ['Group', 'team-a']);
    expect(await at.queued()).to.deep.equal([]);
    const pipelines = [{ subjects: [{ kind: 'User', name: 'argo' }], ownerGroups: ['team-a'] }];
    at.caches.policies.observe({ ...policy({ pipelines }), metadata: meta('guardrails') });
    at.bind('two', 'team-a', 'reads', 'Role', ['Group', 'team-a']);
    expect(await at.queued()).to.deep.equal(['team-a/of-jane', 'team-a/of-joe']);
  });

  it('is followed by another look at those grants, five seconds after the last change', () => {
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'jane']);
    at.time.advance(4_000);
    at.bind('two', 'team-a', 'reads', 'Role', ['User', 'jane']);
    at.time.advance(4_999);
    expect(at.again.length).to.equal(0);
    at.time.advance(1);
    expect(at.again.length).to.equal(1);
  });

  it('that hallpass heard of before a grant was issued is looked at after it as well', () => {
    at.rights.issued('team-a/of-jane');
    at.time.advance(5_000);
    expect(at.again.length).to.equal(1);
  });

  it('is looked at again only where RBAC does not give all that a live grant hands out', async () => {
    await at.rights.lookAgain('team-a/of-jane');
    expect(await at.queued(), 'it rests on the word of the API server').to.deep.equal(['team-a/of-jane']);
    at.role('reads', 'team-a');
    at.bind('one', 'team-a', 'reads', 'Role', ['User', 'jane']);
    await at.queued();
    await at.rights.lookAgain('team-a/of-jane');
    await at.rights.lookAgain('team-a/ended');
    await at.rights.lookAgain('team-a/gone');
    expect(await at.queued()).to.deep.equal([]);
  });
});
