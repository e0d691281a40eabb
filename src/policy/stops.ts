// What people have stopped: by Suspend until a Resume, by Revoke or Deny for good.
//
// A stop goes by the name of what it is about, whatever is behind that name now: deleting and creating anew, editing, or applying
// manifests again undoes none.

import type { ParsedReview } from '../api/review.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import {
  formalProblem,
  madeAt,
  nameOf,
  type Review,
  readable,
  rejectedNote,
  reviewerProblem,
  strangerProblem,
} from './reviews.ts';
import type { Snapshot } from './snapshot.ts';

/** A stop for good; a request that was denied before it gave anything is Denied, all else Revoked. */
export type Stop = Finding & { denies: boolean };

/** What ends the grant for good by somebody's word, if anything does. */
export function stop(snapshot: Snapshot): Stop | undefined {
  const { grant, hash, reviews } = snapshot;
  if (reviews.ofGrant.length === 0 && reviews.ofIdentity.length === 0) return undefined;
  const ofGrant = stopping(snapshot, reviews.ofGrant);
  const revoked = ofGrant.find(({ spec }) => spec.decision === 'Revoke');
  if (revoked) {
    const remedy = 'nothing more is given under its name: ask under another';
    const found = { what: told(revoked, 'revoked it'), remedy, by: ['Requester'] } as const;
    return { ...finding({ reason: 'RevokedByReview', ...found }), denies: false };
  }
  const agent = stopping(snapshot, reviews.ofIdentity).find(({ spec }) => spec.decision === 'Revoke');
  if (agent) {
    const what = told(agent, `revoked every grant of AgentIdentity ${agent.spec.target.name}`);
    const remedy = 'nothing more is given to an agent of that name: register another';
    return { ...finding({ reason: 'RevokedByReview', what, remedy, by: ['IdentityOwner'] }), denies: false };
  }
  const denied = ofGrant.find(({ spec }) => spec.decision === 'Deny' && spec.target.specHash === hash);
  if (denied) {
    const remedy = `to ask again, change what grant ${grant.metadata.name} asks for, or set spec.task.ref to a new value`;
    const found = { what: told(denied, 'denied it'), remedy, by: ['Requester'] } as const;
    return { ...finding({ reason: 'DeniedByReview', ...found }), denies: true };
  }
  return undefined;
}

/** What stands against the grant since its agent was suspended. */
export function agentSuspension(snapshot: Snapshot): readonly Finding[] {
  const review = suspending(snapshot, snapshot.reviews.ofIdentity);
  if (!review) return NOTHING;
  const { name } = review.spec.target;
  const command = `kubectl hallpass resume -n ${review.metadata.namespace} agentidentity/${name}`;
  return [
    finding({
      reason: 'AgentSuspended',
      what: told(review, `suspended AgentIdentity ${name}`),
      remedy: `a reviewer lifts it by: ${command}`,
      note: uselessResumes(snapshot, snapshot.reviews.ofIdentity, review),
      by: ['Reviewer'],
    }),
  ];
}

/** What stands against the grant since it was suspended itself. */
export function grantSuspension(snapshot: Snapshot): readonly Finding[] {
  const review = suspending(snapshot, snapshot.reviews.ofGrant);
  if (!review) return NOTHING;
  const command = `kubectl hallpass resume -n ${review.metadata.namespace} ${review.spec.target.name}`;
  return [
    finding({
      reason: 'SuspendedByReview',
      what: told(review, 'suspended it'),
      remedy: `a reviewer who did not write it lifts it by: ${command}`,
      note: uselessResumes(snapshot, snapshot.reviews.ofGrant, review),
      by: ['Reviewer'],
    }),
  ];
}

/** Reviews that lift a suspension if their reviewer may. */
export function resumes(snapshot: Snapshot): Review[] {
  const { ofGrant, ofIdentity } = snapshot.reviews;
  return [...resumesAmong(snapshot, ofGrant), ...resumesAmong(snapshot, ofIdentity)];
}

function resumesAmong(snapshot: Snapshot, reviews: ParsedReview[]): Review[] {
  const last = lastSuspend(snapshot, reviews);
  return last ? later(snapshot, reviews, last) : [];
}

/** The review by which what it is about is suspended now; undefined when it isn't. */
function suspending(snapshot: Snapshot, reviews: ParsedReview[]): Review | undefined {
  const last = lastSuspend(snapshot, reviews);
  const lifted = last && later(snapshot, reviews, last).some((review) => !reviewerProblem(snapshot, review));
  return lifted ? undefined : last;
}

function lastSuspend(snapshot: Snapshot, reviews: ParsedReview[]): Review | undefined {
  if (reviews.length === 0) return undefined;
  return stopping(snapshot, reviews)
    .filter(({ spec }) => spec.decision === 'Suspend')
    .reduce<Review | undefined>((last, each) => (last && madeAt(last) >= madeAt(each) ? last : each), undefined);
}

/** Resumes made later than a suspension, of which no more is to be asked than about their reviewers. Of the same second, the suspension stands. */
function later(snapshot: Snapshot, reviews: ParsedReview[], suspend: Review): Review[] {
  return readable(reviews).filter(
    (review) =>
      review.spec.decision === 'Resume' && madeAt(review) > madeAt(suspend) && !formalProblem(snapshot, review),
  );
}

/** What to know about resumes that were made since and lift nothing. */
function uselessResumes(snapshot: Snapshot, reviews: ParsedReview[], suspend: Review): string {
  const rejected = readable(reviews)
    .filter((review) => review.spec.decision === 'Resume' && madeAt(review) >= madeAt(suspend))
    .flatMap((review) => {
      const late = madeAt(review) > madeAt(suspend) ? undefined : 'it is not later than the suspension, make another';
      const because = formalProblem(snapshot, review) ?? late ?? reviewerProblem(snapshot, review);
      return because === undefined ? [] : [{ review, because }];
    });
  return rejectedNote(rejected);
}

function stopping(snapshot: Snapshot, reviews: ParsedReview[]): Review[] {
  if (reviews.length === 0) return [];
  return readable(reviews).filter((review) => !strangerProblem(snapshot, review));
}

/** Who did it and why: `alice suspended it ("odd requests", AgentReview stop-1)`. */
function told(review: Review, what: string): string {
  return `${nameOf(review)} ${what} ("${review.spec.comment}", AgentReview ${review.metadata.name})`;
}
