// What the tests of signals share: team-a under policies that respond to signals or read them, one that expires, and what is decided.

import type { ParsedPolicy } from '../../../src/api/policy.ts';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { comesTo, evaluated, MINUTE, NOON, namespace, policy } from './snapshots.ts';

/** Half past twelve, when the signal of `snapshots.ts` expires. */
export const EXPIRY = NOON + 30 * MINUTE;

export const trusting = { reporters: { groups: ['sre'] } };

export const responding = (action: 'Suspend' | 'Revoke') => ({
  responses: [{ signal: 'Incident', severity: 'High', action }],
});

export const CALM = '!signals.exists(s, s.signal == "Incident" && s.severity in ["High", "Critical"])';
export const calm = { name: 'calm', why: 'no agent goes on during an incident', expression: CALM };
export const reads = { conditions: [calm] };

export const guarded = (...policies: ParsedPolicy[]) => ({
  namespaces: new Map([['team-a', namespace({ policies })]]),
});
export const under = (spec: Record<string, unknown>, ...signals: ParsedSignal[]): Partial<Snapshot> => ({
  ...guarded(policy(spec)),
  signals,
});

/** With expressions evaluated as CEL. */
export const verdict = (input: Snapshot) => decide(evaluated(input, comesTo));
/** The phase and every reason for it. */
export const outcome = (input: Snapshot) => {
  const { phase, reasons } = verdict(input);
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};
