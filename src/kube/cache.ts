// A copy of all objects of a kind, with indexes and events, kept in step with the API server.
import { setImmediate as turn } from 'node:timers/promises';
import { messageOf } from '../text.ts';
import { parseObject } from './answers.ts';
import { CacheHandlers } from './cache-handlers.ts';
import { CacheIndex } from './cache-index.ts';
import type { Client, Selection } from './client.ts';
import { HeldEvents } from './held-events.ts';
import { isRecord, stringOf } from './json.ts';
import type { Log } from './log.ts';
import { isLaterVersion, type KubeObject, keyOf, type ObjectRef, type Resource, resourceName } from './object.ts';
import { type ReflectorTimes, reflect, type Sink } from './reflector.ts';
import { SharedStrings } from './shared-strings.ts';
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

type CacheTimes = ReflectorTimes & { usualAbsenceMs: number };

const sliceMs = 5;

/** A watch that broke off comes back within its longest delay; one that takes longer is told of, in milliseconds. */
const usualAbsenceMs = 60_000;

// Of all caches, since what was made for one grant is in five of them.
const strings = new SharedStrings();

// Of an object that can't be parsed, whose it is.
function refOfUnknown(value: unknown): ObjectRef | undefined {
  if (!isRecord(value) || !isRecord(value.metadata)) return undefined;
  const name = stringOf(value.metadata.name);
  return name === undefined ? undefined : { namespace: stringOf(value.metadata.namespace), name };
}

