import { expect } from 'chai';
import { Cache } from '../../../src/kube/cache.ts';
import { Client } from '../../../src/kube/client.ts';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { roleBinding, sendJson, startWire, status, type Wire } from './wire.ts';

// What matters is how much comes and how fast, not who sends it: a plain server sends 10,000 objects in pages of 500.
describe('a cache of 10,000 objects', () => {
  const pages = 20;
  const pageSize = 500;
  let wire: Wire;
  let client: Client;
  const stop = new AbortController();

  const page = (number: number): string => {
    const items = Array.from({ length: pageSize }, (_, position) =>
      roleBinding(`hallpass-${number}-${position}`, `tenant-${position % 100}`),
    );
    const next = number + 1 < pages ? { continue: String(number + 1) } : {};
    const metadata = { resourceVersion: '42', ...next };
    return JSON.stringify({ kind: 'RoleBindingList', apiVersion: 'rbac.authorization.k8s.io/v1', metadata, items });
  };

  before(async () => {
    const prepared = Array.from({ length: pages }, (_, number) => page(number));
    wire = await startWire(({ url }, response) => {
      if (url.searchParams.has('sendInitialEvents')) {
        sendJson(response, 422, status(422, 'Invalid', 'sendInitialEvents is forbidden'));
        return;
      }
      response.writeHead(200, { 'Content-Type': 'application/json' });
      if (url.searchParams.has('watch')) response.flushHeaders();
      else response.end(prepared[Number(url.searchParams.get('continue') ?? 0)]);
    });
    client = new Client({ credentials: { server: wire.server } });
  });
  after(async () => {
    stop.abort();
    client.close();
    await wire.stop();
  });

  it('is filled page by page, in small pieces of time, and answers from its indexes at once', async () => {
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
    let turns = 0;
    let filling = true;
    const turn = () => {
      turns += 1;
      if (filling) setImmediate(turn);
    };
    setImmediate(turn);
    cache.start(stop.signal);
    await cache.synced();
    filling = false;
    expect(cache.size).to.equal(pages * pageSize);
    expect(events).to.equal(pages * pageSize);
    // Whatever else the process has to do got its turn in between.
    expect(turns).to.be.greaterThan(pages);

    for (let times = 0; times < 1000; times += 1) {
      expect(cache.byIndex('grant', `hallpass-7-${times % pageSize}`).length).to.equal(1);
    }
    expect(cache.byIndex('namespace', 'tenant-7')).to.have.length(100);
    expect(cache.byIndex('namespace', 'tenant-x')).to.deep.equal([]);
  });
});
