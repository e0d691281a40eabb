// The one decision: from a snapshot of everything a grant depends on to what must be true of it now.
//
// It reads as the life of a grant (docs/concepts.md): what has ended stays ended; what lives may have to end; what
// is asked for passes every gate or waits, and says why. Nothing here does I/O or asks for the time.

import { isActor } from '../api/actors.ts';
import { isReason, isTerminal, type Phase, type Reason } from '../api/conditions.ts';
import type { Outcomes } from '../api/gates.ts';
import type { GrantStatus } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { receiptName } from '../api/request.ts';
import type { Question } from '../cel/question.ts';
import { type Access, requestedAccess } from './access.ts';
import { type Approval, approvalsOf, approvalWarnings, candidates } from './approvals.ts';
import { authorsWarnings, mustAskAuthors } from './authors.ts';
import { dueAhead } from './certification.ts';
import { answersFor, conditionWarnings, revocation } from './conditions.ts';
import { deadManWarnings, doneWithout } from './dead-man.ts';
import { type Finding, finding, type Told } from './finding.ts';
import { gates, outcomes } from './gates.ts';
import { nameWarnings } from './names.ts';
import { narrowing, snapshotTerm } from './narrowing.ts';
import { concernedPolicies, policyWarnings } from './policies.ts';
import { isOnRecord, type Review } from './reviews.ts';
import { type Term, time, timestamp, writtenTerm } from './schedule.ts';
import { signalRevocation, signalWarnings } from './signals.ts';
import { isLive, mayHaveGiven, type Snapshot } from './snapshot.ts';
import { resumes, stop } from './stops.ts';
import { taskEnd, taskOf, taskWarnings } from './task.ts';
import { opening } from './windows.ts';

