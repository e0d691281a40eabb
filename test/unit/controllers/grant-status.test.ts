// What a grant's status says of where it stands.

import { expect } from 'chai';
import type { Phase } from '../../../src/api/conditions.ts';
import { conditionProblems } from '../../../src/api/consistency.ts';
import { STATUS_LIMITS } from '../../../src/api/status.ts';
import { deadManOf, grantStatus, lackingDeadMan, type Standing } from '../../../src/controllers/grant-status.ts';
import type { Told } from '../../../src/policy/finding.ts';
import { grant, MINUTE, NOON } from '../policy/snapshots.ts';

function standing(phase: Phase, o: Partial<Standing> = {}): Standing {
  return {
    phase,
    reasons: phase === 'Active' ? [{ reason: 'Granted', message: 'it is given' }] : [ABSENT],
    settled: true,
    specHash: 'v1-hash',
    term: phase === 'Active' ? { start: NOON, end: NOON + 60 * MINUTE } : undefined,
    receipt: undefined,
    task: undefined,
    created: [],
    deadMan: phase === 'Active' ? deadManOf([]) : undefined,
    passingSince: undefined,
    warnings: [],
    approvals: [],
    gates: undefined,
    decision: undefined,
    ...o,
  };
}

const ABSENT: Told = {
  reason: 'AgentNotFound',
  message: 'there is none; create it',
  remedy: 'create it',
  by: ['IdentityOwner', 'Requester'],
};

const condition = (status: ReturnType<typeof grantStatus>, type: string) =>
  status.conditions?.find((found) => found.type === type);
const job = (o: { startTime?: string; suspend?: boolean }) => ({
  metadata: { name: 'hallpass-uid', namespace: 'team-a', uid: 'job-uid', resourceVersion: '1' },
  spec: { suspend: o.suspend },
  status: { startTime: o.startTime },
});

