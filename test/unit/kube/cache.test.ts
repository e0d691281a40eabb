import { expect } from 'chai';
import { Cache } from '../../../src/kube/cache.ts';
import { Client } from '../../../src/kube/client.ts';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { turnsDuring } from './cut.ts';
import { roleBinding, sendJson, startWire, status, type Wire } from './wire.ts';

// What matters is how much comes and how fast, not who sends it: a plain server sends 10,000 objects in pages of 500.
describe('a cache of 10,000 objects', () => {
  const pages = 20;
  const pageSize = 500;
  let wire: Wire;
  let client: Client;
  let stop: AbortController;
  let servesWhole: boolean;

  const itemsOf = (number: number) =>
    Array.from({ length: pageSize }, (_, position) =>
      roleBinding(`hallpass-${number}-${position}`, `tenant-${position % 100}`),
    );
  const listOf = (items: object[], next?: number): string => {
    const metadata = { resourceVersion: '42', ...(next !== undefined && next < pages && { continue: `${next}` }) };
    return JSON.stringify({ kind: 'RoleBindingList', apiVersion: 'rbac.authorization.k8s.io/v1', metadata, items });
  };

  before(async () => {
    const items = Array.from({ length: pages }, (_, number) => itemsOf(number));
    const prepared = items.map((each, number) => listOf(each, number + 1));
    const whole = listOf(items.flat());
    wire = await startWire(({ url }, response) => {
      const [watches, paged] = [url.searchParams.has('watch'), url.searchParams.has('limit')];
      if (!watches && !paged && !servesWhole) {
        sendJson(response, 413, status(413, 'RequestEntityTooLarge', 'too large'));
        return;
      }
      response.writeHead(200, { 'Content-Type': 'application/json' });
      if (watches) response.flushHeaders();
      else response.end(paged ? prepared[Number(url.searchParams.get('continue') ?? 0)] : whole);
    });
    client = new Client({ credentials: { server: wire.server } });
  });
  after(async () => {
    client.close();
    await wire.stop();
  });
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());

  async function fill() {
    const cache = new Cache({
      client,
      resource: roleBindings,
      log: silentLog,
      indexes: {
        grant: ({ metadata }) => [metadata.labels?.['hallpass.dev/grant'] ?? ''],
        namespace: ({ metadata }) => [metadata.namespace ?? ''],
      },
    });
    let events = 0;
    cache.subscribe(() => {
      events += 1;
    });
    const turns = await turnsDuring(() => {
      cache.start(stop.signal);
      return cache.synced();
    });
    expect(cache.size).to.equal(pages * pageSize);
    expect(events).to.equal(pages * pageSize);
    return { cache, turns };
  }

  for (const [how, whole] of [
    ['as its list comes in one piece', true],
    ['page by page', false],
  ] as const) {
    it(`is filled ${how}, in small pieces of time`, async () => {
      servesWhole = whole;
      const { turns } = await fill();
      expect(wire.received.some(({ url }) => url.searchParams.has('limit'))).to.equal(!whole);
      // Whatever else the process has to do got its turn in between.
      expect(turns).to.be.greaterThan(pages);
    });
  }

  it('answers from its indexes at once', async () => {
    const { cache } = await fill();
    for (let times = 0; times < 1000; times += 1) {
      expect(cache.byIndex('grant', `hallpass-7-${times % pageSize}`).length).to.equal(1);
    }
    expect(cache.byIndex('namespace', 'tenant-7')).to.have.length(100);
    expect(cache.byIndex('namespace', 'tenant-x')).to.deep.equal([]);
  });
});
