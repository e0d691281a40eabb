// Which open grants rest on the rights of which subject of a binding: the user, ServiceAccount and groups of their authors.

import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { Stamp } from '../api/stamp.ts';
import { CacheIndex } from '../kube/cache-index.ts';
import { keyOf } from '../kube/object.ts';
import { subjectKeysOfHolder } from '../policy/authors.ts';

/**
 * Goes by authors, since thousands of grants have the same: a person in five hundred groups takes their room once, not once
 * a grant.
 */
export class AuthorIndex {
  readonly #authors = new Map<string, { stamp: Stamp; grants: Set<string> }>();
  readonly #bySubject = new CacheIndex<Stamp>(subjectKeysOfHolder);

  /** How many different authors open grants have. */
  get size(): number {
    return this.#authors.size;
  }

  add(grant: ParsedGrant): void {
    for (const stamp of stampsOf(grant)) {
      const key = keyOfStamp(stamp);
      let author = this.#authors.get(key);
      if (!author) {
        author = { stamp, grants: new Set() };
        this.#authors.set(key, author);
        this.#bySubject.add(key, stamp);
      }
      author.grants.add(keyOf(grant.metadata));
    }
  }

  /** `grant` must be as it was added. */
  remove(grant: ParsedGrant): void {
    for (const stamp of stampsOf(grant)) {
      const key = keyOfStamp(stamp);
      const author = this.#authors.get(key);
      author?.grants.delete(keyOf(grant.metadata));
      if (!author || author.grants.size > 0) continue;
      this.#authors.delete(key);
      this.#bySubject.remove(key, author.stamp);
    }
  }

  /** The keys of grants of which an author is the subject, or in it. */
  *grantsOf(subject: string): Generator<string, void, undefined> {
    for (const key of this.#bySubject.find(subject)) yield* this.#authors.get(key)?.grants ?? [];
  }
}

/** Of a grant that is over nothing is decided any more. */
function stampsOf({ stamps, status }: ParsedGrant): Stamp[] {
  return stamps && !isTerminal(status.phase) ? [stamps.creator, stamps.requester] : [];
}

function keyOfStamp({ username, groups }: Stamp): string {
  return JSON.stringify([username, groups]);
}
