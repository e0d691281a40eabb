// Whether a status makes sense: each condition and reason from the table, and all of them in one voice, as kstatus reads it.

import { isActor } from './actors.ts';
import { CONDITIONS, type ConditionType, isReason, isTerminal, type Phase } from './conditions.ts';
import type { Condition } from './status.ts';

/** What the check reads of a status: of a grant's when it has a phase, else of an identity's. */
type CheckedStatus = {
  observedGeneration?: number;
  conditions?: Condition[];
  phase?: Phase;
  startTime?: string;
  expiresAt?: string;
  endedAt?: string;
  reasons?: { reason: string; remedy?: string; by?: string[] }[];
};

/** Everything that is inconsistent in a status, a line each. One that nobody has written yet is consistent. */
export function conditionProblems(status: CheckedStatus): string[] {
  const conditions = status.conditions ?? [];
  if (conditions.length === 0 && status.phase === undefined) return [];
  const problems = [
    ...conditions.flatMap((condition) => rowProblems(condition, kindOf(status))),
    ...kstatusProblems(status),
  ];
  const types = conditions.map((condition) => condition.type);
  if (new Set(types).size !== types.length) problems.push(`a condition type appears twice among ${types.join(', ')}`);
  if (status.observedGeneration === undefined) problems.push('observedGeneration is missing');
  for (const { reason, remedy, by } of status.reasons ?? []) {
    if (!isReason(reason)) problems.push(`reasons: ${reason} is not in the table`);
    for (const actor of by ?? []) if (!isActor(actor)) problems.push(`reasons: ${actor} is not in the table of actors`);
    // What has ended nobody changes.
    if (!isTerminal(status.phase) && (!remedy || !by?.length))
      problems.push(`reasons: ${reason} says not what helps, or not by whom`);
  }
  return status.phase === undefined ? problems : [...problems, ...phaseProblems(status, status.phase)];
}

function kindOf(status: CheckedStatus): string {
  return status.phase === undefined ? 'AgentIdentity' : 'AgentGrant';
}

function isConditionType(type: string): type is ConditionType {
  return Object.hasOwn(CONDITIONS, type);
}

/** One condition against its row in the table. */
function rowProblems(condition: Condition, kind: string): string[] {
  const { type, reason, message, lastTransitionTime, observedGeneration } = condition;
  if (!isConditionType(type)) return [`${type} is not in the table of conditions`];
  const row = CONDITIONS[type];
  const problems: string[] = [];
  if (!row.kinds.some((name) => name === kind)) problems.push(`${type} is no condition of ${kind}`);
  if (!row.reasons.some((name) => name === reason)) problems.push(`${type}: reason ${reason} is not in its row`);
  if (message === '') problems.push(`${type}: the message is empty`);
  if (Number.isNaN(Date.parse(lastTransitionTime))) problems.push(`${type}: lastTransitionTime is no time`);
  if (observedGeneration === undefined) problems.push(`${type}: observedGeneration is missing`);
  return problems;
}

function statusOf(status: CheckedStatus, type: ConditionType): string | undefined {
  return status.conditions?.find((condition) => condition.type === type)?.status;
}

/** Ready, Reconciling and Stalled must agree: kstatus takes Stalled for failed, Reconciling for under way. */
function kstatusProblems(status: CheckedStatus): string[] {
  const ready = statusOf(status, 'Ready');
  const reconciling = statusOf(status, 'Reconciling') === 'True';
  const stalled = statusOf(status, 'Stalled') === 'True';
  const problems: string[] = [];
  if (ready === undefined) problems.push('Ready is missing');
  if (reconciling && stalled) problems.push('both Reconciling and Stalled are True');
  if (ready === 'True' && (reconciling || stalled)) problems.push('Ready is True beside Reconciling or Stalled');
  if (ready === 'False' && !reconciling && !stalled) problems.push('Ready is False without Reconciling or Stalled');
  return problems;
}

/** The table of phases in conditions and times: what each phase promises. */
function phaseProblems(status: CheckedStatus, phase: Phase): string[] {
  const granted = statusOf(status, 'Granted');
  const problems: string[] = [];
  if (granted === undefined) problems.push('Granted is missing');
  else if ((granted === 'True') !== (phase === 'Active')) problems.push(`Granted is ${granted} in phase ${phase}`);
  if (phase === 'Pending' && statusOf(status, 'Ready') === 'True') problems.push('Ready is True in phase Pending');
  if (phase === 'Active' && (status.startTime === undefined || status.expiresAt === undefined)) {
    problems.push('startTime or expiresAt is missing in phase Active');
  }
  if (isTerminal(phase) && statusOf(status, 'DeadMan') === 'True') problems.push(`DeadMan is True in phase ${phase}`);
  if (!isTerminal(phase) && status.endedAt !== undefined) problems.push(`endedAt is set in phase ${phase}`);
  return problems;
}
