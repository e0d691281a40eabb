// How a grant stands, gate by gate, from its status alone.

import { expect } from 'chai';
import { CONDITIONS, type Reason } from '../../../src/api/conditions.ts';
import { ACTING } from '../../../src/cli/acting.ts';
import { branches, explained } from '../../../src/cli/explained.ts';
import { drawn } from '../../../src/cli/layout.ts';
import { grant } from '../policy/snapshots.ts';

/** With these a grant is over, or has its access: nobody is to act. */
const SETTLED: Reason[] = [
  'Granted',
  'RequestAlreadyUsed',
  'ReceiptDeleted',
  'EndedByDeletion',
  'EndPassed',
  'TaskEnded',
  'PendingTooLong',
  'RevokedByReview',
  'RevokedBySignal',
  'DeniedByReview',
];

const missing = { reason: 'ApprovalMissing', message: 'it takes 1 approval', gate: 'approvals' };
const of = (status: Record<string, unknown>) => explained(grant({ status: { observedGeneration: 1, ...status } }));

describe('how a grant stands', () => {
  for (const reason of CONDITIONS.Granted.reasons.filter((each) => !SETTLED.includes(each))) {
    it(`says who can change ${reason}`, () => {
      expect(ACTING[reason]).to.match(/\w+/);
    });
  }

  it('shows every gate with its outcome, one that failed with its reason and who could change it', () => {
    const explanation = of({
      phase: 'Pending',
      reasons: [missing],
      gates: { agent: 'Passed', authors: 'NotAsked', approvals: 'Failed' },
    });
    expect(drawn({ text: 'grant', children: branches(explanation) }, 100)).to.deep.equal([
      'grant',
      '├─ ✓ agent',
      '├─ ? authors: not asked yet',
      '└─ ✗ approvals',
      '   └─ ApprovalMissing: it takes 1 approval',
      '      └─ who can change it: a reviewer (ClusterRole hallpass-reviewer)',
    ]);
  });

  it('keeps the reasons of a status that lists no gates', () => {
    const { gates, reasons } = of({ phase: 'AwaitingApproval', reasons: [missing] });
    expect(gates).to.deep.equal([]);
    expect(reasons.map(({ reason }) => reason)).to.deep.equal(['ApprovalMissing']);
  });

  it('is told without gates when it is over, and nobody can change that', () => {
    const explanation = of({ phase: 'Denied', reasons: [{ reason: 'DeniedByReview', message: 'no' }] });
    expect(explanation.gates).to.deep.equal([]);
    expect(explanation.reasons).to.deep.equal([{ reason: 'DeniedByReview', message: 'no', who: undefined }]);
  });

  it('says when hallpass has not looked, or not since the last edit', () => {
    expect(explained(grant()).note).to.contain('hallpass has not looked at it yet');
    expect(of({ observedGeneration: 0, phase: 'Active' }).note).to.contain('edited a moment ago');
    expect(of({ phase: 'Active' }).note).to.equal(undefined);
  });

  it('keeps a reason that it does not know', () => {
    const { reasons } = of({ phase: 'Pending', reasons: [{ reason: 'Newer', message: 'of another version' }] });
    expect(reasons).to.deep.equal([{ reason: 'Newer', message: 'of another version', who: undefined }]);
  });
});