describe("a grant's status", () => {
  const phases: Phase[] = [
    'Pending',
    'AwaitingApproval',
    'Scheduled',
    'Active',
    'Suspended',
    'Expired',
    'Revoked',
    'Denied',
  ];
  for (const phase of phases) {
    for (const settled of [true, false]) {
      it(`is consistent in phase ${phase}, ${settled ? 'when all is done' : 'while work is under way'}`, () => {
        expect(conditionProblems(grantStatus(grant(), standing(phase, { settled }), NOON))).to.deep.equal([]);
      });
    }
  }

  it('says Granted in phase Active only', () => {
    for (const phase of phases) {
      const status = grantStatus(grant(), standing(phase), NOON);
      expect(condition(status, 'Granted')?.status).to.equal(phase === 'Active' ? 'True' : 'False');
    }
  });

  it('is Ready when the cluster matches the decision, which may be that there is no access', () => {
    expect(condition(grantStatus(grant(), standing('Denied'), NOON), 'Ready')?.status).to.equal('True');
    expect(condition(grantStatus(grant(), standing('Pending'), NOON), 'Ready')?.status).to.equal('False');
    expect(condition(grantStatus(grant(), standing('Active', { settled: false }), NOON), 'Ready')?.status).to.equal(
      'False',
    );
  });

  it('is stalled, and not reconciling, where only an edit helps', () => {
    const reasons = [{ reason: 'ForbiddenPermission' as const, message: 'take it out', needsEdit: true }];
    const status = grantStatus(grant(), standing('Pending', { reasons }), NOON);
    expect(condition(status, 'Stalled')?.status).to.equal('True');
    expect(condition(status, 'Reconciling')).to.equal(undefined);
  });

  it('gives every reason, and the first as the reason of Granted', () => {
    const reasons = [
      { reason: 'ConsentMissing' as const, message: 'no consent' },
      { reason: 'ExceedsCeiling' as const, message: 'too much' },
    ];
    const status = grantStatus(grant(), standing('Pending', { reasons }), NOON);
    expect(status.message).to.equal('no consent; too much');
    expect(status.reasons).to.deep.equal(reasons);
    expect(condition(status, 'Granted')?.reason).to.equal('ConsentMissing');
  });

  it('gives of each reason who decided, what helps and by whom, harmless to print and within the limits', () => {
    const policy = { policy: 'guardrails', line: 'spec.deny[0]' };
    const told: Told = { ...ABSENT, ...policy, gate: 'policies', remedy: `\u{1b}[2J${'a'.repeat(3000)}` };
    const [reason] = grantStatus(grant(), standing('Pending', { reasons: [told] }), NOON).reasons ?? [];
    expect(reason).to.deep.include({ ...policy, gate: 'policies', by: ['IdentityOwner', 'Requester'] });
    expect(reason?.remedy).to.match(/^\\u\{1b\}\[2Ja+…$/);
    expect([...(reason?.remedy ?? '')]).to.have.length(STATUS_LIMITS.remedy);
  });

  it('has nothing of that while the grant is active and nothing is to be known', () => {
    const { reasons, warnings } = grantStatus(grant(), standing('Active'), NOON);
    expect([reasons, warnings]).to.deep.equal([undefined, undefined]);
  });

  it('is the very same object when nothing is new, so that nothing is written', () => {
    const first = grantStatus(grant(), standing('Active'), NOON);
    const stored = grant({ status: first });
    expect(grantStatus(stored, standing('Active'), NOON + MINUTE)).to.equal(stored.status);
  });

  it('keeps the time of a condition until its status flips', () => {
    const first = grant({ status: grantStatus(grant(), standing('Pending'), NOON) });
    const second = grantStatus(
      first,
      standing('Pending', { reasons: [{ reason: 'AgentNotReady', message: 'soon' }] }),
      NOON + MINUTE,
    );
    expect(condition(second, 'Granted')?.lastTransitionTime).to.equal('2026-03-01T12:00:00Z');
    const third = grantStatus(first, standing('Active'), NOON + MINUTE);
    expect(condition(third, 'Granted')?.lastTransitionTime).to.equal('2026-03-01T12:01:00Z');
  });

  it('lists no binding as created while it is suspended, since it has none then', () => {
    const created = ['Job', 'Role', 'RoleBinding'].map((kind) => ({
      kind,
      namespace: 'a',
      name: 'hallpass-1',
      uid: kind,
    }));
    const kinds = (phase: Phase) =>
      grantStatus(grant(), standing(phase, { created }), NOON).created?.map(({ kind }) => kind);
    expect(kinds('Active')).to.deep.equal(['Job', 'Role', 'RoleBinding']);
    expect(kinds('Suspended')).to.deep.equal(['Job', 'Role']);
  });

  it('keeps the time at which a request was first seen, and forgets it with another request', () => {
    const first = grant({ status: grantStatus(grant(), standing('Pending'), NOON) });
    expect(grantStatus(first, standing('Active'), NOON + MINUTE).requestedAt).to.equal('2026-03-01T12:00:00Z');
    const other = standing('Pending', { specHash: 'v1-other' });
    expect(grantStatus(first, other, NOON + MINUTE).requestedAt).to.equal('2026-03-01T12:01:00Z');
  });

  it('holds no character that a terminal would obey, and no more than the API server takes', () => {
    const reasons = Array.from({ length: 40 }, () => ({
      reason: 'AgentNotFound' as const,
      message: `\u001b[31mred\u202e ${'x'.repeat(5000)}`,
    }));
    const status = grantStatus(grant(), standing('Pending', { reasons }), NOON);
    expect(JSON.stringify(status)).to.not.match(/\\u001b\[|\u202e/);
    expect(status.reasons).to.have.lengthOf(STATUS_LIMITS.reasons);
    for (const { message } of [...(status.reasons ?? []), ...(status.conditions ?? [])]) {
      expect([...message].length).to.be.at.most(STATUS_LIMITS.message);
    }
  });
});

describe('the dead man condition', () => {
  it('is False, for a reason of its own, where the policies do without one that was refused', () => {
    const warnings = [
      { reason: 'NameHasNoEffect' as const, message: 'none' },
      { reason: 'DeadManLacking' as const, message: 'exceeded quota' },
    ];
    expect(lackingDeadMan({ warnings })).to.deep.equal({
      status: 'False',
      reason: 'DeadManLacking',
      message: 'exceeded quota',
    });
    expect(lackingDeadMan({ warnings: [] })).to.equal(undefined);
    const without = grantStatus(grant(), standing('Active', { warnings, deadMan: lackingDeadMan({ warnings }) }), NOON);
    expect(conditionProblems(without)).to.deep.equal([]);
  });

  const start = '2026-03-01T12:00:00Z';

  it('is True once every Job has started', () => {
    expect(deadManOf([job({ startTime: start }), job({ startTime: start })]).status).to.equal('True');
    expect(deadManOf([job({ startTime: start }), job({})]).reason).to.equal('DeadManNotStarted');
    expect(deadManOf([job({ startTime: start }), undefined]).reason).to.equal('DeadManNotStarted');
  });

  it('is False, naming the Job, when one was suspended by others', () => {
    const { status, reason, message } = deadManOf([
      job({ startTime: start }),
      job({ startTime: start, suspend: true }),
    ]);
    expect([status, reason]).to.deep.equal(['False', 'DeadManSuspended']);
    expect(message).to.include('hallpass-uid').and.include('team-a');
  });
});
