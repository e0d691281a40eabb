// The client of the API server: typed reads and writes of any kind, with the retries that the server asks for.
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type AnsweredRequest, jsonIn, objectIn, parseObject, readRefusal, unexpected } from './answers.ts';
import { ApiError, answerError, isExpired } from './api-error.ts';
import { callSignal } from './call.ts';
import type { ServerClock } from './clock.ts';
import type { Credentials } from './credentials.ts';
import { isRecord } from './json.ts';
import type { KubeMetrics } from './metrics.ts';
import { apiVersionOf, type KubeObject, type NewObject, type ObjectRef, type Resource } from './object.ts';
import { objectPath, pathOf, queryOf, resourceOfPath } from './paths.ts';
import { type Answer, Transport } from './transport.ts';

export {
  ApiError,
  ConnectionError,
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isInvalid,
  isNamespaceTerminating,
  isNotFound,
  UnexpectedAnswerError,
  unlessGone,
} from './api-error.ts';
export { pathOf } from './paths.ts';

/** For each request: `signal` gives it up (left out: that of the reconcile it is made in), `timeoutMs` bounds each attempt (default 30 s). */
export type RequestOptions = { signal?: AbortSignal; timeoutMs?: number };

/** Which objects a list or a watch is about. */
export type Selection = { namespace?: string; labelSelector?: string; fieldSelector?: string };

/** One page of a list, its items as they came. */
export type Page = { items: unknown[]; resourceVersion: string };

// One constant manager of all fields we set, so that an apply of ours is never in conflict with ourselves.
const fieldManager = 'hallpass';
const defaultTimeoutMs = 30_000;
const maxRetries = 10;
const maxRetryAfterSeconds = 30;
const pageSize = 500;
// Pages of large objects are made smaller, so that parsing one doesn't hold up everything else.
const pageBytes = 500_000;

const contentTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** Speaks to one API server. Throws ApiError, ConnectionError or UnexpectedAnswerError, or the signal's reason. */
export class Client {
  readonly server: string;
  readonly metrics: KubeMetrics | undefined;
  readonly #transport: Transport;
  readonly #mayWrite: () => void;
  #nextAnswer = Promise.withResolvers<void>();

