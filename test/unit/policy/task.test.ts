// Access that ends with a Job or a Pod.

import { expect } from 'chai';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { jobEnd, podEnd, type TaskView } from '../../../src/policy/task.ts';
import { grant, live, MINUTE, NOON, receipt, snapshot } from './snapshots.ts';

const endsWith = { kind: 'Job', name: 'rollout-7' };
const spec = { validity: { duration: '1h', endsWith } };
const { hash } = grant({ spec });

const view = (o: Partial<TaskView> = {}): TaskView => ({
  object: undefined,
  first: undefined,
  problem: undefined,
  ...o,
});
const runs = view({ object: { uid: 'job-uid', ended: undefined } });
const finished = view({ object: { uid: 'job-uid', ended: 'Complete' } });
const anew = view({ object: { uid: 'another-uid', ended: undefined } });
const absent = view();
const unknown = view({ problem: 'it was not read yet' });

const asked = (task: TaskView | undefined, o: Partial<Snapshot> = {}) =>
  snapshot({ grant: grant({ spec }), task, ...o });

const status = {
  phase: 'Active',
  specHash: hash,
  startTime: '2026-03-01T12:00:00Z',
  expiresAt: '2026-03-01T13:00:00Z',
  task: { ...endsWith, uid: 'job-uid' },
};

/** The grant with its access; the status knows the Job unless told otherwise. */
const given = (task: TaskView | undefined, o: { status?: object; now?: number } = {}) => {
  const of = grant({ spec, status: { ...status, ...o.status } });
  return live({ grant: of, receipt: receipt(of, { spec: { endsWith } }), task, now: o.now ?? NOON + MINUTE });
};

const summary = (input: Snapshot) => {
  const { phase, reasons } = decide(input);
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};

