// Whether those who reviewed a grant may have: asked of the API server.

import type { ParsedGrant } from '../api/grant.ts';
import { GROUP } from '../api/names.ts';
import type { Stamp } from '../api/stamp.ts';
import { authorsOf, type Review, type ReviewerStanding, waysToActAs } from '../policy/reviews.ts';
import type { AuthorCheck } from './authors.ts';

/** By the review's uid, whether each reviewer holds the verb approve, and as which authors of the grant they may act. Throws when the API server doesn't answer. */
export async function askReviewers(
  check: AuthorCheck,
  grant: ParsedGrant,
  reviews: Review[],
): Promise<Map<string, ReviewerStanding>> {
  const answers = reviews.map(async ({ metadata, spec, stamps: { reviewer } }): Promise<[string, ReviewerStanding]> => {
    const { namespace = '' } = metadata;
    const { kind, name } = spec.target;
    const resource = kind === 'AgentGrant' ? 'agentgrants' : 'agentidentities';
    const [mayApprove, ...acting] = await Promise.all([
      check.may(reviewer, { verb: 'approve', group: GROUP, resource, namespace, name }),
      ...(kind === 'AgentGrant' ? authorsOf(grant) : []).map((author) => mayActAs(check, reviewer, author)),
    ]);
    return [metadata.uid, { mayApprove, mayActAs: acting.flatMap((author) => author ?? []) }];
  });
  return new Map(await Promise.all(answers));
}

/** The author's name when the reviewer may act as them. */
async function mayActAs(check: AuthorCheck, reviewer: Stamp, author: string): Promise<string | undefined> {
  const may = await Promise.all(waysToActAs(author).map((way) => check.may(reviewer, way)));
  return may.includes(true) ? author : undefined;
}
