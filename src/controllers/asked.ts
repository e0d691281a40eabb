// What a verdict hangs on that only the API server knows: what authors and reviewers may do.

import { requestedAccess } from '../policy/access.ts';
import { holdersOf } from '../policy/authors.ts';
import type { Verdict } from '../policy/decide.ts';
import type { Snapshot } from '../policy/snapshot.ts';
import { messageOf } from '../text.ts';
import type { AuthorCheck } from './authors.ts';
import { askReviewers } from './reviewers.ts';

export type Asked = Pick<Snapshot, 'authorsLack' | 'reviewers'>;

/** Asks what the verdict wants asked, and keeps what was asked before. Throws when the API server doesn't answer. */
export async function ask(check: AuthorCheck, snapshot: Snapshot, verdict: Verdict): Promise<Asked> {
  const { grant } = snapshot;
  let { authorsLack, reviewers } = snapshot;
  if (verdict.askAuthors && grant.spec) {
    const access = requestedAccess(grant.spec.permissions, grant.metadata.namespace ?? '');
    authorsLack = await check.lacking(holdersOf(snapshot), access);
  }
  if (verdict.askReviewers.length > 0) reviewers = await askReviewers(check, grant, verdict.askReviewers);
  return { authorsLack, reviewers };
}

/** The verdict while nobody answers what it hangs on: what may not be given is taken away, and nothing ends for it. */
export function unanswered(verdict: Verdict, failure: unknown): Verdict {
  if (verdict.phase === 'Active') return verdict;
  const message = `what its authors and reviewers may do could not be found out: ${messageOf(failure)}; it is tried again`;
  if (!verdict.askAuthors) return { ...verdict, reasons: [{ reason: 'CheckFailed', message }] };
  const gates = { ...verdict.gates, authors: 'Failed' as const };
  return { ...verdict, gates, reasons: [{ reason: 'CheckFailed', message, gate: 'authors' }] };
}
