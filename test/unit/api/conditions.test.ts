// The table of conditions and reasons, and the check that holds a status against it.
import { expect } from 'chai';
import {
  CONDITIONS,
  isReason,
  isTerminal,
  PHASES,
  REASONS,
  RECEIPT_REASONS,
  WARNING_REASONS,
} from '../../../src/api/conditions.ts';
import { conditionProblems } from '../../../src/api/consistency.ts';
import { grantStatus } from '../../../src/api/grant.ts';
import type { Condition } from '../../../src/api/status.ts';

const at = '2026-03-01T09:00:00Z';
const condition = (type: string, status: Condition['status'], reason: string): Condition => ({
  type,
  status,
  reason,
  message: 'said for people',
  lastTransitionTime: at,
  observedGeneration: 1,
});

const active = {
  observedGeneration: 1,
  phase: 'Active' as const,
  startTime: at,
  expiresAt: '2026-03-01T10:00:00Z',
  conditions: [
    condition('DeadMan', 'True', 'DeadManRunning'),
    condition('Granted', 'True', 'Granted'),
    condition('Ready', 'True', 'Settled'),
  ],
};
const pending = {
  observedGeneration: 1,
  phase: 'Pending' as const,
  reasons: [{ reason: 'AgentNotFound', remedy: 'create it', by: ['IdentityOwner'] }],
  conditions: [
    condition('Granted', 'False', 'AgentNotFound'),
    condition('Ready', 'False', 'Waiting'),
    condition('Reconciling', 'True', 'Waiting'),
  ],
};
const identity = {
  observedGeneration: 1,
  conditions: [condition('Ready', 'True', 'IdentityReady'), condition('StandingAccess', 'False', 'NoRightsFound')],
};

describe('the table of conditions', () => {
  it('uses every reason somewhere, and explains each in a sentence', () => {
    const used = new Set<string>([
      ...RECEIPT_REASONS,
      ...WARNING_REASONS,
      ...Object.values(CONDITIONS).flatMap((row) => [...row.reasons]),
    ]);
    for (const [reason, meaning] of Object.entries(REASONS)) {
      expect(used.has(reason), `${reason} is in no row`).to.equal(true);
      expect(reason).to.match(/^[A-Z][A-Za-z]+$/);
      expect(meaning).to.match(/^[A-Z].+\.$/);
    }
  });

  it('knows its own reasons and no property of JavaScript', () => {
    expect(isReason('ExceedsCeiling')).to.equal(true);
    expect(isReason('constructor')).to.equal(false);
  });

  it('explains exactly the phases that a status may have', () => {
    for (const phase of Object.keys(PHASES)) expect(grantStatus.safeParse({ phase }).success, phase).to.equal(true);
    expect(grantStatus.safeParse({ phase: 'Waiting' }).success).to.equal(false);
    expect(Object.keys(PHASES)).to.have.length(grantStatus.shape.phase.unwrap().options.length);
  });

  it('takes three phases for final', () => {
    const phases = grantStatus.shape.phase.unwrap().options;
    expect(phases.filter(isTerminal)).to.deep.equal(['Expired', 'Revoked', 'Denied']);
    expect(isTerminal(undefined)).to.equal(false);
  });
});

describe('the check of a status', () => {
  it('finds nothing in statuses that make sense', () => {
    expect(conditionProblems({})).to.deep.equal([]);
    expect(conditionProblems(active)).to.deep.equal([]);
    expect(conditionProblems(pending)).to.deep.equal([]);
    expect(conditionProblems(identity)).to.deep.equal([]);
  });

  const broken: [string, Parameters<typeof conditionProblems>[0], string][] = [
    [
      'an unknown condition',
      { ...identity, conditions: [...identity.conditions, condition('Happy', 'True', 'Settled')] },
      'Happy',
    ],
    ['an unknown reason', { ...identity, conditions: [condition('Ready', 'True', 'Because')] }, 'Because'],
    ['an unknown reason among all reasons', { ...pending, reasons: [{ reason: 'Because' }] }, 'Because'],
    [
      'somebody unknown who could help',
      { ...pending, reasons: [{ reason: 'AgentNotFound', remedy: 'create it', by: ['Godot'] }] },
      'Godot',
    ],
    [
      'a reason without what helps',
      { ...pending, reasons: [{ reason: 'AgentNotFound', by: ['IdentityOwner'] }] },
      'says not what helps',
    ],
    [
      'a reason without who helps',
      { ...pending, reasons: [{ reason: 'AgentNotFound', remedy: 'create it', by: [] }] },
      'says not what helps',
    ],
    [
      'a condition of the other kind',
      { ...identity, conditions: [...identity.conditions, condition('DeadMan', 'True', 'DeadManRunning')] },
      'no condition of AgentIdentity',
    ],
    [
      'a type that appears twice',
      { ...active, conditions: [...active.conditions, condition('Ready', 'True', 'Settled')] },
      'twice',
    ],
    ['Granted outside of Active', { ...active, phase: 'Suspended' }, 'Granted is True in phase Suspended'],
    [
      'Active without Granted',
      { ...active, conditions: [condition('Ready', 'True', 'Settled'), condition('Granted', 'False', 'Issuing')] },
      'Granted is False in phase Active',
    ],
    [
      'Pending beside Ready',
      {
        ...active,
        phase: 'Pending',
        conditions: [condition('Ready', 'True', 'Settled'), condition('Granted', 'False', 'Issuing')],
      },
      'Ready is True in phase Pending',
    ],
    [
      'Ready beside Reconciling',
      { ...active, conditions: [...active.conditions, condition('Reconciling', 'True', 'Applying')] },
      'beside',
    ],
    [
      'not Ready for no reason',
      {
        ...pending,
        conditions: [condition('Ready', 'False', 'Waiting'), condition('Granted', 'False', 'AgentNotFound')],
      },
      'without Reconciling',
    ],
    [
      'both Reconciling and Stalled',
      { ...pending, conditions: [...pending.conditions, condition('Stalled', 'True', 'EditNeeded')] },
      'both',
    ],
    ['no generation', { ...active, observedGeneration: undefined }, 'observedGeneration is missing'],
    [
      'a condition without a generation',
      { ...identity, conditions: [{ ...condition('Ready', 'True', 'IdentityReady'), observedGeneration: undefined }] },
      'observedGeneration is missing',
    ],
    [
      'a time that is none',
      { ...identity, conditions: [{ ...condition('Ready', 'True', 'IdentityReady'), lastTransitionTime: 'now' }] },
      'lastTransitionTime',
    ],
    ['an Active grant without an end', { ...active, expiresAt: undefined }, 'expiresAt'],
    ['a live dead man in a final phase', { ...active, phase: 'Expired' }, 'DeadMan is True in phase Expired'],
    ['an end that was reached while Active', { ...active, endedAt: at }, 'endedAt'],
  ];
  for (const [what, status, expected] of broken) {
    it(`finds ${what}`, () => {
      expect(conditionProblems(status).join('\n')).to.contain(expected);
    });
  }
});
