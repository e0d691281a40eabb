// The one decision: from a snapshot of everything a grant depends on to what must be true of it now.
//
// It reads as the life of a grant (docs/concepts.md): what has ended stays ended; what lives may have to end; what
// is asked for passes every gate or waits, and says why. Nothing here does I/O or asks for the time.

import type { Reason } from '../api/conditions.ts';
import { requestedAccess } from './access.ts';
import { approvalsOf, approvalWarnings, candidates } from './approvals.ts';
import { authorsWarnings, mustAskAuthors } from './authors.ts';
import { dueAhead } from './certification.ts';
import { answersFor, conditionWarnings, revocation } from './conditions.ts';
import { deadManWarnings, doneWithout } from './dead-man.ts';
import { ended, ending, PENDING_LIMIT, pendingSince, revoked, stopped } from './endings.ts';
import { finding, together } from './finding.ts';
import { type GateInput, gates, outcomes } from './gates.ts';
import { nameWarnings } from './names.ts';
import { narrowing, snapshotTerm } from './narrowing.ts';
import { concernedPolicies, policyWarnings } from './policies.ts';
import { isOnRecord } from './reviews.ts';
import { time, timestamp, writtenTerm } from './schedule.ts';
import { signalWarnings } from './signals.ts';
import { isLive, mayHaveGiven, type Snapshot } from './snapshot.ts';
import { resumes } from './stops.ts';
import { taskOf, taskWarnings } from './task.ts';
import { terminal, type Verdict } from './verdict.ts';
import { opening } from './windows.ts';

/** A suspended grant gets its access back only when all gates have passed for this long, so that rights don't flap. */
export const RESTORE_DELAY = 30_000;

/** What stands against a request in which all else is in order. */
const PEOPLE_OR_TIME: ReadonlySet<Reason> = new Set(['ApprovalMissing', 'NotYetStarted', 'OutsideWindow']);

/** What time alone changes, as planned. */
const TIME: ReadonlySet<Reason> = new Set(['NotYetStarted', 'OutsideWindow']);

/** What may turn out not to stand against a grant once expressions are evaluated. */
const HANGS_ON_EXPRESSIONS: ReadonlySet<Reason> = new Set(['ConditionFailed', 'ApprovalMissing']);

/** What most grants rest on: no expression. */
const UNANSWERED: GateInput['answered'] = new Map();

export function decide(snapshot: Snapshot): Verdict {
  return ended(snapshot) ?? stopped(snapshot) ?? ending(snapshot) ?? revoked(snapshot) ?? weigh(snapshot);
}

