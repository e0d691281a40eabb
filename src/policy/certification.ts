// Recertification: every so often somebody who answers for an agent says that it is still wanted as it is, or its grants rest.

import { formatDuration } from '../api/duration.ts';
import type { IdentityStatus, ParsedIdentity } from '../api/identity.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import type { ParsedReview } from '../api/review.ts';
import type { Stamp } from '../api/stamp.ts';
import { printable } from '../text.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import type { GateInput } from './gates.ts';
import { accountProblem, madeAt, nameOf, type Rejected, type Review, readable, rejectedNote } from './reviews.ts';
import { milliseconds, timestamp } from './schedule.ts';

/** The latest certification that counts, as the status records it. */
export type Certified = Pick<IdentityStatus, 'certifiedAt' | 'certifiedBy'>;

/** What speaks for an identity, and what hangs on whether who made it holds the verb certify. */
export type Judgement = { certified: Certified; ask: Review[]; rejected: Rejected[] };

/** A reminder comes at least this long before it is due, where the period is long enough, in milliseconds. */
const LEAST_NOTICE = 24 * 3600_000;

/**
 * Which certification of an identity counts: the latest that is of this very object and state, and of its owner or of somebody
 * who may certify it. `mayCertify` has what the API server said of the reviewers, by the review's uid. What was on record once
 * counts as long as the review is there.
 */
export function judgeCertification(o: {
  identity: ParsedIdentity;
  reviews: ParsedReview[];
  policies: ParsedPolicy[];
  mayCertify: ReadonlyMap<string, boolean>;
}): Judgement {
  const { identity, mayCertify } = o;
  const made = readable(o.reviews).filter(({ spec }) => spec.decision === 'Certify');
  const latestFirst = made.toSorted((a, b) => madeAt(b) - madeAt(a) || (a.metadata.uid < b.metadata.uid ? -1 : 1));
  const [ask, rejected]: [Review[], Rejected[]] = [[], []];
  for (const review of latestFirst) {
    const { uid } = review.metadata;
    const onRecord = identity.status.certifiedBy?.uid === uid;
    const because = onRecord ? undefined : formalProblem(identity, o.policies, review);
    const may = onRecord || answersFor(identity, review.stamps.reviewer) || mayCertify.get(uid);
    if (because !== undefined) rejected.push({ review, because });
    else if (may === undefined) ask.push(review);
    else if (may) return { certified: recorded(review), ask, rejected };
    else rejected.push({ review, because: `${nameOf(review)} is not its owner and does not hold the verb certify` });
  }
  return { certified: {}, ask, rejected };
}

/** When the next certification is due, and from when on that is said; undefined where none is wanted. */
export function reviewTimes(
  { metadata, spec }: ParsedIdentity,
  { certifiedAt }: Certified,
): { remindAt: number; dueAt: number } | undefined {
  // What the API server has not stored yet, such as a manifest, was not created: its first period is still to begin.
  if (spec?.review === undefined || metadata.creationTimestamp === undefined) return undefined;
  const every = milliseconds(spec.review.every);
  const dueAt = Math.max(time(metadata.creationTimestamp), time(certifiedAt)) + every;
  return { remindAt: dueAt - Math.min(every / 2, Math.max(every / 10, LEAST_NOTICE)), dueAt };
}

/** Where an identity stands between two certifications. */
export type ReviewStanding = { message: string } & (
  | { due: false; reason: 'ReviewNotDue' }
  | { due: true; reason: 'ReviewDueSoon' | 'ReviewOverdue' }
);

/** Where an identity stands between two certifications, for its status; undefined where none are wanted. */
export function reviewStanding(
  identity: ParsedIdentity,
  { certified, rejected }: Judgement,
  now: number,
): ReviewStanding | undefined {
  const times = reviewTimes(identity, certified);
  if (!times) return undefined;
  const dueAt = timestamp(times.dueAt);
  const since = certified.certifiedBy
    ? `${certified.certifiedBy.reviewer} certified it at ${certified.certifiedAt}`
    : 'it was not certified since it was created';
  const note = rejectedNote(rejected);
  if (now < times.remindAt) {
    const message = `${since}; the next certification is due at ${dueAt}${note}`;
    return { due: false, reason: 'ReviewNotDue', message };
  }
  if (now < times.dueAt) {
    const message = `${since}; it is to be certified by ${dueAt}, or its grants are suspended then: ${remedy(identity)}${note}`;
    return { due: true, reason: 'ReviewDueSoon', message };
  }
  const message = `${since}, and that was due at ${dueAt}: its grants are suspended until ${remedy(identity)}${note}`;
  return { due: true, reason: 'ReviewOverdue', message };
}

/** What stands against the grant while its agent's certification is overdue. */
export function certificationGate({ identity, now }: GateInput): readonly Finding[] {
  const times = identity && reviewTimes(identity, identity.status);
  if (!times || now < times.dueAt) return NOTHING;
  const { name } = identity.metadata;
  const every = formatDuration(milliseconds(identity.spec?.review?.every ?? '') / 1000);
  return [
    finding({
      reason: 'ReviewOverdue',
      what: `AgentIdentity ${name} was to be certified by ${timestamp(times.dueAt)} (spec.review.every: ${every}) and was not`,
      remedy: `access rests until ${remedy(identity)}`,
      by: ['IdentityOwner', 'Certifier'],
    }),
  ];
}

/** When the certification of an identity that is certified now falls due. */
export function dueAhead(identity: ParsedIdentity | undefined, now: number): number | undefined {
  const times = identity && reviewTimes(identity, identity.status);
  return times && times.dueAt > now ? times.dueAt : undefined;
}

function remedy({ metadata, spec }: ParsedIdentity): string {
  const owner = spec ? `its owner (${spec.owner.kind} ${printable(spec.owner.name)})` : 'its owner';
  return `${owner}, or whoever holds the verb certify on it, runs: kubectl hallpass certify -n ${metadata.namespace} agentidentity/${metadata.name}`;
}

/** Why a review certifies nothing, by what is known without asking. */
function formalProblem({ metadata }: ParsedIdentity, policies: ParsedPolicy[], review: Review): string | undefined {
  const { uid, generation } = review.spec.target;
  if (uid !== metadata.uid) return 'it is about another AgentIdentity that had this name';
  if (generation !== metadata.generation) return 'the identity was edited since it was looked at';
  return accountProblem(policies, review);
}

/** Whether somebody is the owner of the agent. What Kubernetes calls a group by itself, such as everybody, answers for nothing. */
export function answersFor({ spec }: ParsedIdentity, who: Pick<Stamp, 'username' | 'groups'>): boolean {
  if (!spec) return false;
  const { kind, name } = spec.owner;
  if (kind === 'User') return name === who.username;
  return !name.startsWith('system:') && (who.groups ?? []).includes(name);
}

function recorded(review: Review): Certified {
  const { name, uid } = review.metadata;
  return { certifiedAt: timestamp(madeAt(review)), certifiedBy: { review: name, uid, reviewer: nameOf(review) } };
}

function time(value: string | undefined): number {
  return Date.parse(value ?? '') || 0;
}
