import { expect } from 'chai';
import { DeletedTogether } from '../../../src/controllers/deleted-together.ts';
import { Client, isForbidden } from '../../../src/kube/client.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { roleBinding, sendJson, startWire, status, type Wire } from '../kube/wire.ts';

const uid = (at: number) => `00000000-0000-4000-8000-00000000000${at}`;
const ref = (at: number, namespace = 'demo') => ({ namespace, name: `hallpass-${uid(at)}` });

describe('DeletedTogether', () => {
  let wire: Wire;
  let client: Client;
  afterEach(async () => {
    client.close();
    await wire.stop();
  });

  /** A server that deletes together what `goes` says, and each by itself unless that is forbidden. */
  async function connect(
    o: { copied?: number; goes?: number[]; kept?: number[]; together?: number | 'silent'; forbidden?: number } = {},
  ) {
    wire = await startWire(({ url }, response) => {
      const [name] = url.pathname.split('/').slice(-1);
      if (name !== 'rolebindings') {
        if (name === ref(o.forbidden ?? -1).name) sendJson(response, 403, status(403, 'Forbidden', 'no'));
        else sendJson(response, 200, status(200, '', ''));
      } else if (o.together === 'silent') {
        // Says nothing, for as long as it is waited for.
      } else if (o.together) {
        sendJson(response, o.together, status(o.together, 'Forbidden', 'not together'));
      } else {
        const items = (o.goes ?? []).map((at) => {
          const finalizers = o.kept?.includes(at) ? ['example.com/kept'] : undefined;
          const metadata = { ...ref(at), uid: `uid-of-${at}`, resourceVersion: '7', finalizers };
          return { ...roleBinding(ref(at).name), metadata };
        });
        sendJson(response, 200, { kind: 'RoleBindingList', metadata: {}, items });
      }
    });
    const credentials = { server: wire.server };
    client = new Client({ credentials });
    let guarded = true;
    const together = new DeletedTogether({
      client,
      log: silentLog,
      guarded: () => guarded,
      isCopied: (of) => of === uid(o.copied ?? 0),
    });
    return { together, unguard: () => (guarded = false) };
  }
  /** What was asked of the server, in an order of its own. */
  const asked = () =>
    wire.received
      .map(({ url }) => {
        const [namespace, , name] = url.pathname.split('/').slice(5);
        return `${namespace} ${name ?? url.searchParams.get('labelSelector')}`;
      })
      .sort();

  it('deletes with one request what is asked for in one turn, for each namespace', async () => {
    const { together } = await connect({ goes: [1, 2, 3, 4] });
    const deleteBinding = together.open();
    const those = [ref(1), ref(2), ref(3, 'other'), ref(4, 'other')].map(deleteBinding);
    expect(await Promise.all(those)).to.deep.equal([undefined, undefined, undefined, undefined]);
    expect(asked()).to.deep.equal([
      `demo hallpass.dev/grant in (${uid(1)},${uid(2)})`,
      `other hallpass.dev/grant in (${uid(3)},${uid(4)})`,
    ]);
  });

  it('deletes by itself what is alone in its namespace, comes later, or has a name that is no grant’s', async () => {
    const { together } = await connect({ goes: [1, 2] });
    const deleteBinding = together.open();
    const odd = { namespace: 'demo', name: 'somebodys' };
    await Promise.all([ref(1), ref(2), ref(3, 'other'), odd].map(deleteBinding));
    await deleteBinding(ref(4));
    expect(asked()).to.deep.equal([
      `demo ${ref(4).name}`,
      `demo hallpass.dev/grant in (${uid(1)},${uid(2)})`,
      'demo somebodys',
      `other ${ref(3).name}`,
    ]);
  });

  it('deletes by itself whose label something has that is no grant’s', async () => {
    const { together } = await connect({ copied: 2, goes: [1, 3] });
    await Promise.all([ref(1), ref(2), ref(3)].map(together.open()));
    expect(asked()).to.deep.equal([`demo ${ref(2).name}`, `demo hallpass.dev/grant in (${uid(1)},${uid(3)})`]);
  });

  it('deletes by itself, too, what did not go with the others, or what a finalizer keeps', async () => {
    const { together } = await connect({ goes: [1, 2], kept: [2] });
    await Promise.all([ref(1), ref(2), ref(3)].map(together.open()));
    expect(asked().slice(0, 2)).to.deep.equal([`demo ${ref(2).name}`, `demo ${ref(3).name}`]);
  });

  it('deletes each by itself when they may not go together, with the errors of each, and for some time on', async () => {
    const { together } = await connect({ together: 403, forbidden: 2 });
    expect(together.isPossible).to.equal(true);
    const results = await Promise.allSettled([ref(1), ref(2)].map(together.open()));
    expect(results.map((result) => result.status)).to.deep.equal(['fulfilled', 'rejected']);
    const [, refused] = results;
    expect(refused?.status === 'rejected' && isForbidden(refused.reason)).to.equal(true);
    expect(together.isPossible).to.equal(false);
  });

  it('deletes each by itself when that takes too long together', async function () {
    this.timeout(10_000);
    const { together } = await connect({ together: 'silent' });
    await Promise.all([ref(1), ref(2)].map(together.open()));
    expect(asked().slice(0, 2)).to.deep.equal([`demo ${ref(1).name}`, `demo ${ref(2).name}`]);
    expect(together.isPossible).to.equal(false);
  });

  it('is not to be tried while guards are missing, since labels alone would then say what goes', async () => {
    const { together, unguard } = await connect();
    expect(together.isPossible).to.equal(true);
    unguard();
    expect(together.isPossible).to.equal(false);
  });
});
