// What a verdict hangs on that takes asking: the API server about authors and reviewers, a thread of its own about expressions.

import type { Evaluator } from '../cel/evaluator.ts';
import { requestedAccess } from '../policy/access.ts';
import { holdersOf } from '../policy/authors.ts';
import { finding } from '../policy/finding.ts';
import type { Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import { messageOf } from '../text.ts';
import type { AuthorCheck } from './authors.ts';
import { askReviewers } from './reviewers.ts';

export type Asked = Pick<Snapshot, 'authorsLack' | 'reviewers' | 'answers'>;

/**
 * While one question takes as long as no honest one does, in milliseconds, no more than so many grants wait behind it: those without
 * expressions must find a worker, whatever others are made of.
 */
const SLOW = 50;
const MOST_WAITING = 8;

/** Whether a verdict hangs on what is not known yet. */
export function hangsOnAnswers({ askAuthors, askReviewers, questions }: Verdict): boolean {
  return askAuthors || askReviewers.length > 0 || questions.length > 0;
}

/** Whether this verdict has to be asked about later, since too many others wait behind one that takes long. */
export function mustWait({ line }: Evaluator, { questions }: Verdict): boolean {
  return questions.length > 0 && line.for > SLOW && line.waiting >= MOST_WAITING;
}

/** Asks what the verdict wants asked, and keeps what was asked before. Throws when the API server doesn't answer. */
export async function ask(
  { authors, expressions }: { authors: AuthorCheck; expressions: Evaluator },
  snapshot: Snapshot,
  verdict: Verdict,
): Promise<Asked> {
  const { grant } = snapshot;
  let { authorsLack, reviewers, answers } = snapshot;
  if (verdict.askAuthors && grant.spec) {
    const access = requestedAccess(grant.spec.permissions, grant.metadata.namespace ?? '');
    authorsLack = await authors.lacking(holdersOf(snapshot), access);
  }
  if (verdict.askReviewers.length > 0) reviewers = await askReviewers(authors, grant, verdict.askReviewers);
  // Last: it is known by then whether what the grant holds goes anyway, and need not wait for this.
  else if (verdict.questions.length > 0) {
    answers = await Promise.all(verdict.questions.map((question) => expressions.ask(question)));
  }
  return { authorsLack, reviewers, answers };
}

/** The verdict while nobody answers what it hangs on: what may not be given is taken away, and nothing ends for it. */
export function unanswered(verdict: Verdict, failure: unknown): Verdict {
  if (verdict.phase === 'Active') return verdict;
  const what = `what its authors and reviewers may do could not be found out: ${messageOf(failure)}`;
  const failed = finding({ reason: 'CheckFailed', what, remedy: 'it is tried again', by: ['Hallpass'] });
  if (!verdict.askAuthors) return { ...verdict, reasons: [failed] };
  const gates = { ...verdict.gates, authors: 'Failed' as const };
  return { ...verdict, gates, reasons: [{ ...failed, gate: 'authors' }] };
}
