// Follows all objects of a kind by a raw watch, cheaper than a cache, and tells when they have come to a state.
import * as z from 'zod';
import { LABELS } from '../src/api/names.ts';
import type { Client } from '../src/kube/client.ts';
import type { KubeObject, Resource } from '../src/kube/object.ts';
import { type WatchEvent, watch } from '../src/kube/watch.ts';

const timeoutMs = 1_200_000;
const named = z.object({
  metadata: z.object({
    name: z.string().default(''),
    namespace: z.string().default(''),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
  }),
});

export class Follower {
  /**
   * When an object was seen to be gone, in ms since the epoch, by `namespace/name`; what was made for a grant goes by the
   * name of that.
   */
  readonly goneAt = new Map<string, number>();
  readonly #states = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  readonly #stopping = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #stateOf: (object: unknown) => string;
  #failure: unknown;
  #version = '';

  /** `stateOf` gives one word for an object, such as its phase. */
  static async start<T extends KubeObject>(
    client: Client,
    resource: Resource<T>,
    o: { labelSelector?: string; stateOf: (object: unknown) => string },
  ): Promise<Follower> {
    const follower = new Follower(o.stateOf);
    const opened = Promise.withResolvers<void>();
    const follow = async () => {
      for (;;) {
        // The API server ends a watch now and then; this one goes on from where it was.
        await watch({
          client,
          resource,
          selection: { labelSelector: o.labelSelector },
          // Of no version: what exists comes first.
          resourceVersion: follower.#version,
          timeoutSeconds: 3600,
          silenceMs: () => 3_600_000,
          signal: follower.#stopping.signal,
          onOpen: opened.resolve,
          onEvent: (event) => follower.#take(event),
        });
      }
    };
    follow().catch((error) => {
      opened.reject(error);
      follower.#fail(error);
    });
    await opened.promise;
    return follower;
  }

  constructor(stateOf: (object: unknown) => string) {
    this.#stateOf = stateOf;
  }

  /** How many objects are in a state now. */
  count(state: string): number {
    return this.#counts.get(state) ?? 0;
  }

  /** Resolves as soon as the condition holds, with that moment (`performance.now()`); looked at after each event. */
  until(condition: () => boolean, what: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const counts = [...this.#counts].map(([state, count]) => `${count} ${state}`).join(', ');
        reject(new Error(`waited ${timeoutMs / 1000} s for ${what}: ${counts}`));
      }, timeoutMs);
      const look = () => {
        if (this.#failure === undefined && !condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        if (this.#failure === undefined) resolve(performance.now());
        else reject(this.#failure);
      };
      this.#waiting.add(look);
      look();
    });
  }

  stop(): void {
    this.#stopping.abort();
  }

  #take({ type, object }: WatchEvent): void {
    const { metadata } = named.parse(object);
    this.#version = metadata.resourceVersion;
    if (type === 'BOOKMARK') return;
    const key = `${metadata.namespace}/${metadata.labels[LABELS.grantName] ?? metadata.name}`;
    const before = this.#states.get(key);
    if (before !== undefined) this.#counts.set(before, this.count(before) - 1);
    if (type === 'DELETED') {
      this.#states.delete(key);
      this.goneAt.set(key, Date.now());
    } else {
      const state = this.#stateOf(object);
      this.#states.set(key, state);
      this.#counts.set(state, this.count(state) + 1);
    }
    for (const look of this.#waiting) look();
  }

  #fail(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    this.#failure = error;
    for (const look of this.#waiting) look();
  }
}

const withPhase = z.object({ status: z.object({ phase: z.string().default('') }).optional() });
const withConditions = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional() }).optional(),
});

/** The phase of a grant, empty before its first. */
export function phaseOf(object: unknown): string {
  return withPhase.parse(object).status?.phase ?? '';
}

/** `True` or `False` by a condition, empty while there is none. */
export function conditionOf(type: string): (object: unknown) => string {
  return (object) => {
    const conditions = withConditions.parse(object).status?.conditions ?? [];
    return conditions.find((condition) => condition.type === type)?.status ?? '';
  };
}
