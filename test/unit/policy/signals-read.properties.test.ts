// Laws of signals in expressions, over generated ones that are evaluated as CEL.

import { expect } from 'chai';
import fc from 'fast-check';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { restingOn } from '../../../src/policy/signals-read.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { guarded, verdict } from './signal-setting.ts';
import { live, MINUTE, NOON, policy, signal } from './snapshots.ts';

/** Expressions that a further signal can only make false, or undecided. */
const negative = fc.constantFrom(
  '!signals.exists(s, s.signal == "Incident" && s.severity in ["High", "Critical"])',
  'signals.size() < 2',
  '!signals.exists(s, s.namespace == "hallpass-system")',
  'signals.all(s, s.trusted || s.signal == "Risk")',
  'agent.name == "triage"',
);

const reader = fc
  .record({
    conditions: fc.array(fc.record({ expression: negative, onFalse: fc.constantFrom('Suspend', 'Revoke') }), {
      minLength: 1,
      maxLength: 2,
    }),
    reporters: fc.constantFrom({}, { groups: ['sre'] }, { groups: ['sre', 'dev'] }),
  })
  .map(({ conditions, reporters }) => ({
    conditions: conditions.map((each) => ({ ...each, name: 'so', why: 'a test' })),
    reporters,
  }));

const fact = fc
  .record({
    name: fc.constantFrom('one', 'two', 'three'),
    namespace: fc.constantFrom('team-a', 'hallpass-system'),
    signal: fc.constantFrom('Incident', 'Risk'),
    severity: fc.constantFrom('Low', 'High', 'High', 'Odd'),
    minute: fc.integer({ min: 1, max: 59 }),
    group: fc.constantFrom('sre', 'dev'),
  })
  .map(({ name, namespace, minute, group, ...spec }) =>
    signal({
      metadata: { name, namespace, uid: name },
      spec: { ...spec, expiresAt: new Date(NOON + minute * MINUTE).toISOString() },
      reporter: { username: group, groups: [group] },
    }),
  );

const held = fc
  .record({
    policies: fc.array(reader, { minLength: 1, maxLength: 2 }),
    signals: fc.uniqueArray(fact, {
      maxLength: 3,
      selector: ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
    }),
    minute: fc.integer({ min: 0, max: 59 }),
  })
  .map(({ policies, signals, minute }) =>
    live({
      ...guarded(...policies.map((spec, at) => policy(spec, `policy-${at}`))),
      signals,
      now: NOON + minute * MINUTE,
    }),
  );

describe('signals in expressions, by law', () => {
  const law = <T>(more: fc.Arbitrary<T>, holds: (input: Snapshot, more: T) => void) =>
    fc.assert(fc.property(held, more, holds), { numRuns: 400 });
  const active = (input: Snapshot) => verdict(input).phase === 'Active';

  it('give no more by one more of them, by a later expiry, or by a reporter whom nobody trusts', () => {
    law(fact, (input, more) => {
      if (active(input)) return;
      const later = (one: ParsedSignal): ParsedSignal =>
        one.spec ? { ...one, spec: { ...one.spec, expiresAt: '2026-03-02T12:00:00Z' } } : one;
      const distrusted = (one: ParsedSignal): ParsedSignal => {
        const reporter = { ...one.stamps?.reporter, username: 'mallory', groups: [] };
        return { ...one, stamps: { reporter } };
      };
      for (const signals of [[...input.signals, more], input.signals.map(later), input.signals.map(distrusted)]) {
        expect(active({ ...input, signals })).to.equal(false);
      }
    });
  });

  it('give nothing more by the expiry of what no policy trusts, whatever time passes', () => {
    law(fc.integer({ min: 0, max: 30 }), (input, minutes) => {
      const nobodys = input.namespaces.get('team-a')?.policies.map((one): ParsedPolicy => {
        const { reporters: _, ...spec } = one.spec ?? {};
        return policy(spec, one.metadata.name);
      });
      const before = { ...input, ...guarded(...(nobodys ?? [])) };
      const later = Math.min(before.now + minutes * MINUTE, NOON + 59 * MINUTE);
      if (!active(before)) expect(active({ ...before, now: later })).to.equal(false);
    });
  });

  it('change nothing before the next check that time alone would', () => {
    law(fc.constant(undefined), (input) => {
      const { phase, nextCheck = input.now } = verdict(input);
      expect(verdict({ ...input, now: Math.max(input.now, nextCheck - 1) }).phase).to.equal(phase);
    });
  });

  it('are lifted by deletion only where every policy that rests on one trusts whoever deletes it', () => {
    let lifting = 0;
    law(fc.nat({ max: 2 }), (input, at) => {
      const [gone] = input.signals.slice(at, at + 1);
      if (!gone || active(input)) return;
      if (!active({ ...input, signals: input.signals.filter((one) => one !== gone) })) return;
      lifting += 1;
      const policies = input.namespaces.get('team-a')?.policies ?? [];
      const resting = restingOn(gone, policies, input.now).map((each) => each.policy);
      const withheld = verdict(input).reasons.map(({ message }) => /AgentPolicy (\S+)/.exec(message)?.[1] ?? '');
      // What the guard goes by: mallory, whom nobody trusts, is held by each policy that withholds.
      expect(resting).to.include.members(withheld);
    });
    expect(lifting, 'there are some whose deletion gives access').to.be.above(5);
  });
});
