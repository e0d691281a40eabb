// A copy of all objects of a kind, with indexes and events, kept in step with the API server.
import { setImmediate as turn } from 'node:timers/promises';
import { type Client, parseObject, type Selection } from './client.ts';
import type { Log } from './log.ts';
import { type KubeObject, keyOf, type ObjectRef, type Resource, resourceName } from './object.ts';
import { type ReflectorTimes, reflect, type Sink } from './reflector.ts';
import type { WatchEvent } from './watch.ts';

/**
 * What changed in a cache. `previous` is the object that was there before (for `deleted`, as it was last known; `object`
 * is then its last state). `initial`: it was there when the cache started, so nothing happened to it just now. `own`: a
 * write of this process brought it, by `observe` or `forget`.
 */
export type CacheEvent<T extends KubeObject> = {
  type: 'added' | 'updated' | 'deleted';
  object: T;
  previous?: T;
  initial: boolean;
  own: boolean;
};

type Handler<T extends KubeObject> = (event: CacheEvent<T>) => void;

// One key, as most indexes have it, without a Set around it: of 10,000 that is 2 MB.
type Index<T extends KubeObject> = { valuesOf: (object: T) => string[]; keys: Map<string, string | Set<string>> };

const sliceMs = 5;

// Of an object that can't be parsed, whose it is.
function refOfUnknown(value: unknown): ObjectRef | undefined {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return undefined;
  const { metadata } = value;
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  const name = 'name' in metadata && typeof metadata.name === 'string' ? metadata.name : undefined;
  const namespace = 'namespace' in metadata && typeof metadata.namespace === 'string' ? metadata.namespace : undefined;
  return name === undefined ? undefined : { namespace, name };
}

/**
 * Whether one state of an object came after another. Resource versions of one kind compare as numbers (KEP-5504); the
 * object made anew has the higher one, too.
 */
function isNewer(object: KubeObject, than: KubeObject): boolean {
  const [a, b] = [object.metadata.resourceVersion, than.metadata.resourceVersion];
  return a.length === b.length ? a > b : a.length > b.length;
}

/**
 * All objects of a selection. Objects are shared with every reader: they must not be changed. Reads never wait and never
 * ask the server, so they may be some milliseconds behind it; what must be sure is read with `Client.get`.
 */
export class Cache<T extends KubeObject> {
  readonly resource: Resource<T>;
  readonly #client: Client;
  readonly #selection: Selection;
  readonly #trim: (object: T) => T;
  readonly #log: Log;
  readonly #times: Partial<ReflectorTimes> | undefined;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #handlers: Handler<T>[] = [];
  readonly #synced = Promise.withResolvers<void>();
  /** Uids of what `forget` dropped, until the watch says so too. */
  readonly #gone = new Map<string, string>();
  #seen = new Set<string>();
  #hasSynced = false;
  #lastError: string | undefined;
  #lastSyncResourceVersion = '';
  #stopped: Promise<void> = Promise.resolve();
  #started = false;

  /**
   * `trim` drops from each object what no reader needs. `indexes` name functions that give the values under which an
   * object is found by `byIndex`; they must depend on nothing but the object. `times` is for tests.
   */
  constructor(
    options: Selection & {
      client: Client;
      resource: Resource<T>;
      trim?: (object: T) => T;
      indexes?: Record<string, (object: T) => string[]>;
      log: Log;
      times?: Partial<ReflectorTimes>;
    },
  ) {
    const { namespace, labelSelector, fieldSelector } = options;
    this.resource = options.resource;
    this.#client = options.client;
    this.#selection = { namespace, labelSelector, fieldSelector };
    this.#trim = options.trim ?? ((object) => object);
    this.#log = options.log;
    this.#times = options.times;
    for (const [name, valuesOf] of Object.entries(options.indexes ?? {})) {
      this.#indexes.set(name, { valuesOf, keys: new Map() });
    }
    // Who doesn't wait for it must not be ended by its failure.
    this.#synced.promise.catch(() => {});
  }

  /** Starts listing and watching until the signal aborts. Failures are logged, retried, and kept in `lastError`. */
  start(signal: AbortSignal): void {
    if (this.#started) throw new Error(`the cache of ${resourceName(this.resource)} is started already`);
    this.#started = true;
    const sink: Sink = {
      beginList: () => {
        this.#seen = new Set();
      },
      page: (items) => this.#page(items),
      listed: (version) => this.#listed(version),
      event: (event) => this.#event(event),
      progress: (version) => {
        this.#lastSyncResourceVersion = version;
      },
      problem: (message) => {
        this.#lastError = message;
      },
    };
    this.#stopped = reflect({
      client: this.#client,
      resource: this.resource,
      selection: this.#selection,
      sink,
      log: this.#log,
      signal,
      times: this.#times,
    }).then(() => this.#synced.reject(signal.reason));
  }