  /** `mayWrite` is asked each time that a write is sent, and throws when this process may no longer make one. */
  constructor(options: {
    credentials: Credentials;
    userAgent?: string;
    metrics?: KubeMetrics;
    clock?: ServerClock;
    mayWrite?: () => void;
  }) {
    this.#transport = new Transport({
      credentials: options.credentials,
      userAgent: options.userAgent ?? 'hallpass',
      clock: options.clock,
    });
    this.server = this.#transport.server;
    this.metrics = options.metrics;
    this.#mayWrite = options.mayWrite ?? (() => {});
  }

  /** Reads one object from the API server's storage, not from a cache. Throws ApiError 404 when there is none. */
  async get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: RequestOptions = {}): Promise<T> {
    return this.#object(resource, 'GET', objectPath(resource, ref), resource.plural, options);
  }

  /** All objects of a selection, read in pages as of one moment. */
  async list<T extends KubeObject>(
    resource: Resource<T>,
    options: Selection & RequestOptions = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    for (let whole = false; ; whole = true) {
      const items: T[] = [];
      let resourceVersion = '';
      try {
        for await (const page of this.pages(resource, options, { whole })) {
          for (const item of page.items) items.push(parseObject(resource, item));
          resourceVersion = page.resourceVersion;
        }
        return { items, resourceVersion };
      } catch (error) {
        // The list took so long that its later pages are gone: take it in one piece.
        if (whole || !isExpired(error)) throw error;
      }
    }
  }

  /**
   * The pages of a list, as of one moment. Throws ApiError 410 when that moment was too long ago for the next page;
   * `whole` asks for a single page.
   */
  async *pages<T extends KubeObject>(
    resource: Resource<T>,
    selection: Selection & RequestOptions,
    { whole = false }: { whole?: boolean } = {},
  ): AsyncGenerator<Page> {
    const { labelSelector, fieldSelector } = selection;
    const path = pathOf(resource, selection.namespace);
    let limit = pageSize;
    let next: string | undefined;
    do {
      // No resourceVersion: the most recent, and the only way in which the server pages.
      const query = queryOf({ labelSelector, fieldSelector, limit: whole ? undefined : limit, continue: next });
      const answer = await this.#send('GET', path + query, resource.plural, undefined, selection);
      const list = objectIn(answer, this.#request('GET', path));
      const { metadata } = list;
      if (list.kind !== `${resource.kind}List` || !isRecord(metadata) || typeof metadata.resourceVersion !== 'string') {
        throw unexpected(answer, this.#request('GET', path), list);
      }
      const items = Array.isArray(list.items) ? list.items : [];
      next = typeof metadata.continue === 'string' && metadata.continue !== '' ? metadata.continue : undefined;
      if (answer.body.length > pageBytes && items.length > 0) {
        limit = Math.min(pageSize, Math.max(10, Math.floor((items.length * pageBytes) / answer.body.length)));
      }
      yield { items, resourceVersion: metadata.resourceVersion };
    } while (next !== undefined);
  }

  /** Creates an object. Throws ApiError `AlreadyExists` when there is one of that name. */
  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: NewObject<T>,
    options: RequestOptions & { dryRun?: boolean } = {},
  ): Promise<T> {
    const { name, namespace } = object.metadata;
    objectPath(resource, { name, namespace });
    const path = pathOf(resource, namespace) + queryOf({ fieldManager, dryRun: options.dryRun ? 'All' : undefined });
    return this.#object(resource, 'POST', path, resource.plural, options, this.#serialized(resource, object));
  }

  /**
   * Replaces an object. Its metadata's resourceVersion and uid are preconditions: with either outdated the write fails
   * with ApiError `Conflict`.
   */
  async replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: RequestOptions & { subresource?: string } = {},
  ): Promise<T> {
    const path = objectPath(resource, object.metadata, options.subresource) + queryOf({ fieldManager });
    const label = options.subresource ? `${resource.plural}/${options.subresource}` : resource.plural;
    return this.#object(resource, 'PUT', path, label, options, this.#serialized(resource, object));
  }

  /**
   * Changes part of an object. `apply` is server-side apply, to which apiVersion and kind are added; `force` takes over
   * fields of other managers. A `uid` or `resourceVersion` in the body's metadata is a precondition (but see the design:
   * an apply with an old resourceVersion creates, only the uid protects).
   */
  async patch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    body: object,
    options: RequestOptions & {
      type: 'merge' | 'json' | 'apply';
      subresource?: string;
      force?: boolean;
      dryRun?: boolean;
    },
  ): Promise<T> {
    const { type, subresource, force } = options;
    const query = queryOf({ fieldManager, force, dryRun: options.dryRun ? 'All' : undefined });
    const label = subresource ? `${resource.plural}/${subresource}` : resource.plural;
    const text = type === 'apply' ? this.#serialized(resource, body) : JSON.stringify(body);
    const path = objectPath(resource, ref, subresource) + query;
    return this.#object(resource, 'PATCH', path, label, options, text, contentTypes[type]);
  }

  /**
   * Deletes an object; with `uid` or `resourceVersion`, only that one. Returns it where it lives on, since a finalizer keeps
   * it. Throws ApiError 404 when there is none.
   */
  async delete<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: RequestOptions & {
      uid?: string;
      resourceVersion?: string;
      propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
    } = {},
  ): Promise<T | undefined> {
    const { uid, resourceVersion, propagationPolicy } = options;
    const preconditions = uid || resourceVersion ? { uid, resourceVersion } : undefined;
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy });
    const path = objectPath(resource, ref);
    const answer = await this.#send('DELETE', path, resource.plural, { body }, options);
    // What is gone is mostly answered by a Status; some kinds answer by the object that was, which has no finalizers left.
    if (!/"finalizers"\s*:/.test(answer.body)) return undefined;
    return parseObject(resource, objectIn(answer, this.#request('DELETE', path)));
  }

  /**
   * Deletes the objects of a namespace that the labels select, one after the other, and returns them as they were. It ends at the
   * first that may not be deleted, and throws that. The selection is what the API server's cache holds: what came last may be missing.
   */
  async deleteCollection<T extends KubeObject>(
    resource: Resource<T>,
    { namespace, labelSelector }: { namespace: string; labelSelector: string },
    options: RequestOptions & { propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' } = {},
  ): Promise<T[]> {
    // Without either it would mean much more than anybody meant.
    if (namespace === '' || labelSelector === '')
      throw new Error('a collection to delete needs a namespace and labels');
    const { propagationPolicy } = options;
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy });
    const path = pathOf(resource, namespace);
    const query = queryOf({ labelSelector, resourceVersion: '0' });
    const answer = await this.#send('DELETE', path + query, resource.plural, { body }, options);
    const list = objectIn(answer, this.#request('DELETE', path));
    if (list.kind !== `${resource.kind}List` || !Array.isArray(list.items)) {
      throw unexpected(answer, this.#request('DELETE', path), list);
    }
    return list.items.map((item) => parseObject(resource, item));
  }

  /** Posts to a path: reviews and subresources such as tokens. The answer is for the caller to parse. */
  async createRaw(path: string, body: object, options: RequestOptions = {}): Promise<unknown> {
    const answer = await this.#send('POST', path, resourceOfPath(path), { body: JSON.stringify(body) }, options);
    return objectIn(answer, this.#request('POST', path));
  }

  /** Reads a path: what the API server serves beside objects, `/version` for instance. */
  async getRaw(path: string, options: RequestOptions = {}): Promise<unknown> {
    const answer = await this.#send('GET', path, resourceOfPath(path), undefined, options);
    return jsonIn(answer, this.#request('GET', path));
  }

  /** Opens an answer that is read as it comes, on a connection of its own. `timeoutMs` is until the headers. */
  async stream(
    verb: 'LIST' | 'WATCH',
    path: string,
    label: string,
    options: RequestOptions = {},
  ): Promise<IncomingMessage> {
    const outgoing = { method: 'GET', path, timeoutMs: options.timeoutMs ?? defaultTimeoutMs, signal: options.signal };
    for (let refreshed = false; ; refreshed = true) {
      const startedMs = performance.now();
      const response = await this.#measured(
        verb,
        label,
        startedMs,
        this.#transport.open(outgoing, refreshed),
        (r) => r.statusCode ?? 0,
      );
      if (response.statusCode === 200) return response;
      const answer = await readRefusal(response);
      if (answer.status === 401 && this.#transport.canRefresh && !refreshed) continue;
      throw answerError({ ...this.#request('GET', path), ...answer });
    }
  }

  /** Resolves when the API server has answered the next request, whatever it is: the sign that it can be reached again. */
  nextAnswer(): Promise<void> {
    return this.#nextAnswer.promise;
  }

  /** Closes the connections. Requests in flight fail; watches end by their own signal. */
  close(): void {
    this.#transport.close();
  }

  #serialized<T extends KubeObject>(resource: Resource<T>, object: object): string {
    return JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object });
  }

  async #object<T extends KubeObject>(
    resource: Resource<T>,
    method: string,
    path: string,
    label: string,
    options: RequestOptions,
    body?: string,
    contentType?: string,
  ): Promise<T> {
    const answer = await this.#send(
      method,
      path,
      label,
      body === undefined ? undefined : { body, contentType },
      options,
    );
    const object = objectIn(answer, this.#request(method, path));
    if (object.kind !== resource.kind) throw unexpected(answer, this.#request(method, path), object);
    return parseObject(resource, object);
  }

  #request(method: string, path: string): AnsweredRequest {
    return { request: `${method} ${path.split('?')[0]}`, server: this.server };
  }

  async #send(
    method: string,
    path: string,
    label: string,
    content: { body: string; contentType?: string } | undefined,
    { signal = callSignal(), timeoutMs = defaultTimeoutMs }: RequestOptions,
  ): Promise<Answer> {
    const mayBeSent = method === 'GET' ? undefined : this.#mayWrite;
    const outgoing = { method, path, timeoutMs, signal, mayBeSent, ...content };
    let refreshed = false;
    for (let retries = 0; ; ) {
      const startedMs = performance.now();
      const answer = await this.#measured(
        method,
        label,
        startedMs,
        this.#transport.send(outgoing, refreshed),
        (a) => a.status,
      );
      if (answer.status < 300) return answer;
      if (answer.status === 401 && this.#transport.canRefresh && !refreshed) {
        refreshed = true;
        continue;
      }
      const error = answerError({ ...this.#request(method, path), ...answer });
      // Asked to come back, which says that nothing was done: as client-go, for 429 and for errors that carry the header.
      const wait = answer.retryAfter !== undefined && error instanceof ApiError ? error.retryAfterSeconds : undefined;
      if (wait === undefined || (answer.status !== 429 && answer.status < 500) || retries >= maxRetries) throw error;
      retries += 1;
      this.metrics?.requestRetried(label);
      const jitter = 1 + Math.random() / 4;
      await delay(Math.min(wait, maxRetryAfterSeconds) * 1000 * jitter, undefined, { signal }).catch(() => {
        throw signal?.reason;
      });
    }
  }

  async #measured<R>(
    method: string,
    label: string,
    startedMs: number,
    sending: Promise<R>,
    statusOf: (result: R) => number,
  ): Promise<R> {
    try {
      const result = await sending;
      this.metrics?.request(method, label, String(statusOf(result)), (performance.now() - startedMs) / 1000);
      const answered = this.#nextAnswer;
      this.#nextAnswer = Promise.withResolvers<void>();
      answered.resolve();
      return result;
    } catch (error) {
      this.metrics?.request(method, label, 'error', (performance.now() - startedMs) / 1000);
      throw error;
    }
  }
}
