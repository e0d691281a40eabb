// Signals to which policies respond: what is said, and whose policies count. What is the same of signals that are read: signals-both-ways.

import { expect } from 'chai';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { EXPIRY, responding, trusting, under } from './signal-setting.ts';
import { grant, live, namespace, policy, readPods, signal, snapshot } from './snapshots.ts';

const suspends = responding('Suspend');
const revokes = responding('Revoke');
const outcome = (of: Snapshot) => {
  const { phase, reasons } = decide(of);
  return [phase, reasons[0]?.reason];
};

describe('a signal to which a policy responds by Suspend', () => {
  it('withdraws what a grant gives, and says which signal, policy and line, and who lifts it how', () => {
    const { phase, reasons, nextCheck } = decide(live(under({ ...suspends, ...trusting }, signal())));
    expect(phase).to.equal('Suspended');
    expect(nextCheck).to.equal(EXPIRY);
    expect(reasons).to.deep.equal([
      {
        reason: 'SuspendedBySignal',
        gate: 'signals',
        policy: 'guardrails',
        line: 'spec.responses[0]',
        remedy:
          'that ends at 2026-03-01T12:30:00Z, or before when group sre runs: kubectl delete agentsignal -n team-a outage',
        by: ['Time', 'Reporter'],
        message:
          'AgentPolicy guardrails (spec.responses[0]) withholds it because of AgentSignal team-a/outage (Critical Incident by pia: "the database is down"); that ends at 2026-03-01T12:30:00Z, or before when group sre runs: kubectl delete agentsignal -n team-a outage',
        nextCheck: EXPIRY,
      },
    ]);
  });

  it('keeps a request from being given, and lets it wait', () => {
    expect(outcome(snapshot(under(suspends, signal())))).to.deep.equal(['Pending', 'SuspendedBySignal']);
  });

  it('does nothing where no policy responds', () => {
    expect(decide(live(under({}, signal()))).phase).to.equal('Active');
  });

  it('does nothing for whom it is not about is left to who gathers; of one about the agent, its namespace counts', () => {
    const about = signal({ spec: { agent: 'triage' } });
    expect(decide(live(under(suspends, about))).phase).to.equal('Suspended');
  });

  it('holds where a grant reaches into its namespace, by the policies there', () => {
    const reaching = grant({ spec: { permissions: [{ ...readPods, namespaces: ['team-b'] }] } });
    const there = signal({ metadata: { namespace: 'team-b' } });
    const views = (a: ParsedPolicy, b: ParsedPolicy) =>
      new Map([
        ['team-a', namespace({ policies: [a] })],
        ['team-b', namespace({ policies: [b], acceptsGrantsFrom: ['team-a'] })],
      ]);
    const reasons = (a: ParsedPolicy, b: ParsedPolicy) =>
      decide(snapshot({ grant: reaching, namespaces: views(a, b), signals: [there] })).reasons.map(
        (each) => each.reason,
      );
    expect(reasons(policy({}, 'a'), policy(suspends, 'b'))).to.include('SuspendedBySignal');
    expect(reasons(policy(suspends, 'a'), policy({}, 'b'))).to.not.include('SuspendedBySignal');
  });

  it('holds everywhere when it is in hallpass-system, by every policy of the grant', () => {
    const everywhere = signal({ metadata: { namespace: 'hallpass-system' } });
    expect(outcome(live(under(suspends, everywhere)))).to.deep.equal(['Suspended', 'SuspendedBySignal']);
  });

  it('holds when it can not be read, or nobody knows who reported it', () => {
    expect(decide(live(under({ ...suspends, ...trusting }, signal({ spec: { severity: 'Odd' } })))).phase).to.equal(
      'Suspended',
    );
    const unreadable = signal({ reporter: { username: 7 } });
    expect(decide(live({ ...under({ ...suspends, ...trusting }, unreadable), now: EXPIRY })).phase).to.equal(
      'Suspended',
    );
    const unknown = signal({ reporter: null });
    const late = live({ ...under({ ...suspends, ...trusting }, unknown), now: EXPIRY });
    expect(decide(late).phase).to.equal('Suspended');
    expect(decide(late).reasons[0]?.message).to.contain('somebody unknown');
  });

  it('names each of several, in one order, and not more than eight', () => {
    const many = Array.from({ length: 12 }, (_, at) => signal({ metadata: { name: `outage-${at}` } }));
    const told = (signals: ParsedSignal[]) => decide(live(under(suspends, ...signals))).reasons;
    expect(told(many)).to.have.length(8);
    expect(told([...many].reverse())).to.deep.equal(told(many));
  });
});

describe('the end of a signal', () => {
  it('gives access back after 30 s, like everything that suspended', () => {
    const suspended = live({ ...under({ ...suspends, ...trusting }, signal()), now: EXPIRY });
    const status = { ...suspended.grant.status, phase: 'Suspended' as const };
    const lifted = { ...suspended, grant: { ...suspended.grant, status } };
    const { phase, reasons, nextCheck } = decide(lifted);
    expect([phase, reasons[0]?.reason, nextCheck]).to.deep.equal(['Suspended', 'Restoring', EXPIRY + 30_000]);
  });
});

describe('a signal to which a policy responds by Revoke', () => {
  it('ends for good what gave access, and says how to ask again', () => {
    const { phase, reasons } = decide(live(under(revokes, signal())));
    expect(phase).to.equal('Revoked');
    expect(reasons).to.deep.equal([
      {
        reason: 'RevokedBySignal',
        policy: 'guardrails',
        line: 'spec.responses[0]',
        remedy: 'to ask again once that is over, set spec.task.ref of grant incident to a new value',
        by: ['Requester'],
        message:
          'AgentPolicy guardrails (spec.responses[0]) ended it for good because of AgentSignal team-a/outage (Critical Incident by pia: "the database is down"); to ask again once that is over, set spec.task.ref of grant incident to a new value',
      },
    ]);
  });

  it('goes before Suspend, whatever the order of the entries', () => {
    const responses = [...suspends.responses, { signal: 'Incident', severity: 'Critical', action: 'Revoke' }];
    const { reasons } = decide(live(under({ responses }, signal())));
    expect(reasons[0]?.message).to.contain('spec.responses[1]');
    expect(decide(live(under({ responses }, signal({ spec: { severity: 'High' } })))).phase).to.equal('Suspended');
  });
});
