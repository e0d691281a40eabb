// The task that access ends with: a Job or a Pod in the grant's namespace. It is the one object that had the name when it was
// first seen, so that another one that takes the name later prolongs nothing.

import type { GrantSpec, GrantStatus } from '../api/grant.ts';
import type { Job, Pod } from '../kube/kinds.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import type { GateInput } from './gates.ts';
import { isLive, type Snapshot } from './snapshot.ts';

/** What is known of the Job or Pod that the spec names. */
export type TaskView = {
  /** What has the name now, and how it ended; undefined when nothing has it. */
  object: { uid: string; ended: string | undefined } | undefined;
  /** Uid of what had the name first since this process looks for this request. */
  first: string | undefined;
  /** Why this may be out of date, or is not known yet: then that nothing has the name says nothing. */
  problem: string | undefined;
};

type Task = NonNullable<GrantStatus['task']>;
type Named = GrantSpec['validity']['endsWith'];

/** How soon it is looked at again whether the task can be seen, in milliseconds. */
const SIGHT_CHECK = 15_000;

/** From one of these on, the outcome of a Job is settled and its pods are told to stop. */
const JOB_ENDS = new Set(['Complete', 'Failed', 'SuccessCriteriaMet', 'FailureTarget']);

/** How a Job has ended, in a word; undefined while it goes on. */
export function jobEnd({ metadata, status }: Job): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return 'deleted';
  return status?.conditions?.find(({ type, status }) => JOB_ENDS.has(type) && status === 'True')?.type;
}

/** How a Pod has ended, in a word; undefined while it goes on. */
export function podEnd({ metadata, status }: Pod): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return 'deleted';
  return status?.phase === 'Succeeded' || status?.phase === 'Failed' ? status.phase : undefined;
}

/** Whether access ends with the task that it ended with before, if any: another one, or none, may go on for longer. */
export function endsWithSame(before: Named, now: Named): boolean {
  return !before || (before.kind === now?.kind && before.name === now.name);
}

/** The object that the grant's access ends with, once one was seen. `narrows`: the request goes on from that of the status. */
export function taskOf({ grant, hash, task }: Snapshot, narrows: boolean): Task | undefined {
  const wanted = grant.spec?.validity.endsWith;
  if (!wanted) return undefined;
  const { kind, name } = wanted;
  const { task: recorded, specHash } = grant.status;
  const known = recorded?.kind === kind && recorded.name === name && (specHash === hash || narrows);
  const uid = known ? recorded.uid : (task?.first ?? task?.object?.uid);
  return uid === undefined ? undefined : { kind, name, uid };
}

/** Why the access has to end with its task, if it has. */
export function taskEnd(snapshot: Snapshot, narrows: boolean): Finding | undefined {
  const known = taskOf(snapshot, narrows);
  const { object, problem } = snapshot.task ?? { problem: 'it was not looked for' };
  if (!known) return undefined;
  const ended = (how: string): Finding =>
    finding({
      reason: 'TaskEnded',
      what: `${known.kind} ${known.name}, with which it ends, ${how}`,
      remedy: 'to ask again, set spec.task.ref to a new value and name a task that goes on',
      by: ['Requester'],
    });
  if (!object) return problem === undefined ? ended('is gone') : undefined;
  if (object.uid !== known.uid) return ended('was deleted and created anew, which is another task');
  return object.ended === undefined ? undefined : ended(`has ended (${object.ended})`);
}

/** Nothing is given while it can't be seen whether the task has ended. */
export function taskGate({ grant, task, atIssue, intact, now }: GateInput): readonly Finding[] {
  const wanted = grant.spec?.validity.endsWith;
  if (!wanted || (!atIssue && intact)) return NOTHING;
  const problem = task ? task.problem : 'it was not looked for yet';
  if (problem === undefined) return NOTHING;
  const what = `hallpass can't see whether ${wanted.kind} ${wanted.name}, with which access is to end, goes on (${problem})`;
  const nextCheck = now + SIGHT_CHECK;
  return [finding({ reason: 'CheckFailed', what, remedy: 'it is tried again', by: ['Hallpass'], nextCheck })];
}

/** That the task isn't there (yet): access does not wait for it, and a name that is misspelt would go unnoticed. */
export function taskWarnings(input: GateInput): readonly Finding[] {
  const { grant, task, atIssue } = input;
  const wanted = grant.spec?.validity.endsWith;
  const narrows = !atIssue && !isLive(input);
  if (!wanted || !task || task.problem !== undefined || task.object || taskOf(input, narrows)) return NOTHING;
  const what = `there is no ${wanted.kind} ${wanted.name} in namespace ${grant.metadata.namespace} yet: access ends once it has come and ended, or at its end in time`;
  return [finding({ reason: 'TaskNotFound', what })];
}