  /** Resolves once everything that existed at the start is here and its events were handed out. Rejects when stopped before. */
  synced(): Promise<void> {
    return this.#synced.promise;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Resolves once the cache has stopped after its signal aborted. */
  get stopped(): Promise<void> {
    return this.#stopped;
  }

  /** Why the cache isn't in step with the API server now, with a remedy; undefined when it is. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** The resourceVersion up to which everything is known; empty before the first list. */
  get lastSyncResourceVersion(): string {
    return this.#lastSyncResourceVersion;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(ref: ObjectRef): T | undefined {
    return this.#objects.get(keyOf(ref));
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** The objects that have this value in an index. Throws for an index that was not declared. */
  byIndex(index: string, value: string): T[] {
    const declared = this.#indexes.get(index);
    if (!declared) throw new Error(`the cache of ${resourceName(this.resource)} has no index ${index}`);
    const keys = declared.keys.get(value);
    if (keys === undefined) return [];
    const found: T[] = [];
    for (const key of typeof keys === 'string' ? [keys] : keys) {
      const object = this.#objects.get(key);
      if (object) found.push(object);
    }
    return found;
  }

  /**
   * Calls the handler for each change, after the cache holds it; objects that are here already come at once. What a
   * handler throws is logged and stops nothing.
   */
  subscribe(handler: (event: CacheEvent<T>) => void): void {
    this.#handlers.push(handler);
    for (const object of this.#objects.values())
      this.#call(handler, { type: 'added', object, initial: true, own: false });
  }

  /**
   * Takes in the answer to a write or a read of this process, unless something newer is here already, so that a reader
   * right after it doesn't see the state before.
   */
  observe(object: T): void {
    const previous = this.#objects.get(keyOf(object.metadata));
    if (previous && !isNewer(object, previous)) return;
    this.#put(this.#trim(object), true);
  }

  /** Drops an object that this process knows to be gone; what the watch still says of it before it says so too is stale. */
  forget(ref: ObjectRef): void {
    const key = keyOf(ref);
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#gone.set(key, previous.metadata.uid);
    this.#remove(key, undefined, true);
  }

  async #page(items: unknown[]): Promise<void> {
    // Reading the page's JSON took its time already.
    await turn();
    let startedAt = performance.now();
    for (const item of items) {
      const object = this.#parsed(item);
      const ref = object?.metadata ?? refOfUnknown(item);
      // What can't be read is not gone: the last readable state stays.
      if (ref) this.#seen.add(keyOf(ref));
      if (object) this.#put(object);
      if (performance.now() - startedAt > sliceMs) {
        await turn();
        startedAt = performance.now();
      }
    }
  }

  #listed(version: string): void {
    this.#lastSyncResourceVersion = version;
    for (const [key, object] of this.#objects) {
      if (!this.#seen.has(key)) this.#remove(key, object);
    }
    this.#seen = new Set();
    this.#gone.clear();
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  #event({ type, object: value }: WatchEvent): void {
    const object = this.#parsed(value);
    const ref = object?.metadata ?? refOfUnknown(value);
    if (!ref) return;
    const key = keyOf(ref);
    if (type !== 'DELETED') {
      const previous = this.#objects.get(key);
      // Older than what a write of ours brought.
      const stale = object && ((previous && !isNewer(object, previous)) || this.#gone.get(key) === object.metadata.uid);
      if (object && !stale) this.#put(object);
      return;
    }
    if (!object || this.#gone.get(key) === object.metadata.uid) this.#gone.delete(key);
    // Made anew by this process, before the watch told of the end of the one before it.
    if (object && this.#objects.get(key)?.metadata.uid !== object.metadata.uid) return;
    this.#remove(key, object);
  }

  #parsed(value: unknown): T | undefined {
    try {
      return this.#trim(parseObject(this.resource, value));
    } catch (error) {
      this.#client.metrics?.parseFailed(this.resource.plural);
      this.#log.error(error instanceof Error ? error.message : String(error), {
        resource: resourceName(this.resource),
      });
      return undefined;
    }
  }

  #put(object: T, own = false): void {
    const key = keyOf(object.metadata);
    let previous = this.#objects.get(key);
    if (previous && previous.metadata.uid !== object.metadata.uid) {
      // Deleted and created again while nobody looked.
      this.#remove(key, previous, own);
      previous = undefined;
    }
    if (previous?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    if (previous) this.#unindex(key, previous);
    this.#objects.set(key, object);
    this.#index(key, object);
    if (previous) {
      this.#emit({ type: 'updated', object, previous, initial: !this.#hasSynced, own });
    } else {
      this.#client.metrics?.cached(this.resource.plural, this.#objects.size);
      this.#emit({ type: 'added', object, initial: !this.#hasSynced, own });
    }
  }

  #remove(key: string, last: T | undefined, own = false): void {
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#objects.delete(key);
    this.#unindex(key, previous);
    this.#client.metrics?.cached(this.resource.plural, this.#objects.size);
    this.#emit({ type: 'deleted', object: last ?? previous, previous, initial: false, own });
  }

  #index(key: string, object: T): void {
    for (const { valuesOf, keys } of this.#indexes.values()) {
      for (const value of valuesOf(object)) {
        const present = keys.get(value);
        if (present === undefined || present === key) keys.set(value, key);
        else if (typeof present === 'string') keys.set(value, new Set([present, key]));
        else present.add(key);
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const { valuesOf, keys } of this.#indexes.values()) {
      for (const value of valuesOf(object)) {
        const present = keys.get(value);
        if (present instanceof Set) {
          present.delete(key);
          if (present.size === 0) keys.delete(value);
        } else if (present === key) {
          keys.delete(value);
        }
      }
    }
  }

  #emit(event: CacheEvent<T>): void {
    for (const handler of this.#handlers) this.#call(handler, event);
  }

  #call(handler: Handler<T>, event: CacheEvent<T>): void {
    const failed = (error: unknown): void => {
      this.#client.metrics?.handlerFailed(this.resource.plural);
      const { namespace, name } = event.object.metadata;
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#log.error('a handler of cache events failed', {
        resource: resourceName(this.resource),
        namespace,
        name,
        error: message,
      });
    };
    try {
      const result: unknown = handler(event);
      // An async handler is no contract here, but its rejection would end the process.
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
