// What must hold of everything that ever happened to grants, watched from outside: no end moves, what has ended stays
// ended, and no access comes back after it.
import { isTerminal, type Phase } from '../../src/api/conditions.ts';
import type { ParsedGrant } from '../../src/api/grant.ts';
import { LABELS } from '../../src/api/names.ts';
import type { Cache } from '../../src/kube/cache.ts';
import type { RoleBinding } from '../../src/kube/kinds.ts';
import { isLaterVersion, keyOf } from '../../src/kube/object.ts';

export type History = {
  /** What happened and never may, as sentences. */
  violations: string[];
};

/** Follows caches from before they are started. */
export function keepHistory(grants: Cache<ParsedGrant>, bindings: Cache<RoleBinding>): History {
  const found: string[] = [];
  /** The phase that each grant was in last. */
  const phases = new Map<string, Phase>();
  const ends = new Map<string, string>();
  /** The resourceVersion from which a grant's access must be gone. */
  const over = new Map<string, string>();

  grants.subscribe(({ type, object: { metadata, status, hash } }) => {
    const { phase, expiresAt } = status;
    if (type === 'deleted') {
      if (!over.has(metadata.uid)) over.set(metadata.uid, metadata.resourceVersion);
      return;
    }
    const before = phases.get(metadata.uid);
    if (phase !== undefined) phases.set(metadata.uid, phase);
    if (status.specHash !== hash) return;
    const request = `${metadata.uid} ${hash}`;
    if (isTerminal(before) && !isTerminal(phase) && ends.has(request)) {
      found.push(`grant ${keyOf(metadata)} went from ${before} to ${phase}`);
    }
    if (isTerminal(phase)) over.set(metadata.uid, metadata.resourceVersion);
    if (expiresAt === undefined) return;
    const fixed = ends.get(request);
    if (fixed !== undefined && fixed !== expiresAt) {
      found.push(`the end of grant ${keyOf(metadata)} moved from ${fixed} to ${expiresAt}`);
    }
    ends.set(request, expiresAt);
  });

  bindings.subscribe(({ type, object: { metadata, subjects } }) => {
    const from = over.get(metadata.labels?.[LABELS.grant] ?? '');
    if (type === 'deleted' || from === undefined || !subjects?.length) return;
    if (isLaterVersion(metadata.resourceVersion, from)) {
      found.push(`binding ${keyOf(metadata)} gives access after its grant has ended`);
    }
  });

  return { violations: found };
}
