// Whose reviews count. What takes access away counts from whoever was let make it; what gives access only for the very thing
// that was looked at, and only from somebody who did not write it can't act as one who did, and as whom none of these can act.

import { MOST_AUTHORS, type ParsedGrant } from '../api/grant.ts';
import { isAgentUser, serviceAccountOf } from '../api/names.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import type { ParsedReview, ReviewSpec, ReviewStamps } from '../api/review.ts';
import type { Stamp } from '../api/stamp.ts';
import { printableUser } from '../text.ts';
import { isEnforced } from './policies.ts';
import { ownPolicies, type Snapshot } from './snapshot.ts';

/** So many reviews that do not count are named in a message. */
const MOST_REJECTED = 4;

/**
 * What the API server says of a reviewer: whether they hold the verb approve still, as which authors they may act, and which
 * authors may act as them, so that the review may be an author's own.
 */
export type ReviewerStanding = { mayApprove: boolean; mayActAs: string[]; mayBe: string[] };

/** A right to ask the API server about. */
export type ActingRight = { verb: string; resource: string; subresource?: string; namespace?: string; name?: string };

/** `atIssue`: as of a GateInput; left out where nothing is about to be issued. */
type Reviewed = Snapshot & { atIssue?: boolean };

/** A review that could be read, with who made it. */
export type Review = ParsedReview & { spec: ReviewSpec; stamps: ReviewStamps };

/** The reviews that could be read; one that can't be says nothing. */
export function readable(reviews: ParsedReview[]): Review[] {
  if (reviews.length === 0) return [];
  return reviews.flatMap((review) => {
    const { spec, stamps } = review;
    return spec && stamps ? [{ ...review, spec, stamps }] : [];
  });
}

/** Why this is no review by a person who may make one; undefined when it is. */
export function strangerProblem(input: Pick<Snapshot, 'grant' | 'namespaces'>, review: Review): string | undefined {
  return accountProblem(ownPolicies(input), review);
}

/** Why a review does not count since a ServiceAccount made it, under these policies of its namespace; agents' never do. */
export function accountProblem(policies: ParsedPolicy[], { stamps: { reviewer } }: Review): string | undefined {
  const account = serviceAccountOf(reviewer.username);
  if (!account) return undefined;
  if (isAgentUser(reviewer.username)) return `${reviewer.username} is an agent, and agents review nothing`;
  const named = policies
    .filter(isEnforced)
    .some(({ spec }) =>
      spec?.reviewers?.serviceAccounts?.some(
        (each) => each.namespace === account.namespace && each.name === account.name,
      ),
    );
  if (named) return undefined;
  return `${reviewer.username} is a ServiceAccount, which no AgentPolicy names as a reviewer (spec.reviewers.serviceAccounts)`;
}

/**
 * Why a review gives nothing, by what is known without asking: it is about another object or state, or its reviewer wrote what
 * it is about. Undefined when all that is left is to ask the API server about the reviewer.
 */
export function formalProblem(snapshot: Reviewed, review: Review): string | undefined {
  const { grant, hash, identity } = snapshot;
  const { target } = review.spec;
  const stranger = strangerProblem(snapshot, review);
  if (stranger) return stranger;
  const { reviewer } = review.stamps;
  const authors = authorsOf(grant);
  if (target.kind === 'AgentIdentity') {
    return target.uid === identity?.metadata.uid ? undefined : 'it is about another AgentIdentity that had this name';
  }
  if (target.uid !== grant.metadata.uid) return 'it is about another grant that had this name';
  if (authors.includes(reviewer.username)) return `${nameOf(review)} wrote what it is about`;
  if (authors.length >= MOST_AUTHORS) {
    return `so many people wrote the grant that nobody is known not to have (${MOST_AUTHORS}): create it anew`;
  }
  if (isOnRecord(snapshot, review)) return undefined;
  if (target.specHash !== hash || target.generation !== grant.metadata.generation) {
    return 'the grant was edited since it was looked at';
  }
  return undefined;
}

/** Why the reviewer does not count, by what the API server said; undefined when they do. */
export function reviewerProblem(snapshot: Reviewed, review: Review): string | undefined {
  if (isOnRecord(snapshot, review)) return undefined;
  const standing = snapshot.reviewers?.get(review.metadata.uid);
  if (!standing) return 'what its reviewer may do has not been asked yet';
  const [author] = standing.mayActAs;
  if (author !== undefined) return `${nameOf(review)} may act as ${printableUser(author)}, who wrote what it is about`;
  const [disguised] = standing.mayBe;
  if (disguised !== undefined) {
    return `${printableUser(disguised)}, who wrote what it is about, may act as ${nameOf(review)}`;
  }
  if (!standing.mayApprove) return `${nameOf(review)} does not hold the verb approve any more`;
  return undefined;
}

/** A review that does not count, with why. */
export type Rejected = { review: Review; because: string };

/** What a message adds about the latest reviews that do not count; empty when there are none. */
export function rejectedNote(rejected: Rejected[]): string {
  if (rejected.length === 0) return '';
  const latest = rejected.toSorted((a, b) => madeAt(a.review) - madeAt(b.review)).slice(-MOST_REJECTED);
  return `. What does not count: ${latest.map(({ review, because }) => `AgentReview ${review.metadata.name}: ${because}`).join('; ')}`;
}

/** When a review was made, in milliseconds since the epoch; the API server stamps whole seconds. */
export function madeAt({ metadata }: Review): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0;
}

/** A live grant rests on the approvals that it began with, as long as they are there: narrowing it needs no new ones. */
export function isOnRecord({ grant, hash, superseded, atIssue }: Reviewed, { metadata, spec }: Review): boolean {
  if (spec.decision !== 'Approve' || atIssue !== false) return false;
  const { approvals = [], specHash } = grant.status;
  const speaksOf = specHash === hash || superseded.some((receipt) => receipt.spec?.specHash === specHash);
  return speaksOf && approvals.some(({ uid, specHash }) => uid === metadata.uid && specHash === spec.target.specHash);
}

/** User names of whoever wrote what is asked for: the creator, and every author of the spec. */
export function authorsOf({ stamps }: Pick<ParsedGrant, 'stamps'>): string[] {
  if (!stamps) return [];
  return [...new Set([stamps.creator.username, stamps.requester.username, ...(stamps.authors ?? [])])];
}

/** The same with what else is known of them: groups are, of creator and requester. */
export function authorStamps({ stamps }: Pick<ParsedGrant, 'stamps'>): Stamp[] {
  if (!stamps) return [];
  const { creator, requester, authors = [] } = stamps;
  const others = authors.filter((name) => name !== creator.username && name !== requester.username);
  return [creator, requester, ...others.map((username) => ({ username }))];
}

/** The rights by any of which one may act as a user: by impersonation, or, as a ServiceAccount, by its tokens or pods. */
export function waysToActAs(user: string): ActingRight[] {
  const account = serviceAccountOf(user);
  if (!account) return [{ verb: 'impersonate', resource: 'users', name: user }];
  return [
    { verb: 'impersonate', resource: 'serviceaccounts', ...account },
    { verb: 'create', resource: 'serviceaccounts', subresource: 'token', ...account },
    { verb: 'create', resource: 'pods', namespace: account.namespace },
  ];
}

/** The reviewer's name, safe to print. */
export function nameOf({ stamps }: Review): string {
  return printableUser(stamps.reviewer.username);
}