export type Verdict = {
  phase: Phase;
  /** Every reason, in the order of the gates. */
  reasons: Told[];
  /** How each gate stands; undefined where something ended the grant before they were asked. */
  gates: Outcomes | undefined;
  /** What policies that only warn would have against it, were they enforced, and what does not do what it seems to. */
  warnings: Told[];
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

/** A request that never got through its gates becomes Denied after this long, so that none sleeps for months. */
export const PENDING_LIMIT = 7 * 24 * 3600_000;

/** A suspended grant gets its access back only when all gates have passed for this long, so that rights don't flap. */
export const RESTORE_DELAY = 30_000;

/** What stands against a request in which all else is in order. */
const PEOPLE_OR_TIME: ReadonlySet<Reason> = new Set(['ApprovalMissing', 'NotYetStarted', 'OutsideWindow']);

/** What time alone changes, as planned. */
const TIME: ReadonlySet<Reason> = new Set(['NotYetStarted', 'OutsideWindow']);

/** What may turn out not to stand against a grant once expressions are evaluated. */
const HANGS_ON_EXPRESSIONS: ReadonlySet<Reason> = new Set(['ConditionFailed', 'ApprovalMissing']);

const AGAIN = 'to ask again, set spec.task.ref to a new value';

/** From here on an end was not lived through by hallpass, and whoever reads the record should know. */
const NOTICED_LATE = 10_000;

export function decide(snapshot: Snapshot): Verdict {
  return ended(snapshot) ?? stopped(snapshot) ?? ending(snapshot) ?? revoked(snapshot) ?? weigh(snapshot);
}

/** What has ended stays ended: by the tombstone, or by the receipt when the tombstone is gone. */
function ended(snapshot: Snapshot): Verdict | undefined {
  const { grant, hash, receipt } = snapshot;
  const { phase, specHash, reasons } = grant.status;
  const sameRequest = specHash === hash;
  if (sameRequest && phase && isTerminal(phase)) {
    return terminal(phase, { reason: 'EndPassed', message: 'it has ended' }, known(reasons));
  }
  if (grant.metadata.deletionTimestamp) {
    const what = 'the grant was deleted, which ends it for good';
    return terminal('Revoked', finding({ reason: 'EndedByDeletion', what }));
  }
  if (receipt && !isLive(snapshot)) {
    const { outcome, endedAt, reason, message } = receipt.status;
    const own = receipt.spec?.grant.uid === grant.metadata.uid;
    // A status that was wiped says nothing of what came between; the receipt is of this very grant.
    const ended = sameRequest || specHash === undefined;
    if (own && ended && (outcome === 'Expired' || outcome === 'Revoked')) {
      return terminal(outcome, {
        reason: reason && isReason(reason) ? reason : 'EndPassed',
        message: message ?? 'it has ended',
      });
    }
    const term = receipt.spec ? ` from ${receipt.spec.startTime} to ${endedAt ?? receipt.spec.expiresAt}` : '';
    const refused = finding({
      reason: 'RequestAlreadyUsed',
      what: `the same request (namespace, name and spec) was already used${term}, see receipt ${receipt.metadata.name}`,
      remedy: `${AGAIN} or give the grant a new name`,
      by: ['Requester'],
    });
    return terminal('Denied', refused);
  }
  const used = !receipt && sameRequest && grant.status.startTime ? grant.status.receipt : undefined;
  if (used && used === receiptName({ namespace: grant.metadata.namespace ?? '', name: grant.metadata.name }, hash)) {
    const deleted = finding({
      reason: 'ReceiptDeleted',
      what: `receipt ${used} of this grant was deleted, and without its record no access may last`,
      remedy: 'ask again under a new spec.task.ref',
      by: ['Requester'],
    });
    return terminal('Revoked', deleted);
  }
  return undefined;
}

/** What people have ended. What was never given was denied, by whichever word. */
function stopped(snapshot: Snapshot): Verdict | undefined {
  const found = stop(snapshot);
  if (!found) return undefined;
  const { denies, ...said } = found;
  return terminal(denies && !hasGiven(snapshot) ? 'Denied' : 'Revoked', said);
}

/** What may have to end now: the end has come, the identity went, the task is over, or the request has waited too long. */
function ending(snapshot: Snapshot): Verdict | undefined {
  const { grant, identity, receipt, now } = snapshot;
  const narrows = narrowing(snapshot);
  const over = taskEnd(snapshot, narrows);
  const task = taskOf(snapshot, narrows);
  const fixed = isLive(snapshot) ? writtenTerm(receipt?.spec) : undefined;
  if (fixed) {
    if (now >= fixed.end) {
      const noted = now >= fixed.end + NOTICED_LATE ? `; hallpass was away and noted it at ${timestamp(now)}` : '';
      const passed = finding({ reason: 'EndPassed', what: `it ended at ${timestamp(fixed.end)}${noted}` });
      return { ...terminal('Expired', passed), term: fixed };
    }
    const gone = identityGone(snapshot, identity) ?? over;
    return gone && { ...terminal('Expired', gone), term: fixed, task };
  }
  if (!grant.spec) return tooLong(snapshot);
  const wouldBe = snapshotTerm(snapshot, grant.spec);
  if (wouldBe.end <= now) {
    const passed = finding({
      reason: 'EndPassed',
      what: `its end, ${timestamp(wouldBe.end)}, has passed`,
      remedy: 'set spec.validity.notAfter to a time to come',
      by: ['Requester'],
    });
    return terminal('Expired', passed);
  }
  if (over) return { ...terminal('Expired', over), task };
  return tooLong(snapshot);
}

/** What signals end. Facts pass: what gave nothing yet is not refused for good because of one, it waits. */
function revoked(snapshot: Snapshot): Verdict | undefined {
  const found = hasGiven(snapshot) ? signalRevocation(snapshot) : undefined;
  return found && terminal('Revoked', found);
}

/** Whether the agent may have had access by this grant, be it under an earlier spec. */
function hasGiven(snapshot: Snapshot): boolean {
  const holding = isLive(snapshot) ? snapshot.receipt : snapshot.superseded[0];
  return holding !== undefined && mayHaveGiven(snapshot, holding);
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

  const asking = { ...snapshot, access, policies: concernedPolicies(snapshot, access), term: planned, atIssue };
  const { answered, questions, changesAt } = answersFor(asking);
  const input = { ...asking, answered };
  const findings = gates(input);
  const warnings = [
    ...signalWarnings(snapshot),
    ...policyWarnings(input),
    ...authorsWarnings(input),
    ...approvalWarnings(input),
    ...taskWarnings(input),
    ...deadManWarnings(input),
    ...conditionWarnings(input),
    ...nameWarnings(spec?.permissions ?? []),
  ];
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

function identityGone({ grant, receipt, now }: Snapshot, identity: ParsedIdentity | undefined): Finding | undefined {
  const agent = receipt?.spec?.agent.name ?? grant.spec?.agent ?? '';
  if (!identity || identity.metadata.deletionTimestamp || identity.metadata.uid !== receipt?.spec?.agent.uid) {
    const what = `AgentIdentity ${agent}, to which this was granted, was deleted`;
    const remedy = `${AGAIN} once there is one again`;
    return finding({ reason: 'AgentDeleted', what, remedy, by: ['IdentityOwner', 'Requester'] });
  }
  const end = time(identity.spec?.expiresAt);
  if (end !== undefined && end <= now) {
    const what = `AgentIdentity ${agent} expired at ${timestamp(end)}`;
    const remedy = `${AGAIN} once its owner has set a later spec.expiresAt`;
    return finding({ reason: 'AgentExpired', what, remedy, by: ['IdentityOwner', 'Requester'] });
  }
  return undefined;
}

function tooLong(snapshot: Snapshot): Verdict | undefined {
  if (snapshot.now < pendingSince(snapshot) + PENDING_LIMIT) return undefined;
  const gate = snapshot.grant.status.message;
  const late = finding({
    reason: 'PendingTooLong',
    what: `it waited for 7 days and is no longer considered${gate ? ` (${gate})` : ''}`,
    remedy: AGAIN,
    by: ['Requester'],
  });
  return terminal('Denied', late);
}

/** From when a request that doesn't pass counts as waiting: since it was made, or since it was meant to start. */
function pendingSince({ grant, hash, now }: Snapshot): number {
  const seen = grant.status.specHash === hash ? time(grant.status.requestedAt) : undefined;
  const created = grant.status.specHash === undefined ? time(grant.metadata.creationTimestamp) : undefined;
  return Math.max(seen ?? created ?? now, time(grant.spec?.validity.notBefore) ?? 0);
}

function terminal(phase: Phase, told: Told, reasons?: Told[]): Verdict {
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

function earliest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter((candidate) => candidate !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

/** Why a grant has ended, from its stored status: without what this version doesn't know, and what was only true then. */
function known(reasons: GrantStatus['reasons']): Told[] {
  return (reasons ?? []).flatMap(({ reason, message, policy, line, remedy, by }) =>
    isReason(reason) && reason !== 'AccessRemains'
      ? [{ reason, message, policy, line, remedy, by: by?.filter(isActor) }]
      : [],
  );
}
