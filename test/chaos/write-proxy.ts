// A proxy between hallpass and the API server that knows which step of which grant or identity a write is, and stops at the
// one that a test names: before the server has it, or after, with the answer kept back.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import * as z from 'zod';

/** A write of hallpass: `POST jobs`, `PUT agentgrants/status`. `subject` is the name of the grant or identity that it is about. */
export type Write = { step: string; namespace: string; subject: string | undefined; at: number };

/** `Before`: the server doesn't get it. `After`: hallpass doesn't get the answer. */
export type Moment = 'before' | 'after';

export type Stop = {
  subject: string;
  step: string;
  moment: Moment;
  /** Which of the subject's writes of this step; the first, unless said. */
  nth?: number;
  /** Only a write into this namespace. */
  namespace?: string;
  /** Only a write whose body contains this. */
  saying?: string;
};

export type Held = {
  /** Resolves when the write has come so far; rejects when that takes longer than 30 s. */
  arrived: Promise<void>;
  /** Lets it go on, to the server or with the answer. Resolves when the server has answered. */
  deliver(): Promise<void>;
  /** Resets the connection on which hallpass waits for the answer. */
  cut(): void;
};

export type WriteProxy = {
  /** `http://127.0.0.1:PORT` */
  url: string;
  /** Every write, leases and events and reviews aside, in the order in which they came. */
  writes: Write[];
  /** Stops a write that is still to come. */
  stopAt(stop: Stop): Held;
  /** How many watches of hallpass are open. */
  readonly watches: number;
  /** Keeps every list and watch of these resources from the server until the function that it returns is called. */
  holdReads(plurals: string[]): () => void;
  close(): Promise<void>;
};

type Waiting = Stop & {
  left: number;
  arrive: () => void;
  held: PromiseWithResolvers<void>;
  answered: () => void;
  socket?: Socket;
};

const bodySchema = z.object({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }).optional(),
  spec: z.object({ grant: z.object({ name: z.string(), uid: z.string() }).optional() }).optional(),
});
const arrivalMs = 60_000;
const notCounted = ['leases', 'events', 'subjectaccessreviews'];

/** Speaks HTTP to hallpass and TLS to the server. */
export async function startWriteProxy(server: { url: string; certificateAuthority: string }): Promise<WriteProxy> {
  const target = new URL(server.url);
  const tls = { ca: server.certificateAuthority };
  const agent = new Agent({ keepAlive: true, maxSockets: 256, ...tls });
  const sockets = new Set<Socket>();
  const writes: Write[] = [];
  const waiting: Waiting[] = [];
  let watches = 0;
  const reads: { held: string[]; until: Promise<void> } = { held: [], until: Promise.resolve() };
  /** Names of grants by their uid and by the name of their receipt. */
  const grants = new Map<string, string>();

  function writeOf(method: string, path: string, body: string): Write | undefined {
    if (method === 'GET') return undefined;
    const [pathname = ''] = path.split('?');
    const parts = pathname.split('/').slice(pathname.startsWith('/api/') ? 3 : 4);
    const [namespace, plural = '', name, subresource] =
      parts[0] === 'namespaces' && parts.length > 2 ? parts.slice(1) : ['', ...parts];
    if (notCounted.includes(plural)) return undefined;
    const parsed = bodySchema.safeParse(method === 'POST' ? JSON.parse(body) : {});
    const { metadata, spec } = parsed.success ? parsed.data : {};
    if (metadata && spec?.grant) {
      grants.set(spec.grant.uid, spec.grant.name);
      grants.set(metadata.name, spec.grant.name);
    }
    const known = name ?? metadata?.name ?? '';
    const named = known.replace(/^hallpass-/, '');
    const ownNames = ['agentgrants', 'agentidentities', 'serviceaccounts'];
    return {
      step: `${method} ${plural}${subresource ? `/${subresource}` : ''}`,
      namespace: namespace ?? '',
      subject: ownNames.includes(plural) ? named : grants.get(named),
      at: performance.now(),
    };
  }

  function stopFor(write: Write | undefined, body: string): Waiting | undefined {
    const found = waiting.filter(
      ({ subject, step, namespace, saying = '' }) =>
        subject === write?.subject &&
        step === write?.step &&
        (namespace === undefined || namespace === write.namespace) &&
        body.includes(saying),
    );
    for (const each of found) each.left -= 1;
    const stop = found.find(({ left }) => left === 0);
    if (stop) waiting.splice(waiting.indexOf(stop), 1);
    return stop;
  }

  function isHeldRead({ method, url = '' }: IncomingMessage): boolean {
    const [pathname = ''] = url.split('?');
    return method === 'GET' && reads.held.some((plural) => pathname.endsWith(`/${plural}`));
  }

  function forward(incoming: IncomingMessage, body: Buffer, response: ServerResponse, stop: Waiting | undefined): void {
    const watching = incoming.url?.includes('watch=true');
    const upstream = request({
      host: target.hostname,
      port: target.port,
      path: incoming.url,
      method: incoming.method,
      headers: { ...incoming.headers, host: target.host },
      ...(watching ? { ...tls, agent: false } : { agent }),
    });
    const end = () => {
      stop?.answered();
      stop?.arrive();
      response.destroy();
    };
    upstream.on('error', end);
    upstream.on('response', (answer) => {
      const pass = () => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        if (watching) response.flushHeaders();
      };
      answer.on('error', () => response.destroy());
      if (stop?.moment === 'after') stop.held.promise.then(pass);
      else pass();
      stop?.arrive();
      stop?.answered();
    });
    if (watching) {
      watches += 1;
      response.on('close', () => {
        watches -= 1;
        upstream.destroy();
      });
    }
    upstream.end(body);
  }

  const http = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('error', () => response.destroy());
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const write = writeOf(incoming.method ?? 'GET', incoming.url ?? '/', body.toString());
      if (write) writes.push(write);
      const stop = stopFor(write, body.toString());
      if (stop) stop.socket = incoming.socket;
      if (isHeldRead(incoming)) {
        reads.until.then(() => forward(incoming, body, response, undefined));
        return;
      }
      if (stop?.moment !== 'before') {
        forward(incoming, body, response, stop);
        return;
      }
      stop.held.promise.then(() => forward(incoming, body, response, stop));
      stop.arrive();
    });
  });
  http.keepAliveTimeout = 0;
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  return {
    url: `http://127.0.0.1:${address.port}`,
    writes,
    get watches() {
      return watches;
    },
    stopAt(stop) {
      const arrived = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      const entry: Waiting = {
        ...stop,
        left: stop.nth ?? 1,
        arrive: arrived.resolve,
        held,
        answered: answered.resolve,
      };
      waiting.push(entry);
      const late = setTimeout(() => {
        const came = writes.filter(({ subject }) => subject === stop.subject).map(({ step }) => step);
        arrived.reject(new Error(`${stop.step} of ${stop.subject} didn't come; what came: ${came.join(', ')}`));
      }, arrivalMs);
      arrived.promise.catch(() => {}).finally(() => clearTimeout(late));
      return {
        arrived: arrived.promise,
        deliver() {
          held.resolve();
          return answered.promise;
        },
        cut: () => entry.socket?.resetAndDestroy(),
      };
    },
    holdReads(plurals) {
      const released = Promise.withResolvers<void>();
      reads.held = plurals;
      reads.until = released.promise;
      return () => {
        reads.held = [];
        released.resolve();
      };
    },
    close: () =>
      new Promise((resolve) => {
        agent.destroy();
        for (const socket of sockets) socket.destroy();
        http.close(() => resolve());
      }),
  };
}
