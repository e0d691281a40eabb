// Signals in expressions: who reads which, for how long, and what is decided where they can't be known. Evaluated as CEL.

import { expect } from 'chai';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { decide } from '../../../src/policy/decide.ts';
import { restingOn } from '../../../src/policy/signals-read.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { CALM, calm, EXPIRY, guarded, outcome, reads, trusting, under, verdict } from './signal-setting.ts';
import {
  comesTo,
  evaluated,
  grant,
  live,
  NOON,
  namespace,
  policy,
  readPods,
  receipt,
  signal,
  snapshot,
} from './snapshots.ts';

/** What expressions of each question see of signals, in the order of the questions. */
const seen = (input: Snapshot): unknown[] =>
  decide(input).questions.map(({ input: variables }) => JSON.parse(variables).signals);

describe('a condition of a policy that reads signals', () => {
  it('withdraws what a grant gives when one comes, and says which is read, and who lifts it how', () => {
    expect(outcome(live(under({ ...reads, ...trusting })))).to.equal('Active Granted');
    const { phase, reasons } = verdict(live(under({ ...reads, ...trusting }, signal())));
    expect([phase, reasons]).to.deep.equal([
      'Suspended',
      [
        {
          reason: 'ConditionFalse',
          gate: 'conditions',
          policy: 'guardrails',
          line: 'spec.conditions[0]',
          remedy:
            'ask for what fits, or wait until it is; it reads AgentSignal team-a/outage (Critical Incident by pia: "the database is down"); that ends at 2026-03-01T12:30:00Z, or before when group sre runs: kubectl delete agentsignal -n team-a outage',
          by: ['Requester', 'Others', 'Time', 'Reporter'],
          message:
            'AgentPolicy guardrails wants what is not so (spec.conditions[0], calm: no agent goes on during an incident); ask for what fits, or wait until it is; it reads AgentSignal team-a/outage (Critical Incident by pia: "the database is down"); that ends at 2026-03-01T12:30:00Z, or before when group sre runs: kubectl delete agentsignal -n team-a outage',
        },
      ],
    ]);
  });

  it('names the gravest of several', () => {
    const minor = signal({ metadata: { name: 'a-minor' }, spec: { severity: 'Low' } });
    expect(verdict(live(under(reads, minor, signal()))).reasons[0]?.message).to.contain(
      'it reads AgentSignal team-a/outage (Critical Incident by pia: "the database is down") and 1 more; spec.reporters',
    );
  });

  it('sees of each where, what and by whom, and neither name nor message, which are words of who reports', () => {
    const facts = { signal: 'Incident', severity: 'Critical', namespace: 'team-a', reporter: 'pia' };
    expect(seen(live(under(reads, signal())))).to.deep.equal([[{ ...facts, trusted: false }]]);
    expect(seen(live(under({ ...reads, ...trusting }, signal())))).to.deep.equal([[{ ...facts, trusted: true }]]);
    expect(seen(live(under(reads)))).to.deep.equal([[]]);
  });

  it('sees them in one order, whatever order they come in', () => {
    const [one, two] = [
      signal({ metadata: { name: 'a' } }),
      signal({ metadata: { name: 'b' }, spec: { signal: 'Risk' } }),
    ];
    expect(seen(live(under(reads, two, one)))).to.deep.equal(seen(live(under(reads, one, two))));
  });

  it('sees those of the namespaces that the policy selects and of hallpass-system, and no others that concern the grant', () => {
    const reaching = grant({ spec: { permissions: [{ ...readPods, namespaces: ['team-b'] }] } });
    const at = (place: string) => signal({ metadata: { namespace: place } });
    const from = (reader: 'a' | 'b', place: string) => {
      const policies = (name: 'a' | 'b') => [policy(name === reader ? reads : {}, name)];
      const namespaces = new Map([
        ['team-a', namespace({ policies: policies('a') })],
        ['team-b', namespace({ policies: policies('b'), acceptsGrantsFrom: ['team-a'] })],
      ]);
      return seen(snapshot({ grant: reaching, namespaces, signals: [at(place)] })).flat().length;
    };
    expect([from('a', 'team-a'), from('b', 'team-b')]).to.deep.equal([1, 1]);
    expect([from('a', 'team-b'), from('b', 'team-a')]).to.deep.equal([0, 0]);
    expect([from('a', 'hallpass-system'), from('b', 'hallpass-system')]).to.deep.equal([1, 1]);
  });

  it('is asked anew when they change, and one that reads none is not', () => {
    const before = evaluated(live(under(reads)), comesTo);
    expect(decide({ ...before, signals: [signal()] }).questions).to.have.length(1);
    const plain = { conditions: [{ ...calm, expression: 'agent.name == "triage"' }] };
    const other = evaluated(live(under(plain)), comesTo);
    expect(decide({ ...other, signals: [signal()] }).questions).to.deep.equal([]);
  });

  it('is asked once with others over the same signals, and apart from what reads none', () => {
    const more = { ...calm, expression: 'signals.size() < 3' };
    const plain = { ...calm, expression: 'agent.name == "triage"' };
    const spec = { conditions: [calm, plain, more] };
    const { questions } = decide(live(guarded(policy(spec, 'one'), policy(spec, 'two'))));
    expect(questions.map(({ expressions }) => expressions)).to.deep.equal([
      [plain.expression],
      [CALM, more.expression],
    ]);
  });

  it('has all asked again where one more is wanted, so that the answers are complete', () => {
    const plain = { ...calm, expression: 'agent.name == "triage"' };
    const before = evaluated(live(under({ conditions: [plain] })), comesTo);
    const more = { ...before, ...under({ conditions: [plain, { ...plain, expression: 'true' }] }) };
    expect(decide(more).questions[0]?.expressions).to.deep.equal([plain.expression, 'true']);
  });
});

