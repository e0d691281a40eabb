// How a grant stands, gate by gate, from its status alone.

import { expect } from 'chai';
import { branches, explained } from '../../../src/cli/explained.ts';
import { drawn } from '../../../src/cli/layout.ts';
import { grant } from '../policy/snapshots.ts';

const missing = {
  reason: 'ApprovalMissing',
  message: 'it takes 1 approval; a reviewer runs: kubectl hallpass approve incident. What does not count: review-1',
  gate: 'approvals',
  policy: 'guardrails',
  line: 'spec.approvals[0]',
  remedy: 'a reviewer runs: kubectl hallpass approve incident',
  by: ['Reviewer', 'Newer'],
};
const of = (status: Record<string, unknown>) => explained(grant({ status: { observedGeneration: 1, ...status } }));

describe('how a grant stands', () => {
  it('shows every gate with its outcome, one that failed with its reason, who decided, what helps, and by whom', () => {
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
      '   └─ ApprovalMissing: it takes 1 approval. What does not count: review-1',
      '      ├─ decided by: AgentPolicy guardrails, spec.approvals[0]',
      '      ├─ what helps: a reviewer runs: kubectl hallpass approve incident',
      '      └─ who can change it: a reviewer (ClusterRole hallpass-reviewer)',
    ]);
  });

  it('keeps the reasons of a status that lists no gates', () => {
    const { gates, reasons } = of({ phase: 'AwaitingApproval', reasons: [missing] });
    expect(gates).to.deep.equal([]);
    expect(reasons.map(({ reason }) => reason)).to.deep.equal(['ApprovalMissing']);
  });

  it('is told without gates when it is over, and nobody can change that', () => {
    const denied = { reason: 'DeniedByReview', message: 'no; ask again', remedy: 'ask again', by: ['Requester'] };
    const explanation = of({ phase: 'Denied', reasons: [denied] });
    expect(explanation.gates).to.deep.equal([]);
    expect(drawn({ text: 'grant', children: branches(explanation) }, 100)).to.deep.equal([
      'grant',
      '└─ DeniedByReview: no',
      '   └─ what helps: ask again',
    ]);
  });

  it('says the remedy once where the sentence is nothing else', () => {
    const reasons = [
      { reason: 'NotYetStarted', message: 'it starts at noon', remedy: 'it starts at noon', by: ['Time'] },
    ];
    const explanation = of({ phase: 'Scheduled', reasons });
    expect(drawn({ text: 'grant', children: branches(explanation) }, 100)).to.deep.equal([
      'grant',
      '└─ NotYetStarted: it starts at noon',
      '   └─ who can change it: time alone',
    ]);
  });

  it('shows of a warning the same', () => {
    const warnings = [{ ...missing, by: ['Requester', 'Time'] }];
    expect(drawn({ text: 'grant', children: branches(of({ phase: 'Active', warnings })) }, 100)).to.deep.equal([
      'grant',
      '└─ warning: ApprovalMissing: it takes 1 approval. What does not count: review-1',
      '   ├─ decided by: AgentPolicy guardrails, spec.approvals[0]',
      '   ├─ what helps: a reviewer runs: kubectl hallpass approve incident',
      '   └─ who can change it: whoever asks for it, or time alone',
    ]);
  });

  it('says when hallpass has not looked, or not since the last edit', () => {
    expect(explained(grant()).note).to.contain('hallpass has not looked at it yet');
    expect(of({ observedGeneration: 0, phase: 'Active' }).note).to.contain('edited a moment ago');
    expect(of({ phase: 'Active' }).note).to.equal(undefined);
  });

  it('keeps a reason that it does not know', () => {
    const { reasons } = of({ phase: 'Pending', reasons: [{ reason: 'Newer', message: 'of another version' }] });
    expect(reasons).to.have.length(1);
    expect(reasons[0]).to.include({ reason: 'Newer', message: 'of another version', who: undefined });
  });
});