describe('a grant that ends with a task', () => {
  const table: [string, Snapshot, string][] = [
    ['begins while its task goes on', asked(runs), 'Active Granted'],
    ['begins before its task is there: pipelines wait for access first', asked(absent), 'Active Granted'],
    ['is born Expired when its task has ended', asked(finished), 'Expired TaskEnded'],
    [
      'waits while it is not known whether its task has ended, and gives nothing that might have ended',
      asked(unknown),
      'Pending CheckFailed',
    ],
    ['waits while nothing has looked for its task', asked(undefined), 'Pending CheckFailed'],
    ['ends, too, while others keep it from beginning', asked(finished, { identity: undefined }), 'Expired TaskEnded'],
    ['goes on with its task', given(runs), 'Active Granted'],
    ['ends when its task has ended', given(finished), 'Expired TaskEnded'],
    ['ends when its task is gone', given(absent), 'Expired TaskEnded'],
    ['ends when another object has the name of its task', given(anew), 'Expired TaskEnded'],
    ['goes on while its task cannot be seen', given(unknown), 'Active Granted'],
    [
      'ends by what is known of its task, be it out of date',
      given({ ...finished, problem: 'watch refused' }),
      'Expired TaskEnded',
    ],
    [
      'ends when its task went before a status told of it',
      given({ ...absent, first: 'job-uid' }, { status: { task: undefined } }),
      'Expired TaskEnded',
    ],
    [
      'goes on when no task of that name was ever seen',
      given(absent, { status: { task: undefined } }),
      'Active Granted',
    ],
    ['ends at its end in time, whatever its task does', given(runs, { now: NOON + 60 * MINUTE }), 'Expired EndPassed'],
    ['ends while it is suspended', given(finished, { status: { phase: 'Suspended' } }), 'Expired TaskEnded'],
    [
      'is not ended by the task of the request before, when it was asked for anew',
      asked(anew, { grant: grant({ spec, status: { ...status, specHash: 'v1-before' } }) }),
      'Active Granted',
    ],
  ];
  for (const [what, input, expected] of table) it(what, () => expect(summary(input)).to.equal(expected));

  it('remembers which object its task is from when it was first seen, and goes on remembering', () => {
    const known = { ...endsWith, uid: 'job-uid' };
    expect(decide(asked(runs)).task).to.deep.equal(known);
    expect(decide(asked(absent)).task).to.equal(undefined);
    expect(decide(asked(finished)).task).to.deep.equal(known);
    expect(decide(given(anew)).task).to.deep.equal(known);
    expect(decide(given(unknown)).task).to.deep.equal(known);
    expect(decide(given({ ...anew, first: 'job-uid' }, { status: { task: undefined } })).task).to.deep.equal(known);
  });

  it('warns that there is no such task until there is', () => {
    const warnings = (input: Snapshot) => decide(input).warnings.map(({ reason }) => reason);
    const [warning] = decide(asked(absent)).warnings;
    expect(warning?.reason).to.equal('TaskNotFound');
    expect(warning?.message).to.equal(
      'there is no Job rollout-7 in namespace team-a yet: access ends once it has come and ended, or at its end in time',
    );
    expect(warnings(given(absent, { status: { task: undefined } }))).to.deep.equal(['TaskNotFound']);
    for (const quiet of [asked(runs), asked(unknown), given(runs), given(absent)]) {
      expect(warnings(quiet)).to.deep.equal([]);
    }
  });

  it('says why it ended and what helps', () => {
    expect(decide(given(finished)).reasons[0]?.message).to.equal(
      'Job rollout-7, with which it ends, has ended (Complete); to ask again, set spec.task.ref to a new value and name a task that goes on',
    );
    expect(decide(given(absent)).reasons[0]?.message).to.contain('is gone');
    expect(decide(given(anew)).reasons[0]?.message).to.contain('deleted and created anew');
  });

  it('is looked at again while its task cannot be seen', () => {
    expect(decide(asked(unknown)).nextCheck).to.be.within(NOON + 1, NOON + MINUTE);
  });

  /** The grant with another spec than that which holds access until one o'clock, by this ending. */
  const edited = (validity: object, before: object | undefined, task: TaskView) =>
    snapshot({
      grant: grant({ spec: { validity }, status: { ...status, specHash: 'v1-before' } }),
      superseded: [receipt(grant(), { spec: { specHash: 'v1-before', endsWith: before } })],
      task,
      authorsLack: undefined,
      now: NOON + MINUTE,
    });
  const hour = { duration: '1h' };
  const pod = { kind: 'Pod', name: 'rollout-7' };

  it('narrows what had no task, and is a new request once the task is left out or another', () => {
    expect(decide(edited({ ...hour, endsWith }, undefined, runs)).narrows).to.equal(true);
    expect(decide(edited({ duration: '30m', endsWith }, endsWith, runs)).narrows).to.equal(true);
    expect(decide(edited(hour, endsWith, runs)).narrows).to.equal(false);
    expect(decide(edited({ ...hour, endsWith: pod }, endsWith, runs)).narrows).to.equal(false);
    expect(decide(edited({ ...hour, endsWith: { ...endsWith, name: 'other' } }, endsWith, runs)).narrows).to.equal(
      false,
    );
  });

  it('ends with the object that it ended with before when it is narrowed', () => {
    const narrowed = edited({ duration: '30m', endsWith }, endsWith, anew);
    expect(summary(narrowed)).to.equal('Expired TaskEnded');
    expect(summary({ ...narrowed, task: runs })).to.equal('Active Granted');
  });
});

describe('a task', () => {
  const metadata = { name: 'rollout-7', uid: 'uid', resourceVersion: '1' };
  const deleted = { ...metadata, deletionTimestamp: '2026-03-01T12:00:00Z' };
  const job = (type: string, status: string) => ({
    metadata,
    spec: {},
    status: { conditions: [{ type, status }] },
  });

  it('has ended as a Job once its outcome is settled, or it is being deleted', () => {
    for (const type of ['Complete', 'Failed', 'SuccessCriteriaMet', 'FailureTarget']) {
      expect(jobEnd(job(type, 'True')), type).to.equal(type);
      expect(jobEnd(job(type, 'False')), type).to.equal(undefined);
    }
    expect(jobEnd(job('Suspended', 'True'))).to.equal(undefined);
    expect(jobEnd({ metadata, spec: {} })).to.equal(undefined);
    expect(jobEnd({ metadata: deleted, spec: {} })).to.equal('deleted');
  });

  it('has ended as a Pod once it has succeeded or failed, or is being deleted', () => {
    const pod = (phase: string) => ({ metadata, spec: {}, status: { phase } });
    expect(['Pending', 'Running', 'Unknown'].map((phase) => podEnd(pod(phase)))).to.deep.equal(
      Array(3).fill(undefined),
    );
    expect(['Succeeded', 'Failed'].map((phase) => podEnd(pod(phase)))).to.deep.equal(['Succeeded', 'Failed']);
    expect(podEnd({ metadata, spec: {} })).to.equal(undefined);
    expect(podEnd({ ...pod('Running'), metadata: deleted })).to.equal('deleted');
  });
});
