// Sees the Jobs and Pods that grants end with: by one watch for each kind in each namespace where an open grant names one, and
// for no longer than one does.
//
// One watch for each object would be a connection for each of ten thousand grants; one for the whole cluster would read every
// Pod of everybody, and need the right to. What is kept of an object is its name, its uid, and whether it has ended.

import { setTimeout as delay } from 'node:timers/promises';
import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { LABELS } from '../api/names.ts';
import { isAbout, type Request, requestOf } from '../api/request.ts';
import { Cache } from '../kube/cache.ts';
import type { Client } from '../kube/client.ts';
import { jobs, pods } from '../kube/kinds.ts';
import type { Log } from '../kube/log.ts';
import { type KubeObject, keyOf, type ObjectMeta, type Resource } from '../kube/object.ts';
import { jobEnd, podEnd, type TaskView } from '../policy/task.ts';

/** So long a decision waits for a watch that was just opened, in milliseconds. */
const LONGEST_WAIT = 2_000;

type Kind = 'Job' | 'Pod';
type TaskObject = KubeObject & { ended: string | undefined };

/** A grant that ends with an object: for which request, and the uid of what had the name first. */
type Follower = { request: Request; first: string | undefined };

type Watch = {
  cache: Cache<TaskObject>;
  /** Over once waiting for the first list is. */
  patience: Promise<unknown>;
  close: () => void;
  /** By the object's name and the grant's key. */
  followers: Map<string, Map<string, Follower>>;
};

const resources: Record<Kind, Resource<TaskObject>> = {
  Job: {
    ...jobs,
    parse: (value) => {
      const job = jobs.parse(value);
      return { metadata: onlyTheName(job.metadata), ended: jobEnd(job) };
    },
  },
  Pod: {
    ...pods,
    parse: (value) => {
      const pod = pods.parse(value);
      return { metadata: onlyTheName(pod.metadata), ended: podEnd(pod) };
    },
  },
};

export class Tasks {
  readonly #client: Client;
  readonly #log: Log;
  readonly #wake: (grantKey: string, ended: boolean) => void;
  /** By kind and namespace. */
  readonly #watches = new Map<string, Watch>();
  /** Where each grant's follower is, by the grant's key. */
  readonly #places = new Map<string, { watch: string; name: string }>();

  /** `wake`: what is known of the grant's task has changed; `ended`: it may have to end. */
  constructor(o: { client: Client; log: Log; wake: (grantKey: string, ended: boolean) => void }) {
    this.#client = o.client;
    this.#log = o.log;
    this.#wake = o.wake;
  }

  /** Looks for what this grant ends with from now on; no longer, once it is over or names nothing. */
  follow(grant: ParsedGrant): void {
    const key = keyOf(grant.metadata);
    const task = isTerminal(grant.status.phase) ? undefined : grant.spec?.validity.endsWith;
    if (!task) {
      this.forget(key);
      return;
    }
    const { namespace = '' } = grant.metadata;
    const place = { watch: `${task.kind} ${namespace}`, name: task.name };
    const before = this.#places.get(key);
    const moved = before && (before.watch !== place.watch || before.name !== place.name);
    if (before && !moved && isAbout(this.#follower(key)?.request, grant)) return;
    const watch = this.#watches.get(place.watch) ?? this.#open(task.kind, namespace, place.watch);
    const followers = watch.followers.get(place.name) ?? new Map<string, Follower>();
    watch.followers.set(place.name, followers);
    followers.set(key, {
      request: requestOf(grant),
      first: watch.cache.get({ namespace, name: place.name })?.metadata.uid,
    });
    if (moved) this.#leave(key, before);
    this.#places.set(key, place);
  }

  /** Looks for nothing any more for the grant of this key. */
  forget(key: string): void {
    const place = this.#places.get(key);
    if (!place) return;
    this.#places.delete(key);
    this.#leave(key, place);
  }

  /** What is known of what this grant ends with; undefined where it ends with nothing. */
  view(grant: ParsedGrant): TaskView | undefined {
    const task = grant.spec?.validity.endsWith;
    if (!task) return undefined;
    const key = keyOf(grant.metadata);
    const watch = this.#watches.get(this.#places.get(key)?.watch ?? '');
    const follower = this.#follower(key);
    if (!watch || !follower || !isAbout(follower.request, grant)) {
      return { object: undefined, first: undefined, problem: 'it was not looked for yet' };
    }
    const { cache } = watch;
    const found = cache.get({ namespace: grant.metadata.namespace, name: task.name });
    return {
      object: found && { uid: found.metadata.uid, ended: found.ended },
      first: follower.first,
      problem: cache.hasSynced ? cache.outOfStep : (cache.lastError ?? 'it was not read yet'),
    };
  }

  /** Resolves once the grant's task was looked for, or when that takes too long to wait for. */
  async known({ metadata }: ParsedGrant): Promise<void> {
    const watch = this.#watches.get(this.#places.get(keyOf(metadata))?.watch ?? '');
    if (watch && !watch.cache.hasSynced) await Promise.race([watch.cache.synced().catch(() => {}), watch.patience]);
  }

  /** Ends every watch. */
  stop(): void {
    for (const { close } of this.#watches.values()) close();
    this.#watches.clear();
    this.#places.clear();
  }

  #follower(key: string): Follower | undefined {
    const place = this.#places.get(key);
    return place && this.#watches.get(place.watch)?.followers.get(place.name)?.get(key);
  }

  #leave(key: string, { watch: of, name }: { watch: string; name: string }): void {
    const watch = this.#watches.get(of);
    const followers = watch?.followers.get(name);
    if (!watch || !followers?.delete(key) || followers.size > 0) return;
    watch.followers.delete(name);
    if (watch.followers.size > 0) return;
    this.#watches.delete(of);
    watch.close();
  }

  #open(kind: Kind, namespace: string, key: string): Watch {
    const closing = new AbortController();
    const followers: Watch['followers'] = new Map();
    const cache = new Cache<TaskObject>({
      client: this.#client,
      log: this.#log,
      resource: resources[kind],
      namespace,
      // hallpass's own Jobs are nobody's task.
      labelSelector: `!${LABELS.grant}`,
    });
    cache.subscribe(({ object, type, initial }) => {
      for (const [grant, follower] of followers.get(object.metadata.name) ?? []) {
        follower.first ??= object.metadata.uid;
        if (!initial) this.#wake(grant, type === 'deleted' || object.ended !== undefined);
      }
    });
    cache.start(closing.signal);
    cache.synced().then(
      () => {
        for (const [name, named] of followers) {
          const ended = cache.get({ namespace, name })?.ended !== undefined;
          for (const grant of named.keys()) this.#wake(grant, ended);
        }
      },
      // Closed before.
      () => {},
    );
    const patience = delay(LONGEST_WAIT, undefined, { ref: false });
    const watch = { cache, patience, followers, close: () => closing.abort() };
    this.#watches.set(key, watch);
    return watch;
  }
}

function onlyTheName({ name, namespace, uid, resourceVersion }: ObjectMeta): ObjectMeta {
  return { name, namespace, uid, resourceVersion };
}
