// Deletes the bindings of many grants with one request for each namespace: where thousands end at once, it is the requests that cost.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { grantUidOf, LABELS } from '../api/names.ts';
import type { Client } from '../kube/client.ts';
import { type RoleBinding, roleBindings } from '../kube/kinds.ts';
import type { Log } from '../kube/log.ts';
import type { ObjectRef } from '../kube/object.ts';
import { messageOf } from '../text.ts';

/** How many go with one request: the API server deletes them one after the other. */
export const MOST_TOGETHER = 10;

/** How long that may take, in milliseconds: where each takes long, as by somebody's webhook, they are sooner gone side by side. */
const LONGEST = 3_000;

/** How long each is deleted by itself after some could not be deleted together, in milliseconds. */
const APART = 10_000;

const propagationPolicy = 'Background';

/** Deletes a RoleBinding, as `Client.delete` does. */
export type DeleteBinding = (ref: ObjectRef) => Promise<RoleBinding | undefined>;

type Asked = { ref: ObjectRef; gone: () => void; delete: () => void };

/** Deletes bindings together, and remembers when that failed. */
export class DeletedTogether {
  readonly #client: Client;
  readonly #log: Log;
  readonly #guarded: () => boolean;
  readonly #isCopied: (uid: string) => boolean;
  #apartUntil = Number.NEGATIVE_INFINITY;
  readonly #running = new Set<Promise<void>>();

  /**
   * A selection by labels would delete what is no grant's though it has the label of one: `isCopied` says of a grant's uid whether
   * there is such a RoleBinding. `guarded`: whether the guards stand, which keep anybody from making more.
   */
  constructor(o: { client: Client; log: Log; guarded: () => boolean; isCopied: (uid: string) => boolean }) {
    this.#client = o.client;
    this.#log = o.log;
    this.#guarded = o.guarded;
    this.#isCopied = o.isCopied;
  }

  /** Whether it may be tried now. */
  get isPossible(): boolean {
    return this.#guarded() && performance.now() >= this.#apartUntil;
  }

  /**
   * A way to delete bindings for calls that run beside one another: what is asked of it until the next turn of the event loop goes
   * together. Whatever does not surely go so is deleted by itself, so that who asks sees no difference.
   */
  open(): DeleteBinding {
    const asked = new Map<string, Asked[]>();
    let isOpen = true;
    const alone: DeleteBinding = (ref) => this.#client.delete(roleBindings, ref, { propagationPolicy });
    const send = async () => {
      await nextTurn();
      isOpen = false;
      await Promise.all([...asked].map(([namespace, those]) => this.#delete(namespace, those)));
    };
    const sending = send().finally(() => this.#running.delete(sending));
    this.#running.add(sending);
    return (ref) => {
      const { namespace } = ref;
      const uid = grantUidOf(ref.name);
      if (!isOpen || !namespace || uid === undefined || this.#isCopied(uid)) return alone(ref);
      return new Promise((resolve) => {
        const those = asked.get(namespace) ?? [];
        asked.set(namespace, those);
        those.push({ ref, gone: () => resolve(undefined), delete: () => resolve(alone(ref)) });
      });
    };
  }

  /** Resolves once what goes together now is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Never rejects. */
  async #delete(namespace: string, asked: Asked[]): Promise<void> {
    const gone = asked.length > 1 ? await this.#goneTogether(namespace, asked) : new Set();
    for (const each of asked) {
      if (gone.has(each.ref.name)) each.gone();
      else each.delete();
    }
  }

  /** The names of those that went. One that a finalizer keeps did not. */
  async #goneTogether(namespace: string, asked: Asked[]): Promise<Set<string>> {
    const uids = asked.map(({ ref }) => grantUidOf(ref.name));
    const labelSelector = `${LABELS.grant} in (${uids.join(',')})`;
    try {
      const were = await this.#client.deleteCollection(
        roleBindings,
        { namespace, labelSelector },
        { propagationPolicy, timeoutMs: LONGEST },
      );
      return new Set(were.flatMap(({ metadata }) => (metadata.finalizers?.length ? [] : [metadata.name])));
    } catch (error) {
      this.#apartUntil = performance.now() + APART;
      this.#log.info('bindings could not be deleted together; each is deleted by itself', {
        namespace,
        bindings: asked.length,
        error: messageOf(error),
      });
      return new Set();
    }
  }
}
