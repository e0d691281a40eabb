// What an identity's status says in conditions, and when two statuses say the same. No I/O.

import type { Reason } from '../api/conditions.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { STATUS_LIMITS } from '../api/status.ts';
import { setCondition } from '../kube/conditions.ts';
import type { ReviewStanding } from '../policy/certification.ts';
import type { StandingAccess } from '../policy/standing.ts';
import { printable } from '../text.ts';

/** Whether the identity is as declared, and why. */
export type Readiness = { ready: boolean; reason: Reason; message: string; stalled?: boolean };

/** The conditions that follow from this, with what is known of them from before. */
export function conditionsOf(
  { metadata, status }: ParsedIdentity,
  readiness: Readiness,
  standing: StandingAccess[],
  review: ReviewStanding | undefined,
  now: Date,
) {
  const { ready, reason, message, stalled } = readiness;
  const observedGeneration = metadata.generation;
  const also = ready ? undefined : stalled ? 'Stalled' : 'Reconciling';
  let conditions = (status.conditions ?? []).filter(
    ({ type }) => !['Reconciling', 'Stalled', ...(review ? [] : ['ReviewDue'])].includes(type) || type === also,
  );
  const set = (type: string, is: boolean, why: Reason, text: string) => {
    const limited = printable(text, STATUS_LIMITS.message);
    conditions = setCondition(
      conditions,
      { type, status: is ? 'True' : 'False', reason: why, message: limited, observedGeneration },
      now,
    );
  };
  set('Ready', ready, reason, message);
  if (also) set(also, true, reason, message);
  if (review) set('ReviewDue', review.due, review.reason, review.message);
  const listed = standing.slice(0, 5).map(({ binding, namespace, name, role, subject }) => {
    return `${binding} ${namespace ? `${namespace}/` : ''}${name} gives ${role} to ${subject}`;
  });
  const more = standing.length > 5 ? `; and ${standing.length - 5} more` : '';
  if (standing.length > 0) set('StandingAccess', true, 'RightsFound', listed.join('; ') + more);
  else set('StandingAccess', false, 'NoRightsFound', 'no binding but those of its grants gives it rights');
  return conditions;
}

/** Whether two statuses say the same: absent fields and undefined ones, in whatever order. */
export function sameStatus(a: unknown, b: unknown): boolean {
  return JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

/** The same value with its keys sorted and without undefined fields, so that equal statuses read alike. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, field]) => [key, ordered(field)]));
}
