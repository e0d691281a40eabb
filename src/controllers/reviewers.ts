// Whether those who reviewed a grant may have: asked of the API server.

import type { ParsedGrant } from '../api/grant.ts';
import { GROUP } from '../api/names.ts';
import type { Stamp } from '../api/stamp.ts';
import {
  type ActingRight,
  authorStamps,
  authorsOf,
  type Review,
  type ReviewerStanding,
  waysToActAs,
} from '../policy/reviews.ts';
import type { AuthorCheck } from './authors.ts';

/** By the review's uid, whether each reviewer holds the verb approve, as which authors of the grant they may act, and which of these as them. Throws when the API server doesn't answer. */
export async function askReviewers(
  check: AuthorCheck,
  grant: ParsedGrant,
  reviews: Review[],
): Promise<Map<string, ReviewerStanding>> {
  const answers = reviews.map(async ({ metadata, spec, stamps: { reviewer } }): Promise<[string, ReviewerStanding]> => {
    const { namespace = '' } = metadata;
    const { kind, name } = spec.target;
    const resource = kind === 'AgentGrant' ? 'agentgrants' : 'agentidentities';
    const ofGrant = kind === 'AgentGrant';
    const [mayApprove, acting, disguised] = await Promise.all([
      check.may(reviewer, { verb: 'approve', group: GROUP, resource, namespace, name }),
      Promise.all((ofGrant ? authorsOf(grant) : []).map((author) => mayActAs(check, reviewer, author))),
      Promise.all((ofGrant ? authorStamps(grant) : []).map((author) => mayBe(check, author, reviewer.username))),
    ]);
    return [metadata.uid, { mayApprove, mayActAs: acting.flat(), mayBe: [...new Set(disguised.flat())] }];
  });
  return new Map(await Promise.all(answers));
}

/** The author's name when the reviewer may act as them. */
async function mayActAs(check: AuthorCheck, reviewer: Stamp, author: string): Promise<string[]> {
  const may = await Promise.all(waysToActAs(author).map((way) => check.may(reviewer, way)));
  return may.includes(true) ? [author] : [];
}

/**
 * The author's name when they may act as the reviewer. Not of who may act as everybody: a cluster admin or a GitOps controller
 * that holds everything could lift the policy itself, and by this nobody could ever approve what they wrote.
 */
async function mayBe(check: AuthorCheck, author: Stamp, reviewer: string): Promise<string[]> {
  const may = await Promise.all(
    waysToActAs(reviewer).map(
      async (way) => (await check.may(author, way)) && !(await check.may(author, asAnybody(way))),
    ),
  );
  return may.includes(true) ? [author.username] : [];
}

/** The same right, about everybody. */
function asAnybody({ verb, resource, subresource }: ActingRight): ActingRight {
  return { verb, resource, subresource };
}
