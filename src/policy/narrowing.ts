// Whether a changed spec only narrows what the grant holds, and from when to when it holds it.

import type { GrantSpec } from '../api/grant.ts';
import { restrictionsDigest } from '../api/request.ts';
import { accessCovers, requestedAccess } from './access.ts';
import { once } from './once.ts';
import { milliseconds, type Term, term, time, type Validity } from './schedule.ts';
import type { Snapshot } from './snapshot.ts';
import { endsWithSame } from './task.ts';

/**
 * Whether this spec only narrows what the grant's previous spec holds: same agent and reference, no right and no later end than
 * before, and every condition and window that it had. Then it takes effect at once and keeps the start; everything else is a new request with a new start.
 */
export function narrowing({ grant, superseded, receipt, identity }: Snapshot): boolean {
  const previous = superseded[0];
  if (!previous?.spec || superseded.length > 1 || receipt || !grant.spec) return false;
  const { spec } = grant;
  const before = previous.spec;
  if (before.agent.name !== spec.agent || before.agent.uid !== identity?.metadata.uid) return false;
  if (before.task.ref !== spec.task.ref) return false;
  if (!endsWithSame(before.endsWith, spec.validity.endsWith)) return false;
  // Conditions and windows may come to it; whether others restrict as much as those that it has, nobody can tell.
  if (before.restrictions !== undefined && before.restrictions !== restrictionsDigest(spec)) return false;
  const start = Date.parse(before.startTime);
  const { notBefore, ...ends } = validity(spec);
  if (notBefore !== undefined && notBefore > start) return false;
  if (term(ends, start).end > Date.parse(before.expiresAt)) return false;
  return accessCovers(before.access, requestedAccess(spec.permissions, grant.metadata.namespace ?? ''));
}

/** Start and end of a grant that is issued now, or narrowed. */
export function snapshotTerm(snapshot: Snapshot, spec: GrantSpec): Term {
  const previous = snapshot.superseded[0];
  if (previous?.spec && narrowing(snapshot)) return term(validity(spec), Date.parse(previous.spec.startTime));
  return term(validity(spec), snapshot.now);
}

const validity = once(
  ({ validity: { notBefore, notAfter, duration } }: GrantSpec): Validity => ({
    notBefore: time(notBefore),
    notAfter: time(notAfter),
    duration: duration === undefined ? undefined : milliseconds(duration),
  }),
);