describe('the end of a signal that is read', () => {
  it('is awaited also by what has access because of it', () => {
    const during = { conditions: [{ ...calm, expression: 'signals.exists(s, s.signal == "Incident" && s.trusted)' }] };
    const { phase, nextCheck } = verdict(live(under({ ...during, ...trusting }, signal())));
    expect([phase, nextCheck]).to.deep.equal(['Active', EXPIRY]);
    expect(outcome(live({ ...under({ ...during, ...trusting }, signal()), now: EXPIRY }))).to.equal(
      'Suspended ConditionFalse',
    );
    expect(outcome(live(under(during, signal()))), 'reported by whom nobody trusts').to.equal(
      'Suspended ConditionFalse',
    );
  });
});

describe('signals that can not be known', () => {
  const OR = { conditions: [{ ...calm, expression: `true || ${CALM}` }] };

  it('leave undecided what reads them, whatever else it says: unreadable ones, and those of nobody', () => {
    const unreadable = signal({ spec: { severity: 'Odd' } });
    for (const [of, says] of [
      [unreadable, /reads AgentSignal team-a\/outage \(which can't be read, and might say anything: .*severity/],
      [signal({ reporter: null }), /by somebody unknown.*of which nobody knows who reported it/],
    ] as const) {
      const { phase, reasons, questions } = verdict(live(under(OR, of)));
      expect([phase, reasons[0]?.reason, questions]).to.deep.equal(['Suspended', 'ConditionFailed', []]);
      expect(reasons[0]?.message).to.match(says).and.to.contain('kubectl delete agentsignal -n team-a outage');
    }
    const plain = { conditions: [{ ...calm, expression: 'agent.name == "triage"' }] };
    expect(outcome(live(under(plain, unreadable)))).to.equal('Active Granted');
  });

  it('leave it undecided where there are more than 64, until enough of them are over', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, at) => signal({ metadata: { name: `noise-${at}` }, spec: { signal: 'Risk' } }));
    expect(outcome(live(under(reads, ...many(64))))).to.equal('Active Granted');
    const { phase, reasons, nextCheck } = verdict(live(under({ ...reads, ...trusting }, ...many(65))));
    expect([phase, reasons[0]?.reason, nextCheck]).to.deep.equal(['Suspended', 'ConditionFailed', EXPIRY]);
    expect(reasons[0]?.message).to.contain('65 are in effect and at most 64 are looked at');
  });

  it('have an approval wanted that hangs on them', () => {
    const spec = { approvals: [{ why: 'a test', count: 1, when: `!(${CALM})` }] };
    expect(outcome(snapshot(under(spec)))).to.equal('Active Granted');
    expect(outcome(snapshot(under(spec, signal())))).to.equal('AwaitingApproval ApprovalMissing');
    expect(outcome(snapshot(under(spec, signal({ spec: { severity: 'Odd' } }))))).to.equal(
      'AwaitingApproval ApprovalMissing',
    );
  });
});

