// What a grant's status says: a verdict and how far the cluster matches it, in the words of the API. No I/O.

import { isTerminal, type Phase, type Reason } from '../api/conditions.ts';
import type { Outcomes } from '../api/gates.ts';
import type { GrantStatus, ParsedGrant } from '../api/grant.ts';
import { STATUS_LIMITS } from '../api/status.ts';
import { type ConditionStatus, setCondition } from '../kube/conditions.ts';
import { isRecord } from '../kube/json.ts';
import type { Job } from '../kube/kinds.ts';
import type { Approval } from '../policy/approvals.ts';
import { sentenceOf, type Told } from '../policy/finding.ts';
import { type Term, timestamp } from '../policy/schedule.ts';
import type { Refusal } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import { printable, printableUser } from '../text.ts';

/** Where a grant stands in the cluster, which may be short of what was decided. */
export type Standing = {
  phase: Phase;
  reasons: Told[];
  /** How each gate stands; undefined where the grant is over. */
  gates: Outcomes | undefined;
  decision: GrantStatus['decision'];
  /** What keeps nothing from being granted, and should be known. */
  warnings: readonly Told[];
  /** The cluster matches the verdict; nothing is left to do for now. */
  settled: boolean;
  specHash: string;
  /** Fixed by the receipt; undefined while nothing was issued. */
  term: Term | undefined;
  receipt: string | undefined;
  /** What counts as approvals. */
  approvals: Approval[];
  /** What access ends with, once it was seen. */
  task: GrantStatus['task'];
  created: NonNullable<GrantStatus['created']>;
  /** The dead-man Jobs; undefined where there are none to speak of. */
  deadMan: { status: ConditionStatus; reason: Reason; message: string } | undefined;
  passingSince: number | undefined;
};

/** The status that follows; the very same object as the grant's own when nothing is new. */
export function grantStatus(grant: ParsedGrant, standing: Standing, now: number): GrantStatus {
  const before = grant.status;
  const { phase, specHash } = standing;
  const over = isTerminal(phase);
  const sameRequest = before.specHash === specHash;
  const message = sentence(standing.reasons);
  // A suspended grant keeps Job and Role for its return, and no binding.
  const created = standing.created.filter(({ kind }) => phase !== 'Suspended' || !kind.endsWith('RoleBinding'));
  const status: GrantStatus = {
    observedGeneration: grant.metadata.generation,
    phase,
    message,
    // What stands against it; a grant that is active has nothing against it.
    reasons: reasonsOf(standing),
    gates: standing.gates,
    decision: standing.decision,
    warnings: warningsOf(standing),
    requester: grant.stamps && printableUser(grant.stamps.requester.username, 1024),
    requestedAt: (sameRequest && before.requestedAt) || timestamp(now),
    startTime: standing.term ? timestamp(standing.term.start) : undefined,
    expiresAt: standing.term ? timestamp(standing.term.end) : undefined,
    endedAt: over ? (sameRequest && before.endedAt) || (standing.settled ? timestamp(now) : undefined) : undefined,
    task: standing.task,
    passingSince: standing.passingSince === undefined ? undefined : timestamp(standing.passingSince),
    specHash,
    receipt: standing.receipt,
    approvals: standing.approvals.length > 0 ? standing.approvals.slice(0, STATUS_LIMITS.approvals) : undefined,
    created: created.length > 0 ? created.slice(0, STATUS_LIMITS.created) : undefined,
    conditions: grantConditions(grant, standing, message, now),
  };
  return same(status, before) ? before : status;
}

/** Whether a status says what was decided: the same phase of the same request, for the same reasons. */
export function saysSo(status: GrantStatus, hash: string, verdict: Verdict): boolean {
  return (
    status.specHash === hash &&
    status.phase === verdict.phase &&
    same(status.gates, verdict.gates) &&
    same(status.reasons, reasonsOf(verdict)) &&
    same(status.warnings, warningsOf(verdict))
  );
}

type Says = Pick<Verdict, 'phase' | 'reasons' | 'warnings'>;

function reasonsOf({ phase, reasons }: Says) {
  return phase === 'Active' ? undefined : listed(reasons);
}

function warningsOf({ phase, warnings }: Says) {
  return isTerminal(phase) || warnings.length === 0 ? undefined : listed(warnings);
}

