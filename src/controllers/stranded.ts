// Objects of ours in a namespace that is not there, since it was finalized by force with them in it. The API server takes
// no write to them, so they are left alone, after one warning, until there is a namespace of that name again.

import { unlessGone } from '../kube/client.ts';
import { namespaces } from '../kube/kinds.ts';
import { type KubeObject, keyOf, type ObjectMeta, type Resource } from '../kube/object.ts';
import type { Cluster } from './cluster.ts';

export class Stranded {
  readonly #cluster: Cluster;
  readonly #resource: Resource<KubeObject>;
  /** Keys that were found stranded, by their namespace. */
  readonly #keys = new Map<string, Set<string>>();

  /** `wake` is called for each of them when its namespace is there again. */
  constructor(o: { cluster: Cluster; resource: Resource<KubeObject>; wake: (key: string) => void }) {
    this.#cluster = o.cluster;
    this.#resource = o.resource;
    o.cluster.caches.namespaces.subscribe(({ type, object }) => {
      if (type !== 'added') return;
      const keys = this.#keys.get(object.metadata.name) ?? [];
      this.#keys.delete(object.metadata.name);
      for (const key of keys) o.wake(key);
    });
  }

  /** Whether the namespace of this object isn't there. */
  async holds(metadata: ObjectMeta): Promise<boolean> {
    const name = metadata.namespace ?? '';
    const { caches, client, log } = this.#cluster;
    if (caches.namespaces.get({ name })) return false;
    const key = keyOf(metadata);
    const keys = this.#keys.get(name) ?? new Set<string>();
    if (keys.has(key)) return true;
    // Noted before it is asked, so that its return in between is not missed.
    this.#keys.set(name, keys.add(key));
    try {
      // The caches of namespaces and of what is in them may lag behind each other.
      const [namespace, object] = await Promise.all([
        unlessGone(client.get(namespaces, { name })),
        unlessGone(client.get(this.#resource, metadata)),
      ]);
      if (namespace) caches.namespaces.observe(namespace);
      if (namespace || !object) keys.delete(key);
      if (namespace) return false;
      if (!object) return true;
    } catch (error) {
      keys.delete(key);
      throw error;
    }
    log.warn(`${this.#resource.kind} is in a namespace that does not exist, and nothing can be written to it`, {
      [this.#resource.kind === 'AgentGrant' ? 'grant' : 'identity']: key,
      uid: metadata.uid,
      remedy: `create namespace ${name} again, delete what is in it, then delete it without force`,
    });
    return true;
  }
}
