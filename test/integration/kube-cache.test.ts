import { expect } from 'chai';
import { Registry } from 'prom-client';
import { Cache } from '../../src/kube/cache.ts';
import { Client } from '../../src/kube/client.ts';
import { loadCredentials } from '../../src/kube/credentials.ts';
import { namespaces, type Role, roles, serviceAccounts } from '../../src/kube/kinds.ts';
import { silentLog } from '../../src/kube/log.ts';
import { createKubeMetrics } from '../../src/kube/metrics.ts';
import type { KubeObject, Resource } from '../../src/kube/object.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { listeningLog, recorded } from './observed.ts';

const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }];

describe('a cache, on a real API server', () => {
  let controlPlane: ControlPlane;
  let client: Client;
  let stop: AbortController;
  let namespace: string;
  let count = 0;
  const registry = new Registry();

  const create = (name: string, labels: Record<string, string> = {}) =>
    client.create(roles, { metadata: { namespace, name, labels }, rules });
  const cacheOf = (options: Partial<ConstructorParameters<typeof Cache<Role>>[0]> = {}): Cache<Role> =>
    new Cache({ client, resource: roles, namespace, log: silentLog, ...options });

  before(async () => {
    controlPlane = await startControlPlane();
    const credentials = await loadCredentials({ kubeconfig: controlPlane.kubeconfig });
    client = new Client({ credentials, metrics: createKubeMetrics(registry) });
  });
  after(async () => {
    client?.close();
    await controlPlane?.stop();
  });
  beforeEach(async () => {
    stop = new AbortController();
    count += 1;
    namespace = `cache-${count}`;
    await client.create(namespaces, { metadata: { name: namespace } });
  });
  afterEach(() => stop.abort());

  it('holds what was there at its start, and marks it as such', async () => {
    await Promise.all([create('a'), create('b')]);
    const cache = cacheOf();
    const { events } = recorded(cache);
    cache.start(stop.signal);
    await cache.synced();
    expect(cache.size).to.equal(2);
    expect(cache.get({ namespace, name: 'a' })?.rules).to.deep.equal(rules);
    expect(cache.get({ namespace, name: 'c' })).to.equal(undefined);
    expect(cache.list().map((role) => role.metadata.name)).to.have.members(['a', 'b']);
    expect(events.map(({ type, initial }) => ({ type, initial }))).to.deep.equal(
      Array(2).fill({ type: 'added', initial: true }),
    );
    expect(Number(cache.lastSyncResourceVersion)).to.be.greaterThan(0);
  });

  it('follows what is added, changed and deleted, and knows what was there before', async () => {
    const cache = cacheOf();
    const { until } = recorded(cache);
    cache.start(stop.signal);
    await cache.synced();
    const created = await create('a');
    expect(await until(({ type }) => type === 'added')).to.deep.include({ object: created, initial: false });
    const changed = await client.replace(roles, { ...created, rules: [] });
    expect(await until(({ type }) => type === 'updated')).to.deep.include({ object: changed, previous: created });
    await client.delete(roles, changed.metadata);
    expect((await until(({ type }) => type === 'deleted')).previous).to.deep.equal(changed);
    expect(cache.size).to.equal(0);
    expect(Number(cache.lastSyncResourceVersion)).to.be.greaterThan(Number(changed.metadata.resourceVersion));
  });

  it('finds objects by its indexes, also after they changed', async () => {
    const cache = cacheOf({ indexes: { label: (role) => Object.values(role.metadata.labels ?? {}) } });
    const { until } = recorded(cache);
    const names = (value: string) => cache.byIndex('label', value).map((role) => role.metadata.name);
    cache.start(stop.signal);
    await cache.synced();
    const a = await create('a', { one: 'red', two: 'blue' });
    await create('b', { one: 'red' });
    await create('c', { one: 'red' });
    await until(({ object }) => object.metadata.name === 'c');
    expect(names('red')).to.have.members(['a', 'b', 'c']);
    expect(names('blue')).to.deep.equal(['a']);
    await client.patch(roles, a.metadata, { metadata: { labels: { two: 'green' } } }, { type: 'merge' });
    await until(({ type }) => type === 'updated');
    expect(names('blue')).to.deep.equal([]);
    expect(names('green')).to.deep.equal(['a']);
    await client.delete(roles, a.metadata);
    await until(({ type }) => type === 'deleted');
    expect(names('red')).to.have.members(['b', 'c']);
    expect(names('green')).to.deep.equal([]);
    expect(() => cache.byIndex('colour', 'red')).to.throw('no index colour');
  });

  it('takes an object that leaves its selection for deleted', async () => {
    const cache = cacheOf({ labelSelector: 'ours=yes' });
    const { until } = recorded(cache);
    await create('other');
    cache.start(stop.signal);
    await cache.synced();
    expect(cache.size).to.equal(0);
    const created = await create('a', { ours: 'yes' });
    await until(({ type }) => type === 'added');
    await client.patch(roles, created.metadata, { metadata: { labels: { ours: null } } }, { type: 'merge' });
    await until(({ type }) => type === 'deleted');
    expect(cache.size).to.equal(0);
  });

  it('drops what nobody reads', async () => {
    await create('a', { keep: 'yes' });
    const cache = cacheOf({ trim: ({ metadata }) => ({ metadata, rules: [] }) });
    cache.start(stop.signal);
    await cache.synced();
    const held = cache.get({ namespace, name: 'a' });
    expect(held?.rules).to.deep.equal([]);
    expect(held?.metadata).to.not.have.property('managedFields');
  });

  it('tells a late subscriber what is there', async () => {
    await create('a');
    const cache = cacheOf();
    cache.start(stop.signal);
    await cache.synced();
    const { events } = recorded(cache);
    expect(events.map(({ type, object, initial }) => [type, object.metadata.name, initial])).to.deep.equal([
      ['added', 'a', true],
    ]);
  });

  it('goes on when a handler throws or rejects, which it logs', async () => {
    const { log, until: logged } = listeningLog();
    const cache = cacheOf({ log });
    cache.subscribe(() => {
      throw new Error('thrown by a handler');
    });
    cache.subscribe((async () => {
      throw new Error('rejected by a handler');
    }) satisfies () => unknown);
    const { until } = recorded(cache);
    cache.start(stop.signal);
    await cache.synced();
    await create('a');
    await create('b');
    await until(({ object }) => object.metadata.name === 'b');
    expect(await logged('thrown by a handler')).to.include(namespace);
    await logged('rejected by a handler');
  });

  it('skips an object that cannot be read, says which, and keeps its last readable state', async () => {
    const { log, until: logged } = listeningLog();
    const resource: Resource<Role> = {
      ...roles,
      parse: (value) => {
        const role = roles.parse(value);
        if (role.metadata.labels?.broken) throw new Error('cannot be read');
        return role;
      },
    };
    const whole = await create('was-whole');
    await create('broken', { broken: 'yes' });
    const cache = cacheOf({ resource, log });
    const { until } = recorded(cache);
    cache.start(stop.signal);
    await cache.synced();
    expect(cache.size).to.equal(1);
    await logged(`Role ${namespace}/broken cannot be read`);
    await client.patch(roles, whole.metadata, { metadata: { labels: { broken: 'yes' } } }, { type: 'merge' });
    await create('after');
    await until(({ object }) => object.metadata.name === 'after');
    expect(cache.get(whole.metadata)).to.deep.equal(whole);
    await client.delete(roles, whole.metadata);
    await until(({ type }) => type === 'deleted');
    expect(await registry.metrics()).to.match(/reflector_parse_failures_total\{resource="roles"\} [1-9]/);
  });

  it('waits for a kind that is not served yet, says what is missing, and proceeds by itself', async () => {
    const { log, lines, until: logged } = listeningLog();
    const widgets: Resource<KubeObject> = {
      group: 'hallpass.test',
      version: 'v1',
      plural: 'widgets',
      kind: 'Widget',
      namespaced: true,
      parse: (value) => serviceAccounts.parse(value),
    };
    const cache = new Cache({ client, resource: widgets, log });
    cache.start(stop.signal);
    await logged('install its CustomResourceDefinition');
    expect(cache.hasSynced).to.equal(false);
    expect(cache.lastError).to.include('widgets.hallpass.test');
    await controlPlane.kubectl(['apply', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'widgets.hallpass.test' },
        spec: {
          group: 'hallpass.test',
          scope: 'Namespaced',
          names: { plural: 'widgets', kind: 'Widget' },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
        },
      }),
    });
    await cache.synced();
    await logged('answers again');
    expect(cache.lastError).to.equal(undefined);
    expect(lines.filter((line) => line.includes('install its'))).to.have.length(1);
  });

  it('waits for rights that are missing, says which, and proceeds by itself', async () => {
    const { log, lines, until: logged } = listeningLog();
    const user = `reader-${count}`;
    const powerless = new Client({ credentials: await controlPlane.credentialsFor({ user }) });
    const cache = cacheOf({ client: powerless, log });
    cache.start(stop.signal);
    expect(await logged('must allow get, list and watch on roles.rbac.authorization.k8s.io')).to.include(user);
    expect(cache.lastError).to.include('403');
    const allow = (verbs: string) =>
      controlPlane.kubectl(['create', 'role', `may-${verbs}`, `--verb=${verbs}`, '--resource=roles', '-n', namespace]);
    const bind = (verbs: string) =>
      controlPlane.kubectl([
        'create',
        'rolebinding',
        `may-${verbs}`,
        `--role=may-${verbs}`,
        `--user=${user}`,
        '-n',
        namespace,
      ]);
    await allow('list');
    await bind('list');
    await cache.synced();
    // Listing works and watching doesn't: still something is missing.
    await logged('cannot watch');
    await allow('watch');
    await bind('watch');
    await logged('answers again');
    expect(cache.lastError).to.equal(undefined);
    expect(new Set(lines).size).to.equal(lines.length);
    stop.abort();
    powerless.close();
  });

  it('is not started twice, and ends when told', async () => {
    const cache = cacheOf();
    cache.start(stop.signal);
    await cache.synced();
    expect(() => cache.start(stop.signal)).to.throw('started already');
    stop.abort();
    await cache.stopped;
    await create('unseen');
    expect(cache.size).to.equal(0);
  });

  it('says that it will never be in step when ended before', async () => {
    const cache = cacheOf();
    stop.abort(new Error('stopping'));
    cache.start(stop.signal);
    const outcome = await cache.synced().then(
      () => 'synced',
      (error) => String(error),
    );
    expect(outcome).to.equal('Error: stopping');
  });
});
