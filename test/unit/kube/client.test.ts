import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'chai';
import { Registry } from 'prom-client';
import {
  ApiError,
  Client,
  ConnectionError,
  isExpired,
  isNotFound,
  pathOf,
  UnexpectedAnswerError,
} from '../../../src/kube/client.ts';
import { ServerClock } from '../../../src/kube/clock.ts';
import { clusterRoles, jobs, namespaces, roleBindings } from '../../../src/kube/kinds.ts';
import { createKubeMetrics } from '../../../src/kube/metrics.ts';
import { rejection, roleBinding, sendJson, startWire, status, type Wire } from './wire.ts';

const ref = { namespace: 'demo', name: 'x' };
const binding = { metadata: ref, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'x' } };

describe('the client', () => {
  let wire: Wire | undefined;
  let client: Client | undefined;

  async function connect(
    answer: Parameters<typeof startWire>[0],
    options: Partial<ConstructorParameters<typeof Client>[0]> & { token?: () => Promise<string>; prefix?: string } = {},
  ): Promise<{ client: Client; wire: Wire }> {
    const { token, prefix = '', ...others } = options;
    const started = await startWire(answer);
    const connected = new Client({ credentials: { server: started.server + prefix, token }, ...others });
    wire = started;
    client = connected;
    return { wire: started, client: connected };
  }

  afterEach(async () => {
    client?.close();
    await wire?.stop();
  });

  describe('on its connections', () => {
    it('uses one again for the next request', async () => {
      const { client, wire } = await connect((_, response) => sendJson(response, 200, roleBinding('x')));
      for (let times = 0; times < 5; times += 1) await client.get(roleBindings, ref);
      expect(wire.received).to.have.length(5);
      expect(wire.connections()).to.equal(1);
    });

    it('opens as many as there are requests in flight, at least 64', async () => {
      const { client, wire } = await connect((_, response, count) => {
        // Answers nothing before all 64 are here.
        waiting.push(response);
        if (count === 64) for (const each of waiting) sendJson(each, 200, roleBinding('x'));
      });
      const waiting: Parameters<Parameters<typeof startWire>[0]>[1][] = [];
      await Promise.all(Array.from({ length: 64 }, () => client.get(roleBindings, ref)));
      expect(wire.connections()).to.equal(64);
    });

    it('sends a request again when the server closed the kept-alive connection meanwhile', async () => {
      const { client, wire } = await connect((_, response, count) => {
        if (count === 2) response.socket?.resetAndDestroy();
        else sendJson(response, 201, roleBinding('x'));
      });
      await client.create(roleBindings, binding);
      await client.create(roleBindings, binding);
      expect(wire.received).to.have.length(3);
      expect(wire.received[2]?.body).to.equal(wire.received[1]?.body);
    });

    it('does so once more when a further kept-alive connection was closed, too', async () => {
      const { client, wire } = await connect((_, response, count) => {
        if (count === 3 || count === 4) response.socket?.resetAndDestroy();
        else sendJson(response, 201, roleBinding('x'));
      });
      await Promise.all([client.create(roleBindings, binding), client.create(roleBindings, binding)]);
      await client.create(roleBindings, binding);
      expect(wire.received).to.have.length(5);
    });

    it('does not send a write again once this process may not write any more', async () => {
      let leads = true;
      const mayWrite = () => {
        if (!leads) throw new Error('not the leader');
      };
      const { client, wire } = await connect(
        (_, response, count) => {
          if (count === 1) {
            sendJson(response, 201, roleBinding('x'));
            return;
          }
          leads = false;
          response.socket?.resetAndDestroy();
        },
        { mayWrite },
      );
      await client.create(roleBindings, binding);
      expect(String(await rejection(client.create(roleBindings, binding)))).to.include('not the leader');
      expect(wire.received).to.have.length(2);
    });

    it('does not repeat a request whose new connection is reset', async () => {
      const { client, wire } = await connect((_, response) => response.socket?.resetAndDestroy());
      expect(await rejection(client.create(roleBindings, binding)))
        .to.be.instanceOf(ConnectionError)
        .with.property('code', 'ECONNRESET');
      expect(wire.received).to.have.length(1);
    });

    it('fails when an answer breaks off', async () => {
      const { client } = await connect((_, response) => {
        response.writeHead(200, { 'Content-Length': '1000' });
        response.write('{"kind":', () => response.socket?.resetAndDestroy());
      });
      expect(await rejection(client.get(roleBindings, ref))).to.be.instanceOf(ConnectionError);
    });

    it('gives up an attempt that takes too long, headers or body', async () => {
      const { client } = await connect((_, response, count) => {
        if (count === 2) response.write('{');
      });
      for (let times = 0; times < 2; times += 1) {
        const error = await rejection(client.get(roleBindings, ref, { timeoutMs: 60 }));
        expect(error).to.be.instanceOf(ConnectionError).with.property('code', 'TIMEOUT');
      }
    });

    it('gives up when told, with the reason it was told', async () => {
      const controller = new AbortController();
      const reason = new Error('leadership lost');
      const { client } = await connect(() => controller.abort(reason));
      expect(await rejection(client.get(roleBindings, ref, { signal: controller.signal }))).to.equal(reason);
      expect(await rejection(client.get(roleBindings, ref, { signal: controller.signal }))).to.equal(reason);
    });

    it('says what was tried and what to do when nothing listens', async () => {
      const { client, wire } = await connect(() => {});
      await wire.stop();
      const error = await rejection(client.get(roleBindings, ref));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(String(error))
        .to.include(wire.server)
        .and.include('ECONNREFUSED')
        .and.include('check that the API server runs');
    });

    it('says so when the server does not speak TLS', async () => {
      const { wire } = await connect(() => {});
      const tls = new Client({ credentials: { server: wire.server.replace('http:', 'https:') } });
      const error = await rejection(tls.get(roleBindings, ref));
      expect(String(error)).to.include('does not speak TLS').and.include('http://');
    });

    it('says so when the name is unknown', async () => {
      const client = new Client({ credentials: { server: 'https://api.invalid:6443' } });
      expect(String(await rejection(client.get(roleBindings, ref)))).to.match(
        /api\.invalid.*(ENOTFOUND|EAI_AGAIN).*DNS/,
      );
    });
  });

  describe('when the server is not a Kubernetes API server', () => {
    const cases: [string, number, string, string][] = [
      ['a page of HTML', 200, 'text/html; charset=utf-8', '<html>welcome</html>'],
      ['a refusal in HTML', 403, 'text/html', '<html>log in</html>'],
      ['a redirect to a login page', 302, 'text/html', ''],
      ['other JSON', 200, 'application/json', '{"ok":true}'],
      ['a JSON list', 200, 'application/json', '[]'],
      ['another kind', 200, 'application/json', '{"kind":"Pod"}'],
      ['nothing', 200, 'application/json', ''],
    ];
    for (const [what, code, contentType, body] of cases) {
      it(`says so, with the address, on ${what}`, async () => {
        const { client, wire } = await connect((_, response) => {
          response.writeHead(code, { 'Content-Type': contentType, Location: 'https://login.example' });
          response.end(body);
        });
        for (const error of [
          await rejection(client.get(roleBindings, ref)),
          await rejection(client.list(roleBindings)),
        ]) {
          expect(error).to.be.instanceOf(UnexpectedAnswerError);
          expect(String(error)).to.include(wire.server).and.include('Check that the server address');
        }
      });
    }

    it('takes an error without a Status for what its number says', async () => {
      const { client } = await connect((_, response) => {
        response.writeHead(404, { 'Content-Type': 'text/plain' });
        response.end('404 page not found\n');
      });
      const error = await rejection(client.get(roleBindings, ref));
      expect(isNotFound(error)).to.equal(true);
      expect(String(error)).to.include('404 page not found');
    });
  });

  describe('when it is refused', () => {
    it('carries reason, message and causes', async () => {
      const refused = {
        ...status(422, 'Invalid', 'Role is invalid'),
        details: { causes: [{ reason: 'FieldValueRequired', message: 'Required value', field: 'rules[0].verbs' }] },
      };
      const { client } = await connect((_, response) => sendJson(response, 422, refused));
      const error = await rejection(client.create(roleBindings, binding));
      expect(error)
        .to.be.instanceOf(ApiError)
        .and.deep.include({
          status: 422,
          reason: 'Invalid',
          causes: [{ reason: 'FieldValueRequired', message: 'Required value', field: 'rules[0].verbs' }],
        });
    });

    it('waits as long as the server asks after 429, and sends again', async () => {
      const times: number[] = [];
      const { client } = await connect((_, response, count) => {
        times.push(performance.now());
        if (count === 1) sendJson(response, 429, status(429, 'TooManyRequests', 'later'), { 'Retry-After': '1' });
        else sendJson(response, 201, roleBinding('x'));
      });
      await client.create(roleBindings, binding);
      expect((times[1] ?? 0) - (times[0] ?? 0)).to.be.at.least(990);
    });

    it('waits no longer than it is wanted', async () => {
      const controller = new AbortController();
      const reason = new Error('stopping');
      const { client, wire } = await connect((_, response) => {
        sendJson(response, 429, status(429, 'TooManyRequests', 'later'), { 'Retry-After': '30' });
        response.on('finish', () => setImmediate(() => controller.abort(reason)));
      });
      expect(await rejection(client.get(roleBindings, ref, { signal: controller.signal }))).to.equal(reason);
      expect(wire.received).to.have.length(1);
    });

    it('sends again at most ten times, then says how long the server asked to wait', async () => {
      const { client, wire } = await connect((_, response) =>
        sendJson(response, 429, status(429, 'TooManyRequests', 'later'), { 'Retry-After': '0' }),
      );
      const error = await rejection(client.get(roleBindings, ref));
      expect(error).to.be.instanceOf(ApiError).and.include({ status: 429, retryAfterSeconds: 0 });
      expect(wire.received).to.have.length(11);
    });

    it('leaves other errors to its caller', async () => {
      const { client, wire } = await connect((_, response) =>
        sendJson(response, 500, status(500, 'InternalError', 'no')),
      );
      expect(await rejection(client.get(roleBindings, ref))).to.be.instanceOf(ApiError);
      expect(wire.received).to.have.length(1);
    });

    it('reads its token again after 401 and sends once more', async () => {
      const tokens: (boolean | undefined)[] = [];
      const token = async (options?: { refresh?: boolean }): Promise<string> => {
        tokens.push(options?.refresh);
        return options?.refresh ? 'new' : 'old';
      };
      const { client } = await connect(
        ({ headers }, response) =>
          headers.authorization === 'Bearer new'
            ? sendJson(response, 200, roleBinding('x'))
            : sendJson(response, 401, status(401, 'Unauthorized', 'Unauthorized')),
        { token },
      );
      expect((await client.get(roleBindings, ref)).metadata.name).to.equal('x');
      expect(tokens).to.deep.equal([false, true]);
    });

    it('gives up after a second 401, and never shows the token', async () => {
      const { client, wire } = await connect(
        (_, response) => sendJson(response, 401, status(401, 'Unauthorized', 'Unauthorized')),
        { token: async () => 'very-secret' },
      );
      const error = await rejection(client.get(roleBindings, ref));
      expect(error).to.be.instanceOf(ApiError).with.property('status', 401);
      expect(wire.received).to.have.length(2);
      expect(JSON.stringify(error) + String(error)).to.not.include('very-secret');
    });
  });

  describe('with lists', () => {
    const list = (items: object[], next?: string): object => ({
      kind: 'RoleBindingList',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      metadata: { resourceVersion: '42', ...(next === undefined ? {} : { continue: next }) },
      items,
    });

    it('reads page after page as of one moment', async () => {
      const { client, wire } = await connect(({ url }, response) => {
        const at = url.searchParams.get('continue');
        sendJson(response, 200, at === null ? list([roleBinding('a')], 'a=&+') : list([roleBinding('b')]));
      });
      const { items, resourceVersion } = await client.list(roleBindings, { labelSelector: 'a in (b, c)' });
      expect(items.map((item) => item.metadata.name)).to.deep.equal(['a', 'b']);
      expect(resourceVersion).to.equal('42');
      expect(wire.received.map(({ url }) => url.searchParams.get('limit'))).to.deep.equal(['500', '500']);
      expect(wire.received.map(({ url }) => url.searchParams.get('labelSelector'))).to.deep.equal(
        Array(2).fill('a in (b, c)'),
      );
      expect(wire.received.every(({ url }) => !url.searchParams.has('resourceVersion'))).to.equal(true);
      expect(wire.received[1]?.url.searchParams.get('continue')).to.equal('a=&+');
    });

    it('takes a list in one piece when its later pages are gone', async () => {
      const { client, wire } = await connect(({ url }, response) => {
        if (url.searchParams.has('continue')) sendJson(response, 410, status(410, 'Expired', 'too old'));
        else if (url.searchParams.has('limit')) sendJson(response, 200, list([roleBinding('stale')], 'next'));
        else sendJson(response, 200, list([roleBinding('a'), roleBinding('b')]));
      });
      const { items } = await client.list(roleBindings);
      expect(items.map((item) => item.metadata.name)).to.deep.equal(['a', 'b']);
      expect(wire.received).to.have.length(3);
    });

    it('fails when also the whole list is refused as too old', async () => {
      const { client } = await connect((_, response) => sendJson(response, 410, status(410, 'Expired', 'too old')));
      expect(isExpired(await rejection(client.list(roleBindings)))).to.equal(true);
    });

    it('asks for smaller pages where objects are large', async () => {
      const large = { ...roleBinding('large'), padding: 'x'.repeat(20_000) };
      const { client, wire } = await connect(({ url }, response) =>
        sendJson(response, 200, list(Array(100).fill(large), url.searchParams.has('continue') ? undefined : 'next')),
      );
      await client.list(roleBindings);
      expect(wire.received[0]?.url.searchParams.get('limit')).to.equal('500');
      expect(Number(wire.received[1]?.url.searchParams.get('limit'))).to.be.within(20, 30);
    });

    it('reads an empty list that comes as null', async () => {
      const { client } = await connect((_, response) => sendJson(response, 200, { ...list([]), items: null }));
      expect((await client.list(roleBindings)).items).to.deep.equal([]);
    });
  });

  describe('in its requests', () => {
    it('encodes names, which may hold colons, and keeps a prefix of the server’s address', async () => {
      const role = { ...roleBinding('x'), kind: 'ClusterRole' };
      const { client, wire } = await connect((_, response) => sendJson(response, 200, role), {
        prefix: '/k8s/clusters/c-1/',
      });
      await client.get(clusterRoles, { name: 'system:Node/../a b' });
      expect(wire.received[0]?.url.pathname).to.equal(
        '/k8s/clusters/c-1/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3ANode%2F..%2Fa%20b',
      );
    });

    it('refuses to ask for an object without a name or namespace, which would mean all of them', async () => {
      const { client, wire } = await connect(() => {});
      expect(String(await rejection(client.delete(roleBindings, { namespace: 'demo', name: '' })))).to.include('name');
      expect(String(await rejection(client.delete(roleBindings, { name: 'x' })))).to.include('namespace');
      expect(wire.received).to.have.length(0);
    });

    it('deletes of a namespace what the labels select, and never all of it', async () => {
      const items = [roleBinding('x'), roleBinding('y')];
      const { client, wire } = await connect((_, response) =>
        sendJson(response, 200, { kind: 'RoleBindingList', metadata: {}, items }),
      );
      const selection = { namespace: 'demo', labelSelector: 'a in (b,c)' };
      const deleted = await client.deleteCollection(roleBindings, selection, { propagationPolicy: 'Background' });
      expect(deleted.map(({ metadata }) => metadata.name)).to.deep.equal(['x', 'y']);
      const [sent] = wire.received;
      expect(sent?.method).to.equal('DELETE');
      expect(sent?.url.pathname).to.equal(pathOf(roleBindings, 'demo'));
      expect(sent?.url.searchParams.get('labelSelector')).to.equal('a in (b,c)');
      expect(JSON.parse(sent?.body ?? '')).to.include({ kind: 'DeleteOptions', propagationPolicy: 'Background' });
      for (const nothing of [{ namespace: '' }, { labelSelector: '' }]) {
        const refused = client.deleteCollection(roleBindings, { ...selection, ...nothing });
        expect(String(await rejection(refused))).to.include('needs a namespace and labels');
      }
      expect(wire.received).to.have.length(1);
    });

    it('knows the paths of core and other groups, namespaced or not', () => {
      expect(pathOf(namespaces)).to.equal('/api/v1/namespaces');
      expect(pathOf(namespaces, 'demo', 'demo')).to.equal('/api/v1/namespaces/demo');
      expect(pathOf(jobs)).to.equal('/apis/batch/v1/jobs');
      expect(pathOf(jobs, 'demo', 'x')).to.equal('/apis/batch/v1/namespaces/demo/jobs/x');
    });

    it('names its field manager in every write', async () => {
      const { client, wire } = await connect((_, response) => sendJson(response, 200, roleBinding('x')));
      const object = await client.create(roleBindings, binding);
      await client.replace(roleBindings, object);
      await client.patch(roleBindings, ref, binding, { type: 'apply', force: true });
      await client.patch(roleBindings, ref, { metadata: {} }, { type: 'merge', subresource: 'status' });
      expect(wire.received.map(({ url }) => url.searchParams.get('fieldManager'))).to.deep.equal(
        Array(4).fill('hallpass'),
      );
      expect(wire.received[2]?.url.searchParams.get('force')).to.equal('true');
      expect(wire.received[2]?.headers['content-type']).to.equal('application/apply-patch+yaml');
      expect(JSON.parse(wire.received[2]?.body ?? '')).to.include({ kind: 'RoleBinding' });
      expect(wire.received[3]?.url.pathname).to.match(/\/x\/status$/);
      expect(JSON.parse(wire.received[3]?.body ?? '')).to.deep.equal({ metadata: {} });
    });

    it('deletes only what is meant when told its uid', async () => {
      const { client, wire } = await connect((_, response) => sendJson(response, 200, status(200, '', '')));
      await client.delete(roleBindings, ref, { uid: 'u', propagationPolicy: 'Background' });
      expect(JSON.parse(wire.received[0]?.body ?? '')).to.deep.equal({
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid: 'u' },
        propagationPolicy: 'Background',
      });
    });

    it('says which object and field cannot be read', async () => {
      const { client } = await connect((_, response) => sendJson(response, 200, { ...roleBinding('x'), roleRef: 7 }));
      const error = await rejection(client.get(roleBindings, ref));
      expect(error).to.be.instanceOf(UnexpectedAnswerError);
      expect(String(error)).to.include('RoleBinding demo/x').and.include('roleRef');
    });
  });

  it('tells its clock the time of each answer', async () => {
    const clock = new ServerClock();
    const date = new Date(Date.now() + 3_600_000).toUTCString();
    const { client } = await connect((_, response) => sendJson(response, 200, roleBinding('x'), { Date: date }), {
      clock,
    });
    await client.get(roleBindings, ref);
    expect(clock.offsetMs).to.be.closeTo(3_600_000, 1100);
  });

  it('counts requests by method, kind and answer, with no name in any label', async () => {
    const registry = new Registry();
    const { client } = await connect(
      (_, response, count) =>
        count === 1
          ? sendJson(response, 404, status(404, 'NotFound', 'no'))
          : sendJson(response, 201, { kind: 'TokenRequest' }),
      { metrics: createKubeMetrics(registry) },
    );
    await rejection(client.get(roleBindings, { namespace: 'secret-namespace', name: 'secret-name' }));
    await client.createRaw('/api/v1/namespaces/secret-namespace/serviceaccounts/secret-name/token', {});
    const text = await registry.metrics();
    expect(text).to.include('rest_client_requests_total{method="GET",resource="rolebindings",code="404"} 1');
    expect(text).to.include('rest_client_requests_total{method="POST",resource="serviceaccounts/token",code="201"} 1');
    expect(text).to.not.include('secret-');
  });

  it('reports a server that accepts connections and says nothing', async () => {
    const server = createServer(() => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const silent = new Client({ credentials: { server: `http://127.0.0.1:${port}` } });
    const error = await rejection(silent.get(roleBindings, ref, { timeoutMs: 50 }));
    expect(String(error)).to.include('no answer came in time');
    silent.close();
    server.close();
  });
});
