// A proxy in front of the real API server that does what networks and load balancers do: resets, errors, silence, crumbs.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import type { Credentials } from '../../src/kube/credentials.ts';

type Fault = { status: number; headers?: Record<string, string>; body?: object | string } | 'reset';
type Matcher = (url: URL, method: string) => boolean;

export type FaultyProxy = {
  credentials: Credentials;
  /** What was asked, in order. */
  requests: { method: string; url: URL }[];
  /** Answers the next `times` matching requests itself, or those until the function that it returns is called. */
  fail: (matches: Matcher, fault: Fault, times?: number) => () => void;
  /** Keeps the next `times` matching requests back, passed on when released; `arrived` once the first has come. */
  hold: (matches: Matcher, times?: number) => { arrived: Promise<void>; release: () => void };
  /** Resolves with the next matching request from now on, as soon as it comes. */
  next: (matches: Matcher) => Promise<URL>;
  /** Resolves when the next watch from now on is open. */
  nextOpen: () => Promise<void>;
  /** Resets the connections of all open watches. */
  resetWatches: () => void;
  /** Ends all open watches as the server would. */
  endWatches: () => void;
  /** Cuts all open watches after the next event, in the middle of a line. */
  cutNextLine: () => void;
  /** From now on open watches get no bytes, nor an end. New ones do. */
  silenceWatches: () => void;
  /** From now on open watches lag: their bytes are kept back. The function that it returns lets them through. */
  holdWatches: () => () => void;
  /** Writes a line into all open watches. */
  inject: (line: string) => void;
  /** From now on every byte of a watch comes in a chunk of its own. */
  crumble: () => void;
  /** Refuses all connections until told otherwise. */
  refuse: (refusing: boolean) => void;
  stop: () => Promise<void>;
};

export const isWatch: Matcher = (url) => url.searchParams.get('watch') === 'true';
export const isList: Matcher = (url, method) => method === 'GET' && !isWatch(url, method);
/** A list that is asked for in one piece. */
export const isWhole: Matcher = (url, method) => isList(url, method) && !url.searchParams.has('limit');

type OpenWatch = { response: ServerResponse; silent: boolean; cut: boolean; held?: Buffer[] };

/** Starts the proxy on loopback, without TLS; it authenticates to the API server with the given client certificate. */
export async function startFaultyProxy(credentials: Credentials): Promise<FaultyProxy> {
  const requests: FaultyProxy['requests'] = [];
  const faults: { matches: Matcher; fault: Fault; left: number }[] = [];
  const waiting: { matches: Matcher; resolve: (url: URL) => void }[] = [];
  const holding: { matches: Matcher; left: number; arrive: () => void; released: Promise<void> }[] = [];
  const opening: (() => void)[] = [];
  const watches = new Set<OpenWatch>();
  const sockets = new Set<Socket>();
  const target = new URL(credentials.server);
  const tls = {
    ca: credentials.certificateAuthority,
    cert: credentials.clientCertificate,
    key: credentials.clientKey,
  };
  const agent = new Agent({ keepAlive: true, ...tls });
  let crumbling = false;
  let refusing = false;

  function takeFault(url: URL, method: string): Fault | undefined {
    const found = faults.find((each) => each.left > 0 && each.matches(url, method));
    if (found) found.left -= 1;
    return found?.fault;
  }

  function forwardWatch(upstream: IncomingMessage, response: ServerResponse): void {
    const open: OpenWatch = { response, silent: false, cut: false };
    watches.add(open);
    response.on('close', () => {
      watches.delete(open);
      upstream.destroy();
    });
    response.flushHeaders();
    for (const resolve of opening.splice(0)) resolve();
    upstream.on('data', (chunk: Buffer) => {
      if (open.silent || response.destroyed) return;
      if (open.held) {
        open.held.push(chunk);
        return;
      }
      if (open.cut) {
        response.write(chunk.subarray(0, Math.floor(chunk.length / 2)), () => response.socket?.resetAndDestroy());
      } else if (crumbling) {
        for (const byte of chunk) response.write(Buffer.of(byte));
      } else {
        response.write(chunk);
      }
    });
    upstream.on('end', () => open.silent || response.end());
    upstream.on('error', () => open.silent || response.destroy());
  }

  const server = createServer((incoming, response) => {
    const method = incoming.method ?? 'GET';
    const url = new URL(incoming.url ?? '/', credentials.server);
    requests.push({ method, url });
    for (const each of waiting.filter((one) => one.matches(url, method))) {
      waiting.splice(waiting.indexOf(each), 1);
      each.resolve(url);
    }
    const hold = holding.find(({ left, matches }) => left > 0 && matches(url, method));
    if (hold) {
      hold.left -= 1;
      hold.released.then(() => answer(url, method, incoming, response));
      hold.arrive();
    } else {
      answer(url, method, incoming, response);
    }
  });

  function answer(url: URL, method: string, incoming: IncomingMessage, response: ServerResponse): void {
    const fault = takeFault(url, method);
    if (fault === 'reset') {
      incoming.socket.resetAndDestroy();
      return;
    }
    if (fault) {
      const text = typeof fault.body === 'string';
      response.writeHead(fault.status, { 'Content-Type': text ? 'text/plain' : 'application/json', ...fault.headers });
      response.end(typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? {}));
      return;
    }
    const watching = isWatch(url, method);
    const upstream = request({
      host: target.hostname,
      port: target.port,
      path: incoming.url,
      method,
      headers: { ...incoming.headers, host: target.host },
      ...(watching ? { ...tls, agent: false } : { agent }),
    });
    upstream.on('error', () => response.destroy());
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (watching && answer.statusCode === 200) forwardWatch(answer, response);
      else answer.pipe(response);
      response.on('close', () => response.writableFinished || upstream.destroy());
    });
    incoming.pipe(upstream);
  }
  server.on('connection', (socket) => {
    if (refusing) socket.resetAndDestroy();
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  return {
    credentials: { server: `http://127.0.0.1:${address.port}` },
    requests,
    fail(matches, fault, times = 1) {
      const added = { matches, fault, left: times };
      faults.push(added);
      return () => {
        added.left = 0;
      };
    },
    hold(matches, times = 1) {
      const arrived = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      const added = { matches, left: times, arrive: arrived.resolve, released: released.promise };
      holding.push(added);
      return {
        arrived: arrived.promise,
        release() {
          added.left = 0;
          released.resolve();
        },
      };
    },
    next: (matches) => new Promise((resolve) => waiting.push({ matches, resolve })),
    nextOpen: () => new Promise((resolve) => opening.push(resolve)),
    resetWatches: () => {
      for (const { response } of watches) response.socket?.resetAndDestroy();
    },
    endWatches: () => {
      for (const { response } of watches) response.end();
    },
    cutNextLine: () => {
      for (const open of watches) open.cut = true;
    },
    silenceWatches: () => {
      for (const open of watches) open.silent = true;
    },
    holdWatches: () => {
      const held = [...watches];
      for (const open of held) open.held = [];
      return () => {
        for (const open of held) {
          for (const chunk of open.held ?? []) open.response.write(chunk);
          open.held = undefined;
        }
      };
    },
    inject: (line) => {
      for (const { response } of watches) response.write(`${line}\n`);
    },
    crumble: () => {
      crumbling = true;
    },
    refuse: (value) => {
      refusing = value;
      if (value) for (const socket of sockets) socket.resetAndDestroy();
    },
    stop: () =>
      new Promise((resolve) => {
        agent.destroy();
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