function grantConditions(grant: ParsedGrant, standing: Standing, message: string, now: number) {
  const { phase, reasons, deadMan } = standing;
  const observedGeneration = grant.metadata.generation;
  const at = new Date(now);
  const first = reasons[0]?.reason ?? 'Issuing';
  const ready = readiness(standing);
  // Present only while they are true, as kstatus wants them.
  const gone = new Set<string>(['Reconciling', 'Stalled', ...(deadMan ? [] : ['DeadMan'])]);
  let conditions = (grant.status.conditions ?? []).filter(({ type }) => !gone.has(type) || type === ready.also);
  const set = (type: string, status: ConditionStatus, reason: string, message: string) => {
    conditions = setCondition(conditions, { type, status, reason, message, observedGeneration }, at);
  };
  set('Granted', phase === 'Active' ? 'True' : 'False', first, message);
  set('Ready', ready.status, ready.reason, ready.status === 'True' ? readyMessage(phase) : message);
  if (ready.also) set(ready.also, 'True', ready.reason, message);
  if (deadMan) set('DeadMan', deadMan.status, deadMan.reason, printable(deadMan.message, STATUS_LIMITS.message));
  return conditions;
}

/** Ready, and what kstatus wants beside it when it is False. */
function readiness({ phase, reasons, settled }: Standing): { status: 'True' | 'False'; reason: Reason; also?: string } {
  if (phase !== 'Pending') {
    return settled
      ? { status: 'True', reason: 'Settled' }
      : { status: 'False', reason: 'Applying', also: 'Reconciling' };
  }
  if (reasons.some(({ needsEdit }) => needsEdit)) return { status: 'False', reason: 'EditNeeded', also: 'Stalled' };
  if (reasons.some(({ reason }) => reason === 'Issuing'))
    return { status: 'False', reason: 'Applying', also: 'Reconciling' };
  return { status: 'False', reason: 'Waiting', also: 'Reconciling' };
}

function readyMessage(phase: Phase): string {
  return phase === 'Active' ? 'all that gives the access exists' : 'no access exists, as decided';
}

function listed(reasons: readonly Told[]) {
  return reasons.slice(0, STATUS_LIMITS.reasons).map(({ reason, message, gate, policy, line, remedy, by }) => ({
    reason,
    message: printable(message, STATUS_LIMITS.message),
    ...(gate && { gate }),
    ...(policy && { policy }),
    ...(line && { line }),
    ...(remedy && { remedy: printable(remedy, STATUS_LIMITS.remedy) }),
    ...(by && { by: by.slice(0, STATUS_LIMITS.by) }),
  }));
}

/** All reasons in one text for people, harmless to print. */
function sentence(reasons: Told[]): string {
  return printable(reasons.map(({ message }) => message).join('; '), STATUS_LIMITS.message);
}

/** The condition DeadMan where there is no Job, since it or what it would own can't be made; undefined where it can. */
export function refusedDeadMan({ reason, ...refusal }: Refusal): Standing['deadMan'] {
  return reason === 'AccessRefused' ? undefined : { status: 'False', reason, message: sentenceOf(refusal) };
}

/** The condition DeadMan where a Job is lacking that the policies do without; undefined where none is. */
export function lackingDeadMan({ warnings }: Pick<Verdict, 'warnings'>): Standing['deadMan'] {
  const lacking = warnings.find(({ reason }) => reason === 'DeadManLacking');
  return lacking && { status: 'False', reason: 'DeadManLacking', message: lacking.message };
}

/** What the dead-man Jobs of a live grant say together. */
export function deadManOf(jobs: (Job | undefined)[]): NonNullable<Standing['deadMan']> {
  const suspended = jobs.find((job) => job?.spec.suspend);
  if (suspended) {
    const { namespace, name } = suspended.metadata;
    return {
      status: 'False',
      reason: 'DeadManSuspended',
      message: `Job ${name} in namespace ${namespace} is suspended, so it would not end the access if hallpass were down; have a queueing system that does this leave it alone, then delete the Job, and it is made anew`,
    };
  }
  const waiting = jobs.some((job) => job?.status?.startTime === undefined);
  return waiting
    ? {
        status: 'False',
        reason: 'DeadManNotStarted',
        message: 'the Job controller has not started every dead-man Job yet',
      }
    : { status: 'True', reason: 'DeadManRunning', message: 'access ends on time even if hallpass is down' };
}

/** Equal as JSON: an absent field and an undefined one are the same. */
function same(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => same(item, b[at]));
  if (isRecord(a) && isRecord(b)) {
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => same(a[key], b[key]));
  }
  return a === b;
}
