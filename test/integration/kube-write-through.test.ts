import { expect } from 'chai';
import { Cache } from '../../src/kube/cache.ts';
import { Client } from '../../src/kube/client.ts';
import { loadCredentials } from '../../src/kube/credentials.ts';
import { namespaces, type Role, roles } from '../../src/kube/kinds.ts';
import { silentLog } from '../../src/kube/log.ts';
import { pathOf } from '../../src/kube/paths.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { type FaultyProxy, isList, isWatch, startFaultyProxy } from './faulty-proxy.ts';
import { recorded } from './observed.ts';

describe('a cache that is written through', () => {
  let controlPlane: ControlPlane;
  let direct: Client;
  let proxy: FaultyProxy;
  let client: Client;
  let stop: AbortController;
  let namespace: string;
  let count = 0;
  let cache: Cache<Role>;
  let recording: ReturnType<typeof recorded<Role>>;
  let first: Role;

  const create = (name: string) => direct.create(roles, { metadata: { namespace, name }, rules: [] });
  const label = (name: string, value: string) =>
    direct.patch(roles, { namespace, name }, { metadata: { labels: { value } } }, { type: 'merge' });
  const history = (name: string) =>
    recording.events
      .filter(({ object }) => object.metadata.name === name)
      .map(({ type, object, own }) => `${type} ${object.metadata.labels?.value ?? ''} ${own ? 'own' : 'seen'}`);
  // Everything before it has come through once this one has.
  const upToNow = async (): Promise<void> => {
    const marker = await create(`marker-${Math.random().toString(36).slice(2)}`);
    await recording.until(({ object }) => object.metadata.uid === marker.metadata.uid);
  };
  const expired = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code: 410,
    reason: 'Expired',
    message: 'too old',
  };

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
    proxy = await startFaultyProxy(await loadCredentials({ kubeconfig: controlPlane.kubeconfig }));
    client = new Client({ credentials: proxy.credentials });
    count += 1;
    namespace = `write-through-${count}`;
    await direct.create(namespaces, { metadata: { name: namespace } });
    cache = new Cache<Role>({ client, resource: roles, namespace, log: silentLog });
    recording = recorded(cache);
    const open = proxy.nextOpen();
    cache.start(stop.signal);
    await open;
    first = await create('first');
    await recording.until(({ object }) => object.metadata.name === 'first');
  });
  afterEach(async () => {
    stop.abort();
    client.close();
    await proxy.stop();
  });

  it('shows a write at once, and once', async () => {
    const release = proxy.holdWatches();
    const created = await create('own');
    cache.observe(created);
    expect(cache.get(created.metadata)).to.deep.equal(created);
    release();
    await upToNow();
    expect(history('own')).to.deep.equal(['added  own']);
  });

  it('never goes back to a state from before a write', async () => {
    const release = proxy.holdWatches();
    await label('first', 'theirs');
    const ours = await label('first', 'ours');
    cache.observe(ours);
    release();
    await upToNow();
    expect(history('first')).to.deep.equal(['added  seen', 'updated ours own']);
    cache.observe(first);
    expect(cache.get(first.metadata)).to.deep.equal(ours);
  });

  it('shows a write once whose answer comes after the watch has told of it', async () => {
    await cache.writing(first.metadata, async () => {
      const ours = await label('first', 'ours');
      await upToNow();
      return ours;
    });
    expect(history('first')).to.deep.equal(['added  seen', 'updated ours own']);
    await cache.deleting(first.metadata, async () => {
      const lives = await direct.delete(roles, first.metadata);
      await upToNow();
      return lives;
    });
    expect(history('first').slice(2)).to.deep.equal(['deleted ours own']);
  });

  it('shows what others wrote while a write was under way, and that of a write that failed', async () => {
    await cache.writing(first.metadata, async () => {
      const ours = await label('first', 'ours');
      await label('first', 'theirs');
      await upToNow();
      return ours;
    });
    expect(history('first')).to.deep.equal(['added  seen', 'updated ours own', 'updated theirs seen']);
    const failed = cache.writing(first.metadata, async () => {
      await label('first', 'lost');
      await upToNow();
      throw new Error('no answer came');
    });
    await failed.then(
      () => expect.fail('it is said to have succeeded'),
      () => {},
    );
    expect(history('first').slice(3)).to.deep.equal(['updated lost seen']);
  });

  it('holds back for a second at most what the watch tells during a write', async () => {
    const answered = Promise.withResolvers<Role>();
    const writing = cache.writing(first.metadata, () => answered.promise);
    const theirs = await label('first', 'theirs');
    await recording.until(({ object }) => object.metadata.labels?.value === 'theirs');
    answered.resolve(theirs);
    await writing;
    expect(history('first')).to.deep.equal(['added  seen', 'updated theirs seen']);
  });

  it('shows what others changed after a write', async () => {
    const release = proxy.holdWatches();
    cache.observe(await label('first', 'ours'));
    await label('first', 'theirs');
    release();
    await upToNow();
    expect(history('first')).to.deep.equal(['added  seen', 'updated ours own', 'updated theirs seen']);
  });

  it('forgets a deleted object at once, whatever the watch says of the time before', async () => {
    const release = proxy.holdWatches();
    await label('first', 'theirs');
    await direct.delete(roles, first.metadata);
    cache.forget(first.metadata);
    expect(cache.get(first.metadata)).to.equal(undefined);
    release();
    await upToNow();
    expect(history('first')).to.deep.equal(['added  seen', 'deleted  own']);
  });

  it('keeps what was made anew, whatever the watch says of the one before', async () => {
    const release = proxy.holdWatches();
    await direct.delete(roles, first.metadata);
    cache.forget(first.metadata);
    const renewed = await create('first');
    cache.observe(renewed);
    release();
    await upToNow();
    expect(history('first')).to.deep.equal(['added  seen', 'deleted  own', 'added  own']);
    expect(cache.get(first.metadata)).to.deep.equal(renewed);
  });

  it('brings back an object that was forgotten but lives on by a finalizer', async () => {
    const finalizers = ['hallpass.test/holds'];
    await direct.patch(roles, first.metadata, { metadata: { finalizers } }, { type: 'merge' });
    await upToNow();
    // What the watch says of the deletion comes after it was forgotten, as the answer to a deletion may come first.
    const release = proxy.holdWatches();
    await direct.delete(roles, first.metadata);
    cache.forget(first.metadata);
    release();
    await upToNow();
    expect(cache.get(first.metadata)?.metadata.deletionTimestamp).to.be.a('string');
    await direct.patch(roles, first.metadata, { metadata: { finalizers: [] } }, { type: 'merge' });
    await upToNow();
    expect(cache.get(first.metadata)).to.equal(undefined);
  });

  it('is not given back what was deleted, by an answer that comes late', async () => {
    const late = await label('first', 'ours');
    await direct.delete(roles, first.metadata);
    await recording.until(({ type }) => type === 'deleted');
    cache.observe(late);
    expect(cache.get(first.metadata)).to.equal(undefined);
  });

  it('keeps a write through a list that is older than it', async () => {
    proxy.holdWatches();
    const older = await direct.getRaw(pathOf(roles, namespace));
    const created = await create('own');
    const ours = await label('first', 'ours');
    if (typeof older !== 'object' || older === null) throw new Error('no list');
    await create('unseen');
    proxy.fail(isWatch, { status: 410, body: expired });
    proxy.fail(isList, { status: 200, body: older });
    cache.observe(created);
    cache.observe(ours);
    proxy.resetWatches();
    await recording.until(({ object }) => object.metadata.name === 'unseen');
    expect(history('own')).to.deep.equal(['added  own']);
    expect(history('first')).to.deep.equal(['added  seen', 'updated ours own']);
    expect(cache.get(first.metadata)?.metadata.labels).to.deep.equal({ value: 'ours' });
  });

  it('takes everything from a cluster that was restored from a backup, although it is older', async () => {
    const restored = {
      kind: 'RoleList',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      metadata: { resourceVersion: '2' },
      items: [{ metadata: { ...first.metadata, resourceVersion: '1', labels: { value: 'restored' } }, rules: [] }],
    };
    await create('lost');
    await upToNow();
    proxy.fail(isWatch, { status: 410, body: expired });
    proxy.fail(isList, { status: 200, body: restored });
    proxy.resetWatches();
    await recording.until(({ object }) => object.metadata.labels?.value === 'restored');
    await recording.until(({ type, object }) => type === 'deleted' && object.metadata.name === 'lost');
  });
});