const isNewer = (object: KubeObject, than: KubeObject): boolean =>
  isLaterVersion(object.metadata.resourceVersion, than.metadata.resourceVersion);

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
  readonly #times: Partial<CacheTimes> | undefined;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, CacheIndex<T>>();
  readonly #handlers: CacheHandlers<T>;
  readonly #synced = Promise.withResolvers<void>();
  /** Uids of what `forget` dropped, until the watch says so too. */
  readonly #gone = new Map<string, string>();
  readonly #held = new HeldEvents<WatchEvent>((event) => this.#take(event));
  #seen = new Set<string>();
  #hasSynced = false;
  #lastError: string | undefined;
  /** Since when there is one, by the monotonic clock. */
  #failingSince = 0;
  #lastSyncResourceVersion = '';
  #revision = 0;
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
      times?: Partial<CacheTimes>;
    },
  ) {
    const { namespace, labelSelector, fieldSelector } = options;
    this.resource = options.resource;
    this.#client = options.client;
    this.#selection = { namespace, labelSelector, fieldSelector };
    this.#trim = options.trim ?? ((object) => object);
    this.#log = options.log;
    this.#times = options.times;
    this.#handlers = new CacheHandlers({ resource: this.resource, log: this.#log, metrics: this.#client.metrics });
    for (const [name, valuesOf] of Object.entries(options.indexes ?? {})) {
      this.#indexes.set(name, new CacheIndex(valuesOf));
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
      page: (items, version) => this.#page(items, version),
      listed: (version) => this.#listed(version),
      event: (event) => this.#event(event),
      streamed: (version) => this.#complete(version),
      progress: (version) => {
        this.#lastSyncResourceVersion = version;
      },
      problem: (message) => {
        if (this.#lastError === undefined) this.#failingSince = performance.now();
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
    }).then(() => {
      this.#synced.reject(signal.reason);
      this.#client.metrics?.cached(this.resource.plural, -this.#objects.size);
    });
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

  /** `lastError`, once it has lasted for longer than a watch takes to come back: what is read here may be out of date. */
  get outOfStep(): string | undefined {
    if (this.#lastError === undefined) return undefined;
    const usual = this.#times?.usualAbsenceMs ?? usualAbsenceMs;
    return performance.now() - this.#failingSince > usual ? this.#lastError : undefined;
  }

  /** The resourceVersion up to which everything is known; empty before the first list. */
  get lastSyncResourceVersion(): string {
    return this.#lastSyncResourceVersion;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Another number whenever any object is another. */
  get revision(): number {
    return this.#revision;
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
    const found: T[] = [];
    if (this.#objects.size === 0) return found;
    for (const key of declared.find(value)) {
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
    this.#handlers.add(handler, this.#objects.values());
  }

  /**
   * Takes in the answer to a write or a read of this process, unless something newer is here already, so that a reader
   * right after it doesn't see the state before.
   */
  observe(object: T): void {
    const previous = this.#objects.get(keyOf(object.metadata));
    // What isn't here although the watch came past it is deleted: a late answer must not bring it back.
    const known = previous?.metadata.resourceVersion ?? this.#lastSyncResourceVersion;
    if (isLaterVersion(object.metadata.resourceVersion, known)) this.#put(this.#trim(object), true);
  }

  /**
   * Drops an object that this process deleted; what the watch still says of the time before is stale. Should the object
   * live on, because a finalizer holds it, the watch brings it back, with its deletionTimestamp.
   */
  forget(ref: ObjectRef): void {
    const key = keyOf(ref);
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#gone.set(key, previous.metadata.uid);
    this.#remove(key, undefined, true);
  }

  /** Sends a write of this process and takes in its answer, ahead of what the watch tells of the object meanwhile. */
  writing(ref: ObjectRef, send: () => Promise<T>): Promise<T> {
    return this.#held.during(keyOf(ref), async () => {
      const answer = await send();
      this.observe(answer);
      return answer;
    });
  }

  /** The same for a deletion. The answer is the object where it lives on, since a finalizer holds it. */
  deleting(ref: ObjectRef, send: () => Promise<T | undefined>): Promise<T | undefined> {
    return this.#held.during(keyOf(ref), async () => {
      const lives = await send();
      if (lives) this.observe(lives);
      else this.forget(ref);
      return lives;
    });
  }

  async #page(items: unknown[], version: string): Promise<void> {
    // Reading the page's JSON took its time already.
    await turn();
    let startedAt = performance.now();
    for (const item of items) {
      const object = this.#parsed(item);
      const ref = object?.metadata ?? refOfUnknown(item);
      // What can't be read is not gone: the last readable state stays.
      if (ref) this.#seen.add(keyOf(ref));
      if (object && !this.#isAhead(this.#objects.get(keyOf(object.metadata)), version)) this.#put(object);
      if (performance.now() - startedAt > sliceMs) {
        await turn();
        startedAt = performance.now();
      }
    }
  }

  #listed(version: string): void {
    for (const [key, object] of this.#objects) {
      if (!this.#seen.has(key) && !this.#isAhead(object, version)) this.#remove(key, object);
    }
    this.#seen = new Set();
    this.#gone.clear();
    this.#complete(version);
  }

  #complete(version: string): void {
    this.#lastSyncResourceVersion = version;
    this.#hasSynced = true;
    this.#synced.resolve();
  }

  // Whether `observe` brought a state that came after a list; the watch that follows the list tells of it, too. When
  // the list itself is older than what was known, the cluster was restored from a backup and the list is the truth.
  #isAhead(object: T | undefined, listVersion: string): boolean {
    if (!object || isLaterVersion(this.#lastSyncResourceVersion, listVersion)) return false;
    return isLaterVersion(object.metadata.resourceVersion, listVersion);
  }

  // Whether a write of this process brought it already, as it is with most of what hallpass watches: reading it again would
  // be half of the work of an event.
  #isKnown(type: WatchEvent['type'], value: Record<string, unknown>): boolean {
    const ref = refOfUnknown(value);
    const { uid, resourceVersion } = isRecord(value.metadata) ? value.metadata : {};
    if (ref === undefined || typeof uid !== 'string' || typeof resourceVersion !== 'string') return false;
    const key = keyOf(ref);
    const previous = this.#objects.get(key);
    if (type !== 'DELETED')
      return previous !== undefined && !isLaterVersion(resourceVersion, previous.metadata.resourceVersion);
    if (previous !== undefined || this.#gone.get(key) !== uid) return false;
    this.#gone.delete(key);
    return true;
  }

  #event(event: WatchEvent): void {
    const ref = refOfUnknown(event.object);
    if (!ref || !this.#held.hold(keyOf(ref), event)) this.#take(event);
  }

  #take({ type, object: value }: WatchEvent): void {
    if (this.#isKnown(type, value)) return;
    const object = this.#parsed(value);
    const ref = object?.metadata ?? refOfUnknown(value);
    if (!ref) return;
    const key = keyOf(ref);
    const previous = this.#objects.get(key);
    if (type === 'DELETED') {
      if (!object || this.#gone.get(key) === object.metadata.uid) this.#gone.delete(key);
      // Made anew by this process, before the watch told of the end of the one before it.
      if (object && previous?.metadata.uid !== object.metadata.uid) return;
      this.#remove(key, object);
    } else if (object) {
      // Older than what a write of ours brought.
      if (previous && !isNewer(object, previous)) return;
      if (this.#gone.get(key) === object.metadata.uid) {
        if (object.metadata.deletionTimestamp === undefined) return;
        this.#gone.delete(key);
      }
      this.#put(object);
    }
  }

  #parsed(value: unknown): T | undefined {
    try {
      return this.#trim(parseObject(this.resource, value));
    } catch (error) {
      this.#client.metrics?.parseFailed(this.resource.plural);
      this.#log.error(messageOf(error), {
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
    strings.shareIn(object);
    for (const index of this.#indexes.values()) {
      if (previous) index.remove(key, previous);
      index.add(key, object);
    }
    this.#objects.set(key, object);
    this.#revision += 1;
    if (previous) {
      this.#handlers.tell({ type: 'updated', object, previous, initial: !this.#hasSynced, own });
    } else {
      this.#client.metrics?.cached(this.resource.plural, 1);
      this.#handlers.tell({ type: 'added', object, initial: !this.#hasSynced, own });
    }
  }

  #remove(key: string, last: T | undefined, own = false): void {
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#objects.delete(key);
    this.#revision += 1;
    for (const index of this.#indexes.values()) index.remove(key, previous);
    this.#client.metrics?.cached(this.resource.plural, -1);
    this.#handlers.tell({ type: 'deleted', object: last ?? previous, previous, initial: false, own });
  }
}
