// Sends one HTTP request: kept-alive connections for requests, a socket of its own for each stream.
import http from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import { connectionError } from './api-error.ts';
import type { ServerClock } from './clock.ts';
import type { Credentials } from './credentials.ts';

/** A complete answer, whatever its status. */
export type Answer = { status: number; contentType: string; retryAfter: string | undefined; body: string };

type Outgoing = {
  method: string;
  path: string;
  body?: string;
  contentType?: string;
  /** Until the end of the answer; of a stream, until its headers. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** Called right before each time that it is sent; what it throws is thrown to the caller, and nothing is sent. */
  mayBeSent?: () => void;
};

// Go's API server closes a connection after 90 s without a request; closing first avoids most races with it.
const idleSocketMs = 60_000;
const tcpKeepAliveMs = 30_000;

/** The connections to one API server. */
export class Transport {
  readonly server: string;
  readonly #credentials: Credentials;
  readonly #clock: ServerClock | undefined;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;
  readonly #target: https.RequestOptions;
  readonly #streamTls: https.RequestOptions;
  readonly #basePath: string;
  readonly #headers: Record<string, string>;

  constructor(options: { credentials: Credentials; userAgent: string; clock?: ServerClock }) {
    const { credentials } = options;
    const url = new URL(credentials.server);
    this.server = url.origin;
    this.#credentials = credentials;
    this.#clock = options.clock;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#target = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || undefined };
    this.#headers = { Accept: 'application/json', 'User-Agent': options.userAgent };
    const agentOptions = { keepAlive: true, keepAliveMsecs: tcpKeepAliveMs, maxSockets: 128, maxFreeSockets: 128 };
    if (url.protocol === 'https:') {
      // One context for all: certificates are read once, and the agent's key for a connection stays short.
      const tls = {
        secureContext: createSecureContext({
          ca: credentials.certificateAuthority,
          cert: credentials.clientCertificate,
          key: credentials.clientKey,
        }),
        ...(credentials.serverName === undefined ? {} : { servername: credentials.serverName }),
        rejectUnauthorized: !credentials.insecureSkipTlsVerify,
      };
      this.#agent = new https.Agent({ ...agentOptions, ...tls, timeout: idleSocketMs });
      this.#streamTls = tls;
      this.#request = https.request;
    } else {
      this.#agent = new http.Agent({ ...agentOptions, timeout: idleSocketMs });
      this.#streamTls = {};
      this.#request = http.request;
    }
  }

  /** Whether a 401 may pass with credentials that are read again. */
  get canRefresh(): boolean {
    return this.#credentials.token !== undefined;
  }

  async #headersFor(outgoing: Outgoing, refreshToken: boolean): Promise<http.OutgoingHttpHeaders> {
    const headers: http.OutgoingHttpHeaders = { ...this.#headers };
    if (this.#credentials.token) {
      headers.Authorization = `Bearer ${await this.#credentials.token({ refresh: refreshToken })}`;
    }
    if (outgoing.body !== undefined) {
      headers['Content-Type'] = outgoing.contentType ?? 'application/json';
      headers['Content-Length'] = Buffer.byteLength(outgoing.body);
    }
    return headers;
  }

  /** Sends a request and reads its whole answer. Throws a ConnectionError when none came, or the signal's reason. */
  async send(outgoing: Outgoing, refreshToken = false): Promise<Answer> {
    const headers = await this.#headersFor(outgoing, refreshToken);
    for (;;) {
      try {
        return await this.#exchange(outgoing, headers, readWhole);
      } catch (error) {
        // The server closed a kept-alive connection just when it was used again: nothing was answered on it. Sending again
        // is safe, also for writes, because their answer is the same or a 409 that callers take for an answer anyway. It
        // comes to an end, at the latest on a new connection.
        if (!(error instanceof StaleSocketError)) throw error;
      }
    }
  }

  /** Opens a stream on a connection of its own. Resolves once the headers are there. */
  async open(outgoing: Outgoing, refreshToken = false): Promise<http.IncomingMessage> {
    const headers = await this.#headersFor(outgoing, refreshToken);
    return await this.#exchange(outgoing, headers, (response, resolve) => resolve(response), true);
  }

  #exchange<R>(
    outgoing: Outgoing,
    headers: http.OutgoingHttpHeaders,
    read: (response: http.IncomingMessage, resolve: (value: R) => void, reject: (error: unknown) => void) => void,
    stream = false,
  ): Promise<R> {
    const { signal } = outgoing;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      outgoing.mayBeSent?.();
      const name = `${outgoing.method} ${outgoing.path}`;
      const sentAtMs = Date.now();
      let answered = false;
      const request = this.#request({
        ...this.#target,
        ...(stream ? { ...this.#streamTls, agent: false } : { agent: this.#agent }),
        method: outgoing.method,
        path: this.#basePath + outgoing.path,
        headers,
      });
      const abort = (): void => settle(reject, signal?.reason);
      const timer = setTimeout(
        () => settle(reject, connectionError(name, this.server, { code: 'TIMEOUT' })),
        outgoing.timeoutMs,
      );
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      function settle(how: (error: unknown) => void, error: unknown): void {
        finish();
        how(error);
        request.destroy();
      }
      signal?.addEventListener('abort', abort, { once: true });
      request.on('error', (error: NodeJS.ErrnoException) => {
        const stale = !answered && request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        settle(reject, stale ? new StaleSocketError() : connectionError(name, this.server, error));
      });
      request.on('response', (response) => {
        answered = true;
        this.#clock?.observe(response.headers.date, sentAtMs, Date.now());
        if (stream) response.socket.setKeepAlive(true, tcpKeepAliveMs);
        read(
          response,
          (value) => {
            finish();
            resolve(value);
          },
          (error) => settle(reject, connectionError(name, this.server, error)),
        );
      });
      request.end(outgoing.body);
    });
  }

  /** Closes all idle and busy connections; streams end by their own signal. */
  close(): void {
    this.#agent.destroy();
  }
}

class StaleSocketError extends Error {}

/** Reads an answer to its end. */
export function readWhole(
  response: http.IncomingMessage,
  resolve: (answer: Answer) => void,
  reject: (error: unknown) => void,
): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('error', reject);
  response.on('end', () => {
    const [only] = chunks;
    let body: string;
    try {
      body = (only && chunks.length === 1 ? only : Buffer.concat(chunks)).toString('utf8');
    } catch (error) {
      reject(error);
      return;
    }
    resolve({
      status: response.statusCode ?? 0,
      contentType: response.headers['content-type'] ?? '',
      retryAfter: response.headers['retry-after'],
      body,
    });
  });
}