/** Every gate is asked, so that a person sees all that is wrong at once. */
function weigh(snapshot: Snapshot): Verdict {
  const { grant, now, receipt, superseded, identity } = snapshot;
  const live = isLive(snapshot);
  const narrows = narrowing(snapshot);
  const spec = grant.spec;
  const fixed = live ? writtenTerm(receipt?.spec) : undefined;
  const planned = fixed ?? (spec && snapshotTerm(snapshot, spec));
  const access = spec ? requestedAccess(spec.permissions, grant.metadata.namespace ?? '') : [];
  const atIssue = !live && !narrows;

  const policies = concernedPolicies(snapshot, access);
  const asking: GateInput = { ...snapshot, access, policies, term: planned, atIssue, answered: UNANSWERED };
  const { answered, questions, changesAt } = answersFor(asking);
  const input = answered.size === 0 ? asking : { ...asking, answered };
  const findings = gates(input);
  const warnings = together(
    signalWarnings(snapshot),
    policyWarnings(input),
    authorsWarnings(input),
    approvalWarnings(input),
    taskWarnings(input),
    deadManWarnings(input),
    conditionWarnings(input),
    nameWarnings(spec?.permissions ?? []),
  );
  const holding = live ? receipt : narrows ? superseded[0] : undefined;
  const given = holding !== undefined && mayHaveGiven(snapshot, holding);
  const unasked = [...candidates(input), ...resumes(snapshot)].filter((review) => !isOnRecord(input, review));
  const common = {
    gates: outcomes(input, findings),
    warnings,
    withoutDeadMan: doneWithout(snapshot, access),
    narrows,
    given,
    term: planned,
    task: taskOf(snapshot, narrows),
    askAuthors: false,
    questions,
    // As long as reviewers are to be asked about, what they resume may seem to be suspended.
    refusedAnyway:
      (snapshot.reviewers !== undefined || unasked.length === 0) &&
      findings.some(({ reason }) => !HANGS_ON_EXPRESSIONS.has(reason)),
    askReviewers: snapshot.reviewers === undefined ? unasked : [],
    approvals: approvalsOf(input),
    passingSince: undefined,
  };
  const identityEnd = earliest(time(identity?.spec?.expiresAt), dueAhead(identity, now));
  const news = warnings.map((warning) => warning.nextCheck);
  // While nothing is fixed, a duration begins when the gates are passed; only a stated end comes by itself.
  const end = fixed || narrows ? planned?.end : time(spec?.validity.notAfter);

  const turns = earliest(opening(spec?.windows, now).changesAt, changesAt);

  // Nothing is said on what is yet to be found out.
  const over = given && questions.length === 0 ? revocation(input) : undefined;
  if (over) return { ...terminal('Revoked', over), term: planned };
  const scheduled = findings.length > 0 && findings.every(({ reason }) => TIME.has(reason));
  const inOrder = findings.every(({ reason }) => PEOPLE_OR_TIME.has(reason));
  // Nobody is asked to approve what its authors may not hand out.
  if (inOrder && !scheduled && mustAskAuthors(input)) {
    const remedy = 'asking whether its authors hold what they hand out';
    const asking = finding({ reason: 'Issuing', remedy, by: ['Hallpass'] });
    const phase = given ? 'Suspended' : 'Pending';
    return { ...common, askAuthors: true, phase, reasons: [asking], access: [], nextCheck: end };
  }
  if (findings.length > 0) {
    const phase = given ? 'Suspended' : scheduled ? 'Scheduled' : inOrder ? 'AwaitingApproval' : 'Pending';
    const tooLate = live || scheduled ? undefined : pendingSince(snapshot) + PENDING_LIMIT;
    const checks = findings.map(({ nextCheck }) => nextCheck);
    const closed = given && findings.every(({ reason }) => reason === 'OutsideWindow');
    return {
      ...common,
      passingSince: closed ? passingSince(snapshot) : undefined,
      phase,
      reasons: findings,
      access: [],
      nextCheck: earliest(end, identityEnd, tooLate, turns, ...checks, ...news),
    };
  }
  if (given && (grant.status.phase === 'Suspended' || snapshot.withdrawn)) {
    const since = passingSince(snapshot);
    const restoresAt = since + RESTORE_DELAY;
    if (now < restoresAt) {
      const restoring = finding({
        reason: 'Restoring',
        what: 'all gates pass again',
        remedy: `access returns at ${timestamp(restoresAt)} if they still do`,
        by: ['Time'],
      });
      return {
        ...common,
        passingSince: since,
        phase: 'Suspended',
        reasons: [restoring],
        access: [],
        nextCheck: earliest(end, identityEnd, turns, restoresAt, ...news),
      };
    }
  }
  const until = planned ? ` until ${timestamp(planned.end)}` : '';
  return {
    ...common,
    phase: 'Active',
    reasons: [finding({ reason: 'Granted', what: `access is granted${until}` })],
    access,
    nextCheck: earliest(planned?.end, identityEnd, turns, ...news),
  };
}

/** Since when a suspended grant passes all but its windows: these close and open as planned, which is no flapping. */
function passingSince({ grant, now }: Snapshot): number {
  return (grant.status.phase === 'Suspended' && time(grant.status.passingSince)) || now;
}

function earliest(...times: (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time;
  return first;
}
