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
  /** The phases that a grant went through, in order. */
  phases(uid: string): Phase[];
};

/** Follows caches from before they are started. */
export function keepHistory(grants: Cache<ParsedGrant>, bindings: Cache<RoleBinding>): History {
  const found: string[] = [];
  const phases = new Map<string, Phase[]>();
  const ends = new Map<string, string>();
  /** The resourceVersion from which a grant's access must be gone. */
  const over = new Map<string, string>();

  grants.subscribe(({ type, object: { metadata, status, hash } }) => {
    const { phase, expiresAt } = status;
    if (type === 'deleted') {
      if (!over.has(metadata.uid)) over.set(metadata.uid, metadata.resourceVersion);
      return;
    }
    const known = phases.get(metadata.uid) ?? [];
    phases.set(metadata.uid, known);
    if (status.specHash !== hash) return;
    const request = `${metadata.uid} ${hash}`;
    if (isTerminal(known.at(-1)) && !isTerminal(phase) && ends.has(request)) {
      found.push(`grant ${keyOf(metadata)} went from ${known.at(-1)} to ${phase}`);
    }
    if (phase !== undefined && known.at(-1) !== phase) known.push(phase);
    if (isTerminal(phase)) over.set(metadata.uid, metadata.resourceVersion);
    if (expiresAt === undefined) return;
    const before = ends.get(request);
    if (before !== undefined && before !== expiresAt) {
      found.push(`the end of grant ${keyOf(metadata)} moved from ${before} to ${expiresAt}`);
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

  return { violations: found, phases: (uid) => phases.get(uid) ?? [] };
}
