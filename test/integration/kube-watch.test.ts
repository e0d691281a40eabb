import { expect } from 'chai';
import { Registry } from 'prom-client';
import { Cache } from '../../src/kube/cache.ts';
import { Client } from '../../src/kube/client.ts';
import { loadCredentials } from '../../src/kube/credentials.ts';
import { namespaces, type Role, roles } from '../../src/kube/kinds.ts';
import { silentLog } from '../../src/kube/log.ts';
import { createKubeMetrics } from '../../src/kube/metrics.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { type FaultyProxy, isList, isWatch, isWhole, startFaultyProxy } from './faulty-proxy.ts';
import { listeningLog, recorded } from './observed.ts';

const isPage: typeof isList = (url, method) => isList(url, method) && !isWhole(url, method);
const failure = (code: number, reason: string, message = reason) => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  code,
  reason,
  message,
});

describe('a watch, behind a faulty network', () => {
  let controlPlane: ControlPlane;
  let direct: Client;
  let proxy: FaultyProxy;
  let client: Client;
  let stop: AbortController;
  let namespace: string;
  let count = 0;
  let registry: Registry;

  const create = (name: string, labels: Record<string, string> = {}) =>
    direct.create(roles, { metadata: { namespace, name, labels }, rules: [] });
  const lists = () => proxy.requests.filter(({ url, method }) => isList(url, method)).length;
  const watches = () => proxy.requests.filter(({ url, method }) => isWatch(url, method));

  async function startCache(options: Partial<ConstructorParameters<typeof Cache<Role>>[0]> = {}) {
    const cache = new Cache<Role>({ client, resource: roles, namespace, log: silentLog, ...options });
    const recording = recorded(cache);
    const watching = proxy.next(isWatch);
    cache.start(stop.signal);
    await cache.synced();
    await watching;
    return {
      cache,
      ...recording,
      has: (name: string) => recording.until(({ object }) => object.metadata.name === name),
    };
  }
  // Something must come through first, so that the watch is known to be open.
  async function startWatching(options: Parameters<typeof startCache>[0] = {}) {
    const started = await startCache(options);
    await create('first');
    await started.has('first');
    return started;
  }

  before(async () => {
    controlPlane = await startControlPlane();
    direct = new Client({ credentials: await loadCredentials({ kubeconfig: controlPlane.kubeconfig }) });
  });
  after(async () => {
    direct?.close();
    await controlPlane?.stop();
  });
  beforeEach(async () => {
    stop = new AbortController();
    registry = new Registry();
    proxy = await startFaultyProxy(await loadCredentials({ kubeconfig: controlPlane.kubeconfig }));
    client = new Client({ credentials: proxy.credentials, metrics: createKubeMetrics(registry) });
    count += 1;
    namespace = `watch-${count}`;
    await direct.create(namespaces, { metadata: { name: namespace } });
  });
  afterEach(async () => {
    stop.abort();
    client.close();
    await proxy.stop();
  });

  it('asks for bookmarks and for an end within one to two times five minutes, on a connection of its own', async () => {
    await startCache();
    const [watch] = watches();
    expect(watch?.url.searchParams.get('allowWatchBookmarks')).to.equal('true');
    expect(Number(watch?.url.searchParams.get('timeoutSeconds'))).to.be.within(300, 600);
    expect(watch?.url.searchParams.get('resourceVersion')).to.match(/^\d+$/);
  });

  it('takes its first list in one piece, as of one version, and watches on from there', async () => {
    await create('first');
    await create('second');
    const { cache, events } = await startCache();
    expect(proxy.requests.filter(({ url, method }) => isPage(url, method))).to.have.length(0);
    expect(proxy.requests.filter(({ url, method }) => isWhole(url, method))).to.have.length(1);
    expect(events.map(({ type, object, initial }) => `${type} ${object.metadata.name} ${initial}`)).to.deep.equal([
      'added first true',
      'added second true',
    ]);
    expect(watches()[0]?.url.searchParams.get('resourceVersion')).to.equal(cache.lastSyncResourceVersion);
  });

  for (const [what, fault] of [
    ['refuses it', { status: 413, body: failure(413, 'RequestEntityTooLarge') }],
    ['resets it', 'reset'],
    ['sends nothing', { status: 200, body: '' }],
    ['ends it within an item', { status: 200, body: '{"kind":"RoleList","items":[{"metadata":{"na' }],
    ['ends it after an item', { status: 200, body: '{"kind":"RoleList","items":[{"metadata":{}}' }],
    ['sends something else', { status: 200, body: '<html>sign in first</html>' }],
    ['sends a list of something else', { status: 200, body: { kind: 'PodList', metadata: { resourceVersion: '1' } } }],
    ['does not say as of when it is', { status: 200, body: { kind: 'RoleList', metadata: {}, items: [] } }],
  ] as const) {
    it(`takes its first list in pages from a server that, asked for it in one piece, ${what}`, async () => {
      await create('first');
      proxy.fail(isWhole, fault);
      const { cache } = await startCache();
      expect(cache.list().map((role) => role.metadata.name)).to.deep.equal(['first']);
      expect(proxy.requests.filter(({ url, method }) => isPage(url, method))).to.have.length(1);
    });
  }

  it('goes on where it was after its connection was reset, without listing again', async () => {
    const { has, events } = await startWatching();
    proxy.resetWatches();
    await create('second');
    await has('second');
    expect(lists()).to.equal(1);
    expect(watches()).to.have.length(2);
    expect(events.map(({ object }) => object.metadata.name)).to.deep.equal(['first', 'second']);
    expect(await registry.metrics()).to.include('reflector_watch_restarts_total{resource="roles",reason="error"} 1');
  });

  it('goes on at once when the server ended it, as servers do', async () => {
    const { has } = await startWatching({ times: { watchTimeoutSeconds: 1 } });
    // The API server itself ends it after one or two seconds.
    await proxy.next(isWatch);
    await create('second');
    await has('second');
    expect(lists()).to.equal(1);
  });

  it('does not hammer a server that ends each watch right after opening it', async () => {
    const openedAt: number[] = [];
    const first = proxy.nextOpen();
    await startCache();
    await first;
    for (let times = 0; times < 3; times += 1) {
      const opened = proxy.nextOpen();
      proxy.endWatches();
      await opened;
      openedAt.push(performance.now());
    }
    expect((openedAt[2] ?? 0) - (openedAt[0] ?? 0)).to.be.greaterThan(1500);
  });

  it('survives 500s with growing delays', async () => {
    const { has } = await startWatching();
    proxy.fail(isWatch, { status: 500, body: failure(500, 'InternalError') }, 2);
    const first = proxy.next(isWatch);
    proxy.resetWatches();
    await first;
    const firstAt = performance.now();
    await proxy.next(isWatch);
    const secondAt = performance.now();
    await proxy.next(isWatch);
    const thirdAt = performance.now();
    await create('second');
    await has('second');
    expect(secondAt - firstAt).to.be.greaterThan(790);
    expect(thirdAt - secondAt).to.be.greaterThan(1590);
    expect(lists()).to.equal(1);
  });

  it('survives answers that are no API server’s', async () => {
    const { has } = await startWatching();
    proxy.fail(isWatch, { status: 502, headers: { 'Content-Type': 'text/html' }, body: '<h1>Bad Gateway</h1>' });
    proxy.resetWatches();
    await create('second');
    await has('second');
  });

  it('lists again after 410, at once, and tells only what changed meanwhile', async () => {
    const { has, cache, events } = await startWatching();
    await create('kept');
    await create('goes');
    await has('goes');
    proxy.fail(isWatch, { status: 410, body: failure(410, 'Expired') });
    const before = events.length;
    const refused = proxy.next(isWatch);
    proxy.resetWatches();
    await direct.delete(roles, { namespace, name: 'goes' });
    await direct.patch(roles, { namespace, name: 'first' }, { metadata: { labels: { a: 'b' } } }, { type: 'merge' });
    await create('comes');
    await refused;
    await has('comes');
    await create('last');
    await has('last');
    expect(lists()).to.equal(2);
    expect(
      events.slice(before).map(({ type, object, initial }) => `${type} ${object.metadata.name} ${initial}`),
    ).to.have.members(['updated first false', 'deleted goes false', 'added comes false', 'added last false']);
    expect(cache.list().map((role) => role.metadata.name)).to.have.members(['first', 'kept', 'comes', 'last']);
    expect(await registry.metrics()).to.include('reflector_watch_restarts_total{resource="roles",reason="expired"} 1');
  });

  it('lists again when the server, restored from a backup, knows no version so late', async () => {
    const { has } = await startWatching();
    const tooLarge = { reason: 'ResourceVersionTooLarge', message: 'Too large resource version' };
    const body = { ...failure(504, 'Timeout'), details: { causes: [tooLarge], retryAfterSeconds: 1 } };
    proxy.fail(isWatch, { status: 504, headers: { 'Retry-After': '1' }, body });
    const listing = proxy.next(isPage);
    proxy.resetWatches();
    await listing;
    await create('second');
    await has('second');
    expect(lists()).to.equal(2);
  });

  it('lists again after a 410 that comes as an event', async () => {
    const { has } = await startWatching();
    const listing = proxy.next(isList);
    proxy.inject(JSON.stringify({ type: 'ERROR', object: failure(410, 'Expired') }));
    await listing;
    await create('second');
    await has('second');
    expect(lists()).to.equal(2);
  });

  it('takes an object that was deleted and made again meanwhile for another one', async () => {
    const { has, until } = await startWatching();
    const old = await direct.get(roles, { namespace, name: 'first' });
    proxy.fail(isWatch, { status: 410, body: failure(410, 'Expired') });
    proxy.resetWatches();
    await direct.delete(roles, old.metadata);
    const renewed = await create('first');
    const deleted = await until(({ type }) => type === 'deleted');
    expect(deleted.object.metadata.uid).to.equal(old.metadata.uid);
    await until(({ type, object }) => type === 'added' && object.metadata.uid === renewed.metadata.uid);
    await create('second');
    await has('second');
  });

  it('waits as long as the server asks after 429', async () => {
    const { has } = await startWatching();
    proxy.fail(isWatch, { status: 429, headers: { 'Retry-After': '2' }, body: failure(429, 'TooManyRequests') });
    const refused = proxy.next(isWatch);
    proxy.resetWatches();
    await refused;
    const refusedAt = performance.now();
    await proxy.next(isWatch);
    expect(performance.now() - refusedAt).to.be.greaterThan(1990);
    await create('second');
    await has('second');
  });

  it('is torn down when nothing comes for longer than its time', async () => {
    const { has } = await startWatching({ times: { watchTimeoutSeconds: 1, silenceMarginMs: 100 } });
    proxy.silenceWatches();
    await create('second');
    await has('second');
    expect(await registry.metrics()).to.include('reflector_watch_restarts_total{resource="roles",reason="silent"} 1');
    expect(lists()).to.equal(1);
  });

  it('is torn down earlier where bookmarks used to come', async () => {
    const { has } = await startWatching({ times: { bookmarkSilenceMs: 300 } });
    const [watch] = watches();
    const metadata = { resourceVersion: watch?.url.searchParams.get('resourceVersion') };
    proxy.inject(JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Role', metadata } }));
    proxy.silenceWatches();
    await create('second');
    await has('second');
  });

  it('reads what comes one byte at a time, and characters of several bytes', async () => {
    proxy.crumble();
    const { has } = await startCache();
    await direct.create(roles, {
      metadata: { namespace, name: 'crumbs', annotations: { text: 'Prüfung 審査 🔑' } },
      rules: [],
    });
    expect((await has('crumbs')).object.metadata.annotations).to.deep.equal({ text: 'Prüfung 審査 🔑' });
  });

  it('reads very long lines', async () => {
    const { has } = await startWatching();
    const text = 'ä'.repeat(120_000);
    await direct.create(roles, { metadata: { namespace, name: 'long', annotations: { text } }, rules: [] });
    expect((await has('long')).object.metadata.annotations?.text).to.equal(text);
  });

  it('forgets a line that was cut off and gets it whole afterwards', async () => {
    const { has } = await startWatching();
    proxy.cutNextLine();
    await create('second', { a: 'b' });
    expect((await has('second')).object.metadata.labels).to.deep.equal({ a: 'b' });
    expect(lists()).to.equal(1);
  });

  for (const [what, line] of [
    ['no JSON', '{"type":"ADDED","object":{'],
    ['no event', '{"hello":"world"}'],
    ['of an unknown type', '{"type":"RENAMED","object":{}}'],
  ] as const) {
    it(`lists again after a line that is ${what}, because it isn't known what was missed`, async () => {
      const { has } = await startWatching();
      const listing = proxy.next(isList);
      proxy.inject(line);
      await listing;
      await create('second');
      await has('second');
    });
  }

  it('survives an event whose object is nothing that can be read', async () => {
    const { has, cache } = await startWatching();
    proxy.inject(JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'broken', namespace } } }));
    proxy.inject(JSON.stringify({ type: 'DELETED', object: {} }));
    await create('second');
    await has('second');
    expect(cache.size).to.equal(2);
    expect(watches()).to.have.length(1);
  });

  it('takes a list in one piece when a page of it is gone, and keeps nothing twice', async () => {
    proxy.fail(isWhole, { status: 422, body: failure(422, 'Invalid') });
    proxy.fail(isPage, {
      status: 200,
      body: {
        kind: 'RoleList',
        apiVersion: 'rbac.authorization.k8s.io/v1',
        metadata: { resourceVersion: '1', continue: 'gone' },
        items: [{ metadata: { name: 'vanished', namespace, uid: 'u', resourceVersion: '1' }, rules: [] }],
      },
    });
    proxy.fail((url) => url.searchParams.has('continue'), { status: 410, body: failure(410, 'Expired') });
    await create('real');
    const { cache, events } = await startCache();
    expect(cache.list().map((role) => role.metadata.name)).to.deep.equal(['real']);
    expect(events.map(({ type, object }) => `${type} ${object.metadata.name}`)).to.have.members([
      'added vanished',
      'added real',
      'deleted vanished',
    ]);
    const last = proxy.requests.findLast(({ url, method }) => isList(url, method));
    expect(last?.url.searchParams.has('limit')).to.equal(false);
  });

  it('outlives an API server that is restarted', async () => {
    const { log, until: logged } = listeningLog();
    const { has, cache } = await startWatching({ log });
    await controlPlane.apiServer.stop();
    await logged('roles');
    expect(cache.lastError).to.be.a('string');
    await controlPlane.apiServer.start();
    await create('second');
    await has('second');
    expect(cache.lastError).to.equal(undefined);
    expect(cache.list().map((role) => role.metadata.name)).to.have.members(['first', 'second']);
  });

  it('tells that it is out of step once that has lasted, with the reason, until it is watched again', async () => {
    const { log, until: logged } = listeningLog();
    const { has, cache } = await startWatching({ log, times: { usualAbsenceMs: 500 } });
    const allow = proxy.fail(isWatch, { status: 403, body: failure(403, 'Forbidden') }, Number.POSITIVE_INFINITY);
    proxy.resetWatches();
    await logged('must allow get, list and watch');
    expect(cache.outOfStep).to.equal(undefined);
    // Each attempt waits for 0.8 s at least.
    await proxy.next(isWatch);
    expect(cache.outOfStep).to.include('must allow get, list and watch');
    allow();
    await create('second');
    await has('second');
    expect(cache.outOfStep).to.equal(undefined);
  });

  it('starts although nothing listens yet, and says so once', async () => {
    proxy.refuse(true);
    const { log, lines, until: logged } = listeningLog();
    const cache = new Cache<Role>({ client, resource: roles, namespace, log });
    cache.start(stop.signal);
    expect(await logged('the connection was closed')).to.include(proxy.credentials.server);
    expect(cache.lastError).to.include('ECONNRESET');
    expect(cache.hasSynced).to.equal(false);
    proxy.refuse(false);
    await cache.synced();
    expect(lines.filter((line) => line.includes('connection was closed'))).to.have.length(1);
  });
});
