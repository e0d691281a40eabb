// What is the same whether a policy responds to a signal or has a condition that reads it: when it withholds, and when that ends.

import { expect } from 'chai';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { calm, EXPIRY, guarded, outcome, reads, responding, trusting, under, verdict } from './signal-setting.ts';
import { live, MINUTE, NOON, policy, signal, snapshot } from './snapshots.ts';

for (const [does, suspends, revokes, withheld, revoked] of [
  ['responds to', responding('Suspend'), responding('Revoke'), 'SuspendedBySignal', 'RevokedBySignal'],
  ['reads', reads, { conditions: [{ ...calm, onFalse: 'Revoke' }] }, 'ConditionFalse', 'ConditionFalse'],
] as const) {
  describe(`a signal that a policy ${does}`, () => {
    const at = (now: number, spec: Record<string, unknown>, of: ParsedSignal = signal()) =>
      outcome(live({ ...under({ ...suspends, ...spec }, of), now }));

    it('withholds from the stated severity on, and by its own kind', () => {
      const about = (spec: Record<string, unknown>) => at(NOON, {}, signal({ spec }));
      expect(about({ severity: 'High' })).to.equal(`Suspended ${withheld}`);
      expect(about({ severity: 'Medium' })).to.equal('Active Granted');
      expect(about({ severity: 'Low' })).to.equal('Active Granted');
      expect(about({ signal: 'Risk' })).to.equal('Active Granted');
    });

    it('only warns where the policy only warns, and says so anew when that ends', () => {
      const warns = policy({ ...suspends, ...trusting, enforcement: 'Warn' }, 'trial');
      const { phase, warnings, nextCheck } = verdict(live({ ...guarded(policy(), warns), signals: [signal()] }));
      expect([phase, warnings.map(({ reason }) => reason), nextCheck]).to.deep.equal(['Active', [withheld], EXPIRY]);
    });

    it('ends with its expiry where the policy trusts its reporter: by group, by user, as a ServiceAccount', () => {
      const robot = signal({ reporter: { username: 'system:serviceaccount:monitoring:alerts', groups: [] } });
      for (const [reporters, of] of [
        [{ groups: ['sre'] }, signal()],
        [{ users: ['pia'] }, signal()],
        [{ serviceAccounts: [{ namespace: 'monitoring', name: 'alerts' }] }, robot],
      ] as const) {
        expect(verdict(live(under({ ...suspends, reporters }, of))).nextCheck, 'decided again then').to.equal(EXPIRY);
        expect(at(EXPIRY - 1, { reporters }, of)).to.equal(`Suspended ${withheld}`);
        expect(at(EXPIRY, { reporters }, of)).to.equal('Active Granted');
      }
    });

    it('outlasts its expiry where the policy trusts somebody else, or nobody, and says who lifts it', () => {
      for (const reporters of [{ users: ['rita'] }, { groups: ['dev'] }, {}, undefined]) {
        expect(at(EXPIRY, { reporters })).to.equal(`Suspended ${withheld}`);
      }
      const { reasons, nextCheck } = verdict(
        live({ ...under({ ...suspends, reporters: { users: ['rita'] } }, signal()), now: EXPIRY }),
      );
      expect(reasons[0]?.message).to.contain(
        'spec.reporters of that policy does not name pia, so that it outlasts its expiry at 2026-03-01T12:30:00Z; rita lifts it by: kubectl delete agentsignal -n team-a outage',
      );
      expect(nextCheck, 'the end of the grant').to.equal(NOON + 60 * MINUTE);
    });

    it('outlasts its expiry where an agent reported it, whoever the policy trusts', () => {
      const username = 'system:serviceaccount:team-a:hallpass-triage';
      const agent = signal({ reporter: { username, groups: ['system:serviceaccounts'] } });
      const serviceAccounts = [{ namespace: 'team-a', name: 'hallpass-triage' }];
      const reporters = { groups: ['system:serviceaccounts'], serviceAccounts };
      expect(at(EXPIRY, { reporters }, agent)).to.equal(`Suspended ${withheld}`);
    });

    it('is settled by each policy for itself', () => {
      const both = guarded(policy({ ...suspends, ...trusting }, 'one'), policy(suspends, 'two'));
      const by = (now: number) =>
        verdict(live({ ...both, signals: [signal()], now })).reasons.map((each) => each.policy);
      expect(by(EXPIRY - 1)).to.deep.equal(['one', 'two']);
      expect(by(EXPIRY)).to.deep.equal(['two']);
    });

    it('ends with its deletion, which a guard let pass', () => {
      expect(at(NOON, {}, signal({ metadata: { deletionTimestamp: '2026-03-01T12:00:00Z' } }))).to.equal(
        'Active Granted',
      );
    });

    it('ends for good what gave access where the policy says Revoke, and lets the rest wait', () => {
      expect(outcome(live(under(revokes, signal())))).to.equal(`Revoked ${revoked}`);
      expect(outcome(snapshot(under(revokes, signal())))).to.equal(`Pending ${withheld}`);
    });

    it('ends nothing for good once it has expired, and still withholds where its reporter is not trusted: facts pass', () => {
      const late = (spec: object) => outcome(live({ ...under({ ...revokes, ...spec }, signal()), now: EXPIRY }));
      expect(late({})).to.equal(`Suspended ${withheld}`);
      expect(late(trusting)).to.equal('Active Granted');
    });
  });
}
