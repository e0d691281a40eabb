// A plain HTTP server on loopback for what happens on the wire: chunks, delays, resets, odd answers.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export type Received = { method: string; url: URL; headers: IncomingMessage['headers']; body: string };
export type Wire = { server: string; received: Received[]; connections: () => number; stop: () => Promise<void> };

/** Answers each request with what `answer` does; `count` is 1 for the first request. */
export async function startWire(
  answer: (received: Received, response: ServerResponse, count: number) => void,
): Promise<Wire> {
  const received: Received[] = [];
  let connections = 0;
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => '');
    const one = {
      method: request.method ?? '',
      url: new URL(request.url ?? '', 'http://wire'),
      headers: request.headers,
      body,
    };
    received.push(one);
    answer(one, response, received.length);
  });
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    server: `http://127.0.0.1:${address.port}`,
    received,
    connections: () => connections,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** A Status object as the API server sends it. */
export function status(code: number, reason: string, message: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code };
}

/** A RoleBinding as the API server sends it. */
export function roleBinding(name: string, namespace = 'demo'): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: {
      name,
      namespace,
      uid: `uid-of-${name}`,
      resourceVersion: '7',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { 'hallpass.dev/grant': name },
      managedFields: [
        {
          manager: 'hallpass',
          operation: 'Apply',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:metadata': { 'f:labels': {} } },
        },
      ],
    },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name: 'hallpass-triage', namespace }],
  };
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to fail');
}
