// Health and metrics over HTTP: /livez, /readyz, /metrics.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

/** Whether hallpass can do its work, and what a person should know beside that. */
export type Readiness = { ready: boolean; notes: string[] };

/**
 * Serves health and metrics on an address such as `127.0.0.1:8080`. /livez answers as long as the process turns. /readyz is 503
 * until `readiness` says ready; its body has a line a note. Port 0 takes a free one; the address taken is returned.
 */
export async function serveHealth(o: {
  address: string;
  registry: Registry;
  readiness: () => Readiness;
}): Promise<{ server: Server; address: string }> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: string, type = 'text/plain; charset=utf-8') => {
      response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(body);
    };
    const [path] = (request.url ?? '').split('?');
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'only GET\n');
    if (path === '/livez') return answer(200, 'ok\n');
    if (path === '/readyz') {
      const { ready, notes } = o.readiness();
      return answer(ready ? 200 : 503, `${[ready ? 'ok' : 'not ready', ...notes].join('\n')}\n`);
    }
    if (path !== '/metrics') return answer(404, 'there are /livez, /readyz and /metrics\n');
    o.registry.metrics().then(
      (text) => answer(200, text, o.registry.contentType),
      () => answer(500, 'the metrics could not be collected\n'),
    );
  });
  const { host, port } = parseAddress(o.address);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another process listens there' : error.message;
      reject(new Error(`health and metrics cannot be served on ${o.address}: ${why}; name another --health-address`));
    });
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  return { server, address: addressOf(server.address()) };
}

/** Splits `HOST:PORT`; throws with what is expected. */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?<port>\d{1,5})$/.exec(address);
  const port = Number(match?.groups?.port);
  if (!match?.groups?.host || port > 65535) {
    throw new Error(`${address} is no address to listen on: write HOST:PORT, such as 127.0.0.1:8080`);
  }
  return { host: match.groups.host.replace(/^\[|\]$/g, ''), port };
}

function addressOf(address: string | AddressInfo | null): string {
  if (address === null || typeof address === 'string') return address ?? '';
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
