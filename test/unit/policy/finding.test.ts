// What each reason says beside its sentence: which policy decided by which line, what would have to change, and by whom. One a line.

import { expect } from 'chai';
import { ACTORS, type Actor, isActor } from '../../../src/api/actors.ts';
import { CONDITIONS, type Reason, WARNING_REASONS } from '../../../src/api/conditions.ts';
import type { Answer } from '../../../src/cel/question.ts';
import { decide } from '../../../src/policy/decide.ts';
import { finding, OF_POLICY, sentenceOf, type Told, UNHELPED, whatOf } from '../../../src/policy/finding.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import {
  agentReview,
  evaluated,
  grant,
  identity,
  live,
  MINUTE,
  NOON,
  namespace,
  policy,
  readPods,
  receipt,
  review,
  signal,
  snapshot,
} from './snapshots.ts';

type Fields = Record<string, unknown>;

const line = { why: 'a test', verbs: ['get'], apiGroups: [''], resources: ['pods'] };
const asking = (spec: Fields) => ({ grant: grant({ spec }) });
const bounded = (boundary: Fields) => ({ identity: identity({ spec: { boundary } }) });
const place = (o: Parameters<typeof namespace>[0]) => ({ namespaces: new Map([['team-a', namespace(o)]]) });
const under = (...specs: Fields[]) => place({ policies: specs.map((spec, at) => policy(spec, `policy-${at}`)) });
const byPipeline = { subjects: [{ kind: 'User', name: 'jane' }], ownerGroups: ['sre'] };
const everywhere = asking({ permissions: [{ ...readPods, scope: 'Cluster' }] });
const clusterWide = (ceiling?: Fields[]) => ({
  ...everywhere,
  ...bounded({ clusterScope: true }),
  cluster: { ceiling: ceiling as never, policies: [policy()], namespaces: new Map() },
});
const allowingAll = under({ allow: [{ ...readPods, why: 'a test', scope: 'Cluster' }] });
const answering = (answer: Answer | boolean) => (input: Snapshot) => evaluated(input, () => answer);
const windows = [{ days: ['Mon'], from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' }];
const condition = { name: 'fits', why: 'a test', expression: 'true' };
const failed: Answer = { kind: 'failed', message: 'field not found: ref' };
const late: Answer = { kind: 'failed', message: 'it took too long', retryAt: NOON + MINUTE };
const invalid: Answer = { kind: 'invalid', message: 'what is this', line: 1, column: 9 };
const reviewed = (decision: string) => ({
  reviews: { ofGrant: [review(grant(), { spec: { decision } })], ofIdentity: [] },
});
const refusal = (reason: 'DeadManRefused' | 'AccessRefused' | 'ForeignObject') => ({
  refusal: { reason, what: 'it was refused', remedy: 'let it through', retryAt: NOON + MINUTE },
});
const responding = (action: string, o: Fields = {}) => ({
  ...under({ responses: [{ signal: 'Incident', severity: 'High', action }], ...o }),
  signals: [signal()],
});
const ending = { validity: { duration: '1h', endsWith: { kind: 'Job', name: 'rollout' } } };
const task = (problem?: string) => ({ object: undefined, first: undefined, problem });
const used = (o: Fields) => ({ receipt: receipt(grant(), o) });
const overdue = identity({
  spec: { review: { every: '1h' } },
  metadata: { creationTimestamp: '2026-03-01T10:00:00Z' },
});
const suspendedUntil = (passingSince: string) => live({ grantStatus: { phase: 'Suspended', passingSince } });

/** A reason, what brings it about, and what it says: who helps, and by which policy and line it is. */
const TABLE: [Reason, Snapshot, by: Actor[], decidedBy?: string][] = [
  ['InvalidSpec', snapshot(asking({ permissions: 'all' })), ['Requester']],
  ['StampsMissing', snapshot({ grant: grant({ stamps: undefined }) }), ['ClusterAdmin', 'Requester']],
  ['AgentNotFound', snapshot({ identity: undefined }), ['IdentityOwner', 'Requester']],
  ['AgentNotReady', snapshot({ identity: identity({ spec: { purpose: '' } }) }), ['IdentityOwner']],
  [
    'AgentNotReady',
    snapshot({ identity: identity({ status: { serviceAccount: undefined } }) }),
    ['Hallpass', 'IdentityOwner'],
  ],
  [
    'AgentDeleted',
    snapshot({ identity: identity({ metadata: { deletionTimestamp: '2026-03-01T11:59:00Z' } }) }),
    ['IdentityOwner', 'Requester'],
  ],
  ['AgentDeleted', live({ identity: undefined }), ['IdentityOwner', 'Requester']],
  [
    'AgentExpired',
    snapshot({ identity: identity({ spec: { expiresAt: '2026-03-01T12:00:00Z' } }) }),
    ['IdentityOwner'],
  ],
  [
    'AgentExpired',
    live({ identity: identity({ spec: { expiresAt: '2026-03-01T12:00:00Z' } }) }),
    ['IdentityOwner', 'Requester'],
  ],
  [
    'AgentSuspended',
    snapshot({ reviews: { ofGrant: [], ofIdentity: [agentReview({ spec: { decision: 'Suspend' } })] } }),
    ['Reviewer'],
  ],
  ['SuspendedByReview', snapshot(reviewed('Suspend')), ['Reviewer']],
  ['ReviewOverdue', snapshot({ identity: overdue }), ['IdentityOwner', 'Certifier']],
  ['SuspendedBySignal', snapshot(responding('Suspend')), ['ClusterAdmin'], 'policy-0 spec.responses[0]'],
  [
    'SuspendedBySignal',
    snapshot(responding('Suspend', { reporters: { users: ['somebody'] } })),
    ['Reporter'],
    'policy-0 spec.responses[0]',
  ],
  [
    'SuspendedBySignal',
    snapshot(responding('Suspend', { reporters: { users: ['pia'] } })),
    ['Time', 'Reporter'],
    'policy-0 spec.responses[0]',
  ],
  ['OutsideBoundary', snapshot(bounded({ namespaces: ['team-b'] })), ['Requester', 'IdentityOwner']],
  [
    'OutsideBoundary',
    snapshot({ ...clusterWide([readPods]), ...allowingAll, identity: identity() }),
    ['Requester', 'IdentityOwner'],
  ],
  ['DurationExceedsBoundary', snapshot(bounded({ maxGrantDuration: '59m' })), ['Requester', 'IdentityOwner']],
  [
    'DurationExceedsBoundary',
    snapshot(asking({ validity: { notAfter: '2320-01-01T00:00:00Z' } })),
    ['Requester', 'Time'],
  ],
  [
    'TooSensitive',
    snapshot({ ...bounded({ maxDataSensitivity: 'public' }), ...place({ dataSensitivity: 'restricted' }) }),
    ['Requester', 'IdentityOwner'],
  ],
  [
    'TooSensitive',
    snapshot(under({ limits: { maxDataSensitivity: 'public' } })),
    ['Requester', 'NamespaceAdmin'],
    'policy-0 spec.limits.maxDataSensitivity',
  ],
  ['TooManyActiveGrants', snapshot({ ...bounded({ maxActiveGrants: 2 }), activeBefore: 2 }), ['Time']],
  ['NoPolicy', snapshot(under()), ['ClusterAdmin', 'PolicyAdmin']],
  ['CredentialNotAllowed', snapshot(under({ credentials: undefined })), ['PolicyAdmin']],
  ['PolicyInvalid', snapshot(under({ deny: 'all' })), ['PolicyAdmin'], 'policy-0 spec'],
  [
    'PolicyInvalid',
    answering(invalid)(snapshot(under({ conditions: [condition] }))),
    ['PolicyAdmin'],
    'policy-0 spec.conditions[0].expression',
  ],
  ['Frozen', snapshot(under({ freeze: { reason: 'a break-in' } })), ['PolicyAdmin'], 'policy-0 spec.freeze'],
  [
    'ExceedsPolicyLimit',
    snapshot(under({}, { limits: { maxGrantDuration: '59m' } })),
    ['Requester'],
    'policy-1 spec.limits.maxGrantDuration',
  ],
  [
    'ExceedsPolicyLimit',
    snapshot({
      ...under({ limits: { maxGrantDuration: '59m' } }),
      ...asking({ validity: { notAfter: '2026-03-01T13:00:00Z' } }),
    }),
    ['Requester', 'Time'],
    'policy-0 spec.limits.maxGrantDuration',
  ],
  [
    'ExceedsPolicyLimit',
    snapshot({ ...under({ limits: { maxActiveGrants: 1 } }), activeBefore: 1 }),
    ['Time'],
    'policy-0 spec.limits.maxActiveGrants',
  ],
  ['ClusterScopeRefused', snapshot(clusterWide([readPods])), ['Requester', 'PolicyAdmin']],
  [
    'WildcardRefused',
    snapshot({
      ...asking({ permissions: [{ ...readPods, verbs: ['*'] }] }),
      ...place({ ceiling: [{ ...readPods, verbs: ['*'] }] }),
    }),
    ['Requester', 'PolicyAdmin'],
  ],
  [
    'DeniedByPolicy',
    snapshot(under({}, { deny: [{ ...line, resources: ['secrets'] }, line] })),
    ['Requester'],
    'policy-1 spec.deny[1]',
  ],
  [
    'DeniedByPolicy',
    snapshot(under({ deny: [{ ...line, unlessAllowed: true }] })),
    ['Requester', 'PolicyAdmin'],
    'policy-0 spec.deny[0]',
  ],
  [
    'ForbiddenPermission',
    snapshot({
      ...asking({ permissions: [{ ...readPods, resources: ['serviceaccounts'] }] }),
      ...place({ ceiling: [{ ...readPods, resources: ['*'] }] }),
    }),
    ['Requester'],
  ],
  [
    'CreatorLacksPermission',
    snapshot({ authorsLack: { creator: ['get pods'], requester: [] } }),
    ['Requester', 'ClusterAdmin'],
  ],
  [
    'RequesterLacksPermission',
    snapshot({ authorsLack: { creator: [], requester: ['get pods'] } }),
    ['Requester', 'ClusterAdmin'],
  ],
  [
    'CreatorLacksPermission',
    snapshot(under({ pipelines: [byPipeline] })),
    ['IdentityOwner', 'PolicyAdmin'],
    'policy-0 spec.pipelines[0]',
  ],
  ['NamespaceNotFound', snapshot({ namespaces: new Map() }), ['Requester', 'ClusterAdmin']],
  ['NamespaceTerminating', snapshot(place({ terminating: true })), ['Requester', 'ClusterAdmin']],
  ['NamespaceTerminating', snapshot({ recordsGoing: true }), ['ClusterAdmin']],
  ['NamespaceNotEnabled', snapshot(place({ ceiling: undefined })), ['NamespaceAdmin']],
  ['ClusterScopeNotEnabled', snapshot({ ...clusterWide(), ...allowingAll }), ['Requester', 'ClusterAdmin']],
  [
    'ConsentMissing',
    snapshot({
      ...asking({ permissions: [{ ...readPods, namespaces: ['team-b'] }] }),
      ...bounded({ namespaces: ['team-b'] }),
      namespaces: new Map([
        ['team-a', namespace()],
        ['team-b', namespace()],
      ]),
    }),
    ['NamespaceAdmin'],
  ],
  ['ExceedsCeiling', snapshot(place({ ceiling: [] })), ['Requester', 'ClusterAdmin']],
  ['GuardsMissing', snapshot({ guardProblems: ['it is missing'] }), ['ClusterAdmin']],
  ['CheckFailed', snapshot({ outOfStep: ['clusterroles: 403'] }), ['Hallpass']],
  ['CheckFailed', snapshot({ ...asking(ending), task: task('it was not read yet') }), ['Hallpass']],
  ['DeadManRefused', snapshot(refusal('DeadManRefused')), ['NamespaceAdmin', 'ClusterAdmin']],
  [
    'DeadManRefused',
    snapshot({ ...under({ deadMan: 'BestEffort' }, { enforcement: 'Warn' }), ...refusal('DeadManRefused') }),
    ['NamespaceAdmin', 'ClusterAdmin'],
    'policy-1 spec.deadMan',
  ],
  [
    'DeadManLacking',
    snapshot({ ...under({ deadMan: 'BestEffort' }), ...refusal('DeadManRefused') }),
    ['NamespaceAdmin', 'ClusterAdmin'],
  ],
  ['AccessRefused', snapshot(refusal('AccessRefused')), ['ClusterAdmin']],
  ['ForeignObject', snapshot(refusal('ForeignObject')), ['NamespaceAdmin', 'ClusterAdmin']],
  [
    'ApprovalMissing',
    snapshot(under({ approvals: [{ why: 'a test', count: 1 }] })),
    ['Reviewer'],
    'policy-0 spec.approvals[0]',
  ],
  [
    'ApprovalMissing',
    snapshot(under({ pipelines: [{ ...byPipeline, ownerGroups: ['team-a'] }] })),
    ['Reviewer'],
    'policy-0 spec.pipelines[0]',
  ],
  ['NotYetStarted', snapshot(asking({ validity: { notBefore: '2026-03-01T14:00:00Z', duration: '1h' } })), ['Time']],
  ['OutsideWindow', snapshot(asking({ windows, validity: { duration: '48h' } })), ['Time']],
  ['OutsideWindow', snapshot(asking({ windows, validity: { notAfter: '2026-03-01T14:00:00Z' } })), ['Requester']],
  ['ConditionInvalid', answering(invalid)(snapshot(asking({ conditions: [condition] }))), ['Requester']],
  ['ConditionFailed', answering(failed)(snapshot(asking({ conditions: [condition] }))), ['Requester', 'Others']],
  ['ConditionFailed', answering(late)(snapshot(asking({ conditions: [condition] }))), ['Requester', 'Hallpass']],
  [
    'ConditionFailed',
    answering(failed)(snapshot(under({ conditions: [condition] }))),
    ['PolicyAdmin', 'Requester', 'Others'],
    'policy-0 spec.conditions[0]',
  ],
  ['ConditionFalse', answering(false)(snapshot(asking({ conditions: [condition] }))), ['Requester', 'Others']],
  [
    'ConditionFalse',
    answering(false)(snapshot(under({ conditions: [condition] }))),
    ['Requester', 'Others'],
    'policy-0 spec.conditions[0]',
  ],
  [
    'ConditionFalse',
    answering(false)(live(under({ conditions: [{ ...condition, onFalse: 'Revoke' }] }))),
    ['Requester'],
    'policy-0 spec.conditions[0]',
  ],
  ['Issuing', snapshot({ authorsLack: undefined }), ['Hallpass']],
  ['Restoring', suspendedUntil('2026-03-01T11:59:59Z'), ['Time']],
  // What is over, with how to ask again where one can.
  [
    'RequestAlreadyUsed',
    snapshot(used({ spec: { grant: { namespace: 'team-a', name: 'incident', uid: 'other' } } })),
    ['Requester'],
  ],
  ['ReceiptDeleted', live({ receipt: undefined }), ['Requester']],
  ['ReceiptDeleted', live({ recordsGoing: true }), ['ClusterAdmin', 'Requester']],
  ['EndedByDeletion', snapshot({ grant: grant({ metadata: { deletionTimestamp: '2026-03-01T11:59:00Z' } }) }), []],
  ['EndPassed', live({ now: NOON + 60 * MINUTE }), []],
  ['EndPassed', snapshot(asking({ validity: { notAfter: '2026-03-01T12:00:00Z' } })), ['Requester']],
  [
    'TaskEnded',
    snapshot({ ...asking(ending), task: { object: undefined, first: 'job-uid', problem: undefined } }),
    ['Requester'],
  ],
  ['PendingTooLong', snapshot({ identity: undefined, now: NOON + 7 * 24 * 60 * MINUTE }), ['Requester']],
  ['RevokedByReview', snapshot(reviewed('Revoke')), ['Requester']],
  [
    'RevokedByReview',
    snapshot({ reviews: { ofGrant: [], ofIdentity: [agentReview({ spec: { decision: 'Revoke' } })] } }),
    ['IdentityOwner'],
  ],
  ['DeniedByReview', snapshot(reviewed('Deny')), ['Requester']],
  ['RevokedBySignal', live(responding('Revoke')), ['Requester'], 'policy-0 spec.responses[0]'],
  // What keeps nothing from being granted.
  [
    'NameHasNoEffect',
    snapshot({
      ...asking({ permissions: [{ ...readPods, resourceNames: ['one'] }] }),
    }),
    ['Requester'],
  ],
  ['TaskNotFound', snapshot({ ...asking(ending), task: task() }), []],
  ['Granted', snapshot(), []],
];

const toldOf = (input: Snapshot, reason: Reason): Told | undefined => {
  const { reasons, warnings } = decide(input);
  return [...reasons, ...warnings].find((each) => each.reason === reason);
};

describe('a finding', () => {
  for (const [reason, input, by, decidedBy] of TABLE) {
    const whom = by.length > 0 ? `by ${by.join(', ')}` : 'by nobody';
    it(`of ${reason}${decidedBy ? ` by ${decidedBy}` : ''} says what helps, ${whom}`, () => {
      const told = toldOf(input, reason);
      if (!told) throw new Error(`found ${JSON.stringify(decide(input).reasons)}`);
      expect([...(told.by ?? [])]).to.deep.equal(by);
      expect(told.policy && `${told.policy} ${told.line}`).to.equal(decidedBy);
      expect(told.remedy !== undefined, 'a remedy goes with who is to act').to.equal(by.length > 0);
      if (decidedBy) expect(told.message, 'the sentence says so, too').to.contain(told.policy);
      if (told.remedy) expect(told.message, 'the remedy is part of the sentence').to.contain(told.remedy);
    });
  }

  it('is in this table for every reason that a grant may have', () => {
    const tested = new Set<Reason>(TABLE.map(([reason]) => reason));
    const all = new Set<Reason>([...CONDITIONS.Granted.reasons, ...WARNING_REASONS]);
    // Only making and unmaking things shows that access remains.
    expect([...all].filter((reason) => !tested.has(reason))).to.deep.equal(['AccessRemains']);
  });

  it('is none without what helps, by whom, and which line of which policy, where its reason has these', () => {
    const what = 'it is so';
    const help = { what, remedy: 'change it', by: ['Requester'] } as const;
    finding({ reason: 'ExceedsCeiling', ...help });
    // @ts-expect-error: it may still change, so that somebody can do something.
    finding({ reason: 'ExceedsCeiling', what });
    // @ts-expect-error: nobody is somebody.
    finding({ reason: 'ExceedsCeiling', ...help, by: [] });
    // @ts-expect-error: one policy has decided.
    finding({ reason: 'DeniedByPolicy', ...help });
    finding({ reason: 'EndPassed', what });
    expect(finding({ reason: 'DeniedByPolicy', ...help, policy: 'guardrails', line: 'spec.deny[0]' })).to.deep.equal({
      reason: 'DeniedByPolicy',
      message: 'it is so; change it',
      remedy: 'change it',
      by: ['Requester'],
      policy: 'guardrails',
      line: 'spec.deny[0]',
    });
  });

  it('names each of those who can help somewhere', () => {
    const named = new Set(TABLE.flatMap(([, , by]) => by));
    expect(Object.keys(ACTORS).filter((actor) => !isActor(actor) || !named.has(actor))).to.deep.equal([]);
  });

  it('is of a policy, or of none that need help, as its type has it', () => {
    for (const [reason, , by, decidedBy] of TABLE) {
      if (OF_POLICY.some((each) => each === reason)) expect(decidedBy, reason).to.not.equal(undefined);
      if (by.length === 0) expect(UNHELPED, reason).to.include(reason);
    }
  });
});

describe('the sentence of a finding', () => {
  it('is what is so, what helps, and what else to know', () => {
    expect(sentenceOf({ what: 'it is so', remedy: 'change it', note: '. That is all' })).to.equal(
      'it is so; change it. That is all',
    );
    expect(sentenceOf({ what: 'it is over' })).to.equal('it is over');
    expect(sentenceOf({ remedy: 'it starts at noon' })).to.equal('it starts at noon');
  });

  it('is taken apart again, and kept whole where that can not be', () => {
    const take = (message: string, remedy?: string) => whatOf({ message, remedy });
    expect(take('it is so; change it. That is all', 'change it')).to.equal('it is so. That is all');
    expect(take('it was (a; change it); change it', 'change it')).to.equal('it was (a; change it)');
    expect(take('it is so; chan…', 'change it')).to.equal('it is so; chan…');
    expect(take('it starts at noon', 'it starts at noon')).to.equal('it starts at noon');
    expect(take('it is over')).to.equal('it is over');
  });
});