describe('a condition that reads signals and says Revoke', () => {
  const revoking = { conditions: [{ ...calm, onFalse: 'Revoke' }] };

  it('revokes nothing because of what can not be known', () => {
    expect(outcome(live(under(revoking, signal({ spec: { severity: 'Odd' } }))))).to.equal('Suspended ConditionFailed');
  });
});

describe("a grant's own condition that reads signals", () => {
  const own = (o: Partial<Snapshot>) => {
    const spec = { conditions: [{ name: 'calm', expression: CALM }] };
    const fresh = grant({ spec });
    const status = { phase: 'Active', specHash: fresh.hash, startTime: '2026-03-01T12:00:00Z' };
    const issued = grant({ spec, status });
    return live({ grant: issued, receipt: receipt(issued), ...o });
  };

  it('sees all that concern the grant, and says where it stands who lifts one', () => {
    const { phase, reasons } = verdict(own(under({}, signal())));
    expect([phase, reasons[0]?.reason]).to.deep.equal(['Suspended', 'ConditionFalse']);
    expect(reasons[0]?.message).to.contain(
      'it reads AgentSignal team-a/outage (Critical Incident by pia: "the database is down"); status.responses says who lifts it: kubectl get agentsignal -n team-a outage -o yaml',
    );
  });

  it('ends with the expiry where any enforced policy of the namespace trusts who reported it', () => {
    const two = (...specs: Record<string, unknown>[]) =>
      own({ ...guarded(...specs.map((spec, at) => policy(spec, `p-${at}`))), signals: [signal()], now: EXPIRY });
    expect(outcome(two({}, trusting))).to.equal('Active Granted');
    expect(outcome(two({}, {}))).to.equal('Suspended ConditionFalse');
    expect(outcome(two({}, { ...trusting, enforcement: 'Warn' }))).to.equal('Suspended ConditionFalse');
  });
});

describe('whose trust it takes to lift a signal', () => {
  const resting = (spec: Record<string, unknown>, o: { of?: ParsedSignal; now?: number } = {}) =>
    restingOn(o.of ?? signal(), [policy({ ...spec, ...trusting })], o.now ?? NOON).map(({ action }) => action);

  it('is that of every policy that reads signals, by a condition or by an approval, and of no other', () => {
    expect(resting(reads)).to.deep.equal(['Read']);
    expect(resting({ approvals: [{ why: 'a test', count: 1, when: `!(${CALM})` }] })).to.deep.equal(['Read']);
    expect(resting({ conditions: [{ ...calm, expression: 'agent.name == "triage"' }] })).to.deep.equal([]);
    expect(resting({ approvals: [{ why: 'a test', count: 1 }] })).to.deep.equal([]);
    expect(restingOn(signal(), [policy({ ...reads, ...trusting })], NOON)).to.deep.equal([
      { policy: 'guardrails', action: 'Read', lifters: { users: [], groups: ['sre'] }, lapsesAt: EXPIRY },
    ]);
  });

  it('is told once for a policy that responds, too, by what it does', () => {
    const responses = [{ signal: 'Incident', severity: 'High', action: 'Suspend' }];
    expect(resting({ ...reads, responses })).to.deep.equal(['Suspend']);
    expect(resting({ ...reads, responses }, { of: signal({ spec: { severity: 'Low' } }) })).to.deep.equal(['Read']);
  });

  it("is nobody's once the signal is over, and all the same where it outlasts", () => {
    expect(resting(reads, { now: EXPIRY })).to.deep.equal([]);
    const responding = policy({ responses: [{ signal: 'Incident', severity: 'Low', action: 'Suspend' }] }, 'a');
    const both = restingOn(signal(), [policy(reads, 'b'), responding], EXPIRY);
    expect(both.map((each) => each.policy)).to.deep.equal(['a', 'b']);
  });
});
