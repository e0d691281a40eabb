// Which change of RBAC concerns which grants: from the role to its bindings, to whom they name, to the grants these wrote.
//
// What has access is decided at once, and what rests on the word of the API server once more when its authorizer must have heard
// of the change, too: that may be behind what hallpass has been told of.

import { sameRules } from '../access/grant-objects.ts';
import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantUidOf } from '../api/names.ts';
import type { SetTimer } from '../kube/alarm.ts';
import type { CacheEvent } from '../kube/cache.ts';
import { Deadlines } from '../kube/deadlines.ts';
import type { Role, RoleBinding, Subject } from '../kube/kinds.ts';
import { keyOf, refOf } from '../kube/object.ts';
import type { Queue } from '../kube/queue.ts';
import { inTurns } from '../kube/turns.ts';
import { targetPlaces } from '../policy/access.ts';
import { subjectKey } from '../policy/standing.ts';
import { AuthorIndex } from './author-index.ts';
import { type Cluster, INDEX, identityOf, roleKey } from './cluster.ts';
import { authorsCovered } from './rights.ts';
import { namespaceViews } from './snapshot.ts';

/** How far the authorizer of an API server may be behind, in milliseconds. */
const AUTHORIZER_LAG = 5_000;

/** What has no access yet waits so long, in milliseconds, so that it finds the authorizer up to date, and many changes are one. */
const SETTLE = 1_000;

export class RightsWatch {
  readonly #cluster: Cluster;
  readonly #grants: Queue;
  readonly #forget: () => void;
  readonly #authors = new AuthorIndex();
  readonly #again: Deadlines;

  /** Queue `rights` is given what is to be looked at again, by `lookAgain`; `forget` drops what the API server has answered before. */
  constructor(o: {
    cluster: Cluster;
    queues: Record<'grants' | 'rights', Queue>;
    forget: () => void;
    /** For tests. */
    setTimer?: SetTimer;
  }) {
    this.#cluster = o.cluster;
    this.#grants = o.queues.grants;
    this.#forget = o.forget;
    this.#again = new Deadlines({
      now: () => o.cluster.clock.now(),
      onDue: (key) => o.queues.rights.add(key),
      setTimer: o.setTimer,
    });
  }

  stop(): void {
    this.#again.stop();
  }

  grantChanged({ type, object, previous }: CacheEvent<ParsedGrant>): void {
    if (previous) this.#authors.remove(previous);
    if (type !== 'deleted') this.#authors.add(object);
  }

  bindingChanged({ type, object, previous, initial }: CacheEvent<RoleBinding>): void {
    const same = !previous || sameSubjects(object.subjects, previous.subjects);
    if (initial || (type === 'updated' && same)) return;
    this.#touch(same ? [object] : [object, previous]);
  }

  roleChanged(kind: 'Role' | 'ClusterRole', { type, object, previous, initial }: CacheEvent<Role>): void {
    if (initial || (type === 'updated' && previous && sameRules(object.rules, previous.rules))) return;
    const { roleBindings, clusterRoleBindings } = this.#cluster.caches;
    const { namespace, name } = object.metadata;
    const key = roleKey({ metadata: object.metadata, roleRef: { apiGroup: '', kind, name } });
    const bindings = kind === 'Role' ? roleBindings : clusterRoleBindings;
    const own = grantUidOf(name) === undefined ? undefined : bindings.get({ namespace, name });
    this.#touch([
      ...roleBindings.byIndex(INDEX.role, key),
      ...clusterRoleBindings.byIndex(INDEX.role, key),
      ...(own ? [own] : []),
    ]);
  }

  /** What is given on the word of the API server is looked at again when that must have heard of what hallpass had before it. */
  issued(key: string): void {
    this.#again.set(key, this.#later());
  }

  /** Decides again what rests on the word of the API server, and what waits for it. */
  async lookAgain(key: string): Promise<undefined> {
    const { caches } = this.#cluster;
    const grant = caches.grants.get(refOf(key));
    if (!grant || isTerminal(grant.status.phase)) return undefined;
    const snapshot = { grant, identity: identityOf(caches, grant), namespaces: namespaceViews(caches, grant) };
    if (grant.status.phase === 'Active' && authorsCovered(caches, snapshot)) return undefined;
    this.#forget();
    this.#grants.add(key);
    return undefined;
  }

  /** Those whose rights these bindings may decide, each once: a RoleBinding only where they hand out something in its namespace. */
  #touch(bindings: RoleBinding[]): void {
    const found = new Set<ParsedGrant>();
    for (const { metadata, subjects } of bindings) {
      for (const subject of subjects ?? []) {
        for (const grant of this.#writtenBy(subjectKey(subject))) {
          const { namespace } = metadata;
          if (namespace === undefined || targetPlaces(grant).includes(namespace)) found.add(grant);
        }
      }
    }
    if (found.size === 0) return;
    this.#forget();
    const again = this.#later();
    inTurns([...found], ({ metadata, status }) => {
      const key = keyOf(metadata);
      this.#grants.add(key, status.phase === 'Active' || status.phase === 'Suspended' ? {} : { afterMs: SETTLE });
      this.#again.set(key, again);
    });
  }

  #later(): Date {
    return new Date(this.#cluster.clock.now().getTime() + AUTHORIZER_LAG);
  }

  /** The open grants that a subject wrote, or may answer for where a pipeline wrote them. */
  *#writtenBy(subject: string): Generator<ParsedGrant, void, undefined> {
    const { grants, identities, policies } = this.#cluster.caches;
    for (const key of this.#authors.grantsOf(subject)) {
      const grant = grants.get(refOf(key));
      if (grant) yield grant;
    }
    if (!policies.list().some(({ spec }) => spec?.pipelines?.length)) return;
    for (const { metadata } of identities.byIndex(INDEX.owner, subject)) {
      yield* grants.byIndex(INDEX.agent, keyOf(metadata)).filter(({ status }) => !isTerminal(status.phase));
    }
  }
}

function sameSubjects(a: Subject[] = [], b: Subject[] = []): boolean {
  if (a === b) return true;
  return (
    a.length === b.length && a.every((subject, at) => b[at] !== undefined && subjectKey(subject) === subjectKey(b[at]))
  );
}
