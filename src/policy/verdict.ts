// What is decided about a grant.

import type { Phase } from '../api/conditions.ts';
import type { Outcomes } from '../api/gates.ts';
import type { GrantStatus } from '../api/grant.ts';
import type { Question } from '../cel/question.ts';
import type { Access } from './access.ts';
import type { Approval } from './approvals.ts';
import type { Told } from './finding.ts';
import type { Review } from './reviews.ts';
import type { Term } from './schedule.ts';

export type Verdict = {
  phase: Phase;
  /** Every reason, in the order of the gates. */
  reasons: Told[];
  /** How each gate stands; undefined where something ended the grant before they were asked. */
  gates: Outcomes | undefined;
  /** What policies that only warn would have against it, were they enforced, and what does not do what it seems to. */
  warnings: readonly Told[];
  /** What must be held now. Empty unless the phase is Active. */
  access: Access[];
  /** Namespaces in which it is held without a dead man, as long as that is refused there. */
  withoutDeadMan: readonly string[];
  /** Start and end, once they are fixed or would be fixed by issuing now. */
  term: Term | undefined;
  /** The object that access ends with, once it was seen. */
  task: GrantStatus['task'];
  /** All other gates pass: ask whether those who must hold what is handed out do, and decide again. */
  askAuthors: boolean;
  /** The verdict hangs on whether who made these may have: ask, and decide again. */
  askReviewers: Review[];
  /** The verdict hangs on what these expressions come to: have them all evaluated, and decide again. */
  questions: Question[];
  /** Whatever they come to, the grant does not pass: what it holds need not wait for it. */
  refusedAnyway: boolean;
  /** The reviews that count as approvals. */
  approvals: Approval[];
  /** The agent may have had access by what this rests on, so that it is withdrawn for now, not refused. */
  given: boolean;
  /** The earlier specs' access goes on, narrowed to this one; otherwise whatever they hold is withdrawn first. */
  narrows: boolean;
  /** Since when a suspended grant's gates pass again, windows aside. */
  passingSince: number | undefined;
  /** When time alone changes the verdict. */
  nextCheck: number | undefined;
};

/** The verdict that a grant is over, and why. */
export function terminal(phase: Phase, told: Told, reasons?: Told[]): Verdict {
  return {
    phase,
    reasons: reasons && reasons.length > 0 ? reasons : [told],
    gates: undefined,
    warnings: [],
    access: [],
    withoutDeadMan: [],
    term: undefined,
    task: undefined,
    askAuthors: false,
    askReviewers: [],
    questions: [],
    refusedAnyway: true,
    approvals: [],
    given: false,
    narrows: false,
    passingSince: undefined,
    nextCheck: undefined,
  };
}
