// Conditions and windows in the decision about a grant, one rule a line.

import { expect } from 'chai';
import { restrictionsDigest } from '../../../src/api/request.ts';
import type { Answer } from '../../../src/cel/question.ts';
import { decide, RESTORE_DELAY } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import {
  evaluated,
  grant,
  identity,
  live,
  MINUTE,
  mayReview,
  NOON,
  namespace,
  policy,
  receipt,
  review,
  snapshot,
} from './snapshots.ts';

const HOUR = 60 * MINUTE;
const FAILED: Answer = { kind: 'failed', message: 'field not found: ref' };
const OVERDUE: Answer = { kind: 'failed', message: 'it took too long', retryAt: NOON + MINUTE };
const INVALID: Answer = {
  kind: 'invalid',
  message: 'nothing is called gant; there is agent, grant',
  line: 1,
  column: 9,
};

const condition = { name: 'in-production', expression: 'own' };
const line = { name: 'owned', why: 'a test', expression: 'of policy' };
const asked = (spec: Record<string, unknown>) => grant({ spec });
const guarded = (spec: Record<string, unknown>) => new Map([['team-a', namespace({ policies: [policy(spec)] })]]);

/** A grant that was given with this spec, some time ago. */
const given = (spec: Record<string, unknown>, o: Partial<Snapshot> = {}, status: Record<string, unknown> = {}) => {
  const fresh = grant({ spec });
  const issued = grant({
    spec,
    status: {
      phase: 'Active',
      specHash: fresh.hash,
      receipt: receipt(fresh).metadata.name,
      startTime: '2026-03-01T12:00:00Z',
      expiresAt: '2026-03-01T13:00:00Z',
      ...status,
    },
  });
  return live({ grant: issued, receipt: receipt(issued), ...o });
};
const summary = (input: Snapshot, comeTo: (expression: string) => Answer | boolean = () => true) => {
  const { phase, reasons } = decide(evaluated(input, comeTo));
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};

describe('a condition of a grant', () => {
  const request = snapshot({ grant: asked({ conditions: [condition] }) });

  it('is evaluated before anything is decided, over the agent and the grant', () => {
    const { phase, questions } = decide(request);
    const [question] = questions;
    expect([phase, questions.length]).to.deep.equal(['Pending', 1]);
    expect(question?.expressions).to.deep.equal(['own']);
    const { agent, grant: about } = JSON.parse(question?.input ?? '');
    expect(agent).to.deep.equal({
      name: 'triage',
      namespace: 'team-a',
      labels: {},
      purpose: 'triage of incidents',
      owner: { kind: 'Group', name: 'team-a' },
    });
    expect(about).to.deep.equal({
      name: 'incident',
      namespace: 'team-a',
      labels: {},
      duration: 3600,
      creator: { username: 'jane', groups: ['team-a'] },
      requester: { username: 'jane', groups: ['team-a'] },
      permissions: [
        { namespaces: ['team-a'], apiGroups: [''], resources: ['pods'], resourceNames: [], verbs: ['get', 'list'] },
      ],
      namespaces: [{ name: 'team-a', labels: {}, dataSensitivity: 'internal' }],
    });
  });

  it('is not evaluated where there is none', () => {
    expect(decide(snapshot()).questions).to.deep.equal([]);
  });

  it('is evaluated anew when what it is about has changed', () => {
    const before = evaluated(request, () => true);
    expect(decide(before).questions).to.deep.equal([]);
    const after = { ...before, identity: identity({ metadata: { labels: { tier: 'test' } } }) };
    expect(decide(after).phase).to.equal('Pending');
    expect(decide(after).questions[0]?.expressions).to.deep.equal(['own']);
  });

  it('lets the grant pass only when it is true', () => {
    expect(summary(request, () => true)).to.equal('Active Granted');
    expect(summary(request, () => false)).to.equal('Pending ConditionFalse');
    expect(summary(request, () => FAILED)).to.equal('Pending ConditionFailed');
    expect(summary(request, () => INVALID)).to.equal('Pending ConditionInvalid');
  });

  it('says where it does not compile, and that only an edit helps', () => {
    const { reasons } = decide(evaluated(request, () => INVALID));
    expect(reasons).to.deep.equal([
      {
        gate: 'conditions',
        reason: 'ConditionInvalid',
        message:
          'its condition in-production is not valid: spec.conditions[0].expression column 9: nothing is called gant; there is agent, grant; correct it',
        remedy: 'correct it',
        by: ['Requester'],
        needsEdit: true,
      },
    ]);
  });

  it('suspends what was given when it is no longer true, fails or does not compile', () => {
    for (const onFalse of [undefined, 'Suspend']) {
      const held = given({ conditions: [{ ...condition, onFalse }] }, { now: NOON + MINUTE });
      expect(summary(held, () => true)).to.equal('Active Granted');
      expect(summary(held, () => false)).to.equal('Suspended ConditionFalse');
      expect(summary(held, () => FAILED)).to.equal('Suspended ConditionFailed');
      expect(summary(held, () => INVALID)).to.equal('Suspended ConditionInvalid');
    }
  });

  it('revokes what was given only when it is false and says so, never by an error, and nothing that was not given', () => {
    const revoking = { conditions: [{ ...condition, onFalse: 'Revoke' }] };
    const held = given(revoking, { now: NOON + MINUTE });
    expect(summary(held, () => false)).to.equal('Revoked ConditionFalse');
    expect(summary(held, () => FAILED)).to.equal('Suspended ConditionFailed');
    expect(summary(held, () => OVERDUE)).to.equal('Suspended ConditionFailed');
    expect(summary(held, () => INVALID)).to.equal('Suspended ConditionInvalid');
    expect(decide(held).phase, 'not asked yet').to.equal('Suspended');
    expect(summary(snapshot({ grant: asked(revoking) }), () => false)).to.equal('Pending ConditionFalse');
    const suspended = given(revoking, { now: NOON + MINUTE }, { phase: 'Suspended' });
    expect(summary(suspended, () => false)).to.equal('Revoked ConditionFalse');
  });

  it('is tried again when evaluating it took too long', () => {
    expect(decide(evaluated(request, () => OVERDUE)).nextCheck).to.equal(NOON + MINUTE);
  });

  it('takes nothing from what goes anyway, and that does not wait for it', () => {
    const held = given({ conditions: [condition] }, { namespaces: guarded({ freeze: { reason: 'a test' } }) });
    expect(decide(held)).to.include({ phase: 'Suspended', refusedAnyway: true });
    expect(decide(given({ conditions: [condition] })).refusedAnyway).to.equal(false);
  });

  it('is no narrowing to drop or to change, and one to add', () => {
    const edited = (before: Record<string, unknown>, after: Record<string, unknown>) => {
      const old = grant({ spec: before });
      const spec = { restrictions: restrictionsDigest(old.spec ?? {}) };
      const changed = grant({
        spec: after,
        status: { phase: 'Active', specHash: old.hash, startTime: '2026-03-01T12:00:00Z' },
      });
      const input = snapshot({ grant: changed, superseded: [receipt(old, { spec })], now: NOON + MINUTE });
      return decide(evaluated(input, () => true)).narrows;
    };
    const window = { from: '00:00', to: '24:00', timeZone: 'UTC' };
    const other = { ...condition, expression: 'another' };
    expect(edited({}, { conditions: [condition] })).to.equal(true);
    expect(edited({}, { windows: [window] })).to.equal(true);
    expect(edited({ conditions: [condition] }, { conditions: [condition], validity: { duration: '30m' } })).to.equal(
      true,
    );
    expect(edited({ conditions: [condition] }, {})).to.equal(false);
    expect(edited({ conditions: [condition] }, { conditions: [] })).to.equal(false);
    expect(edited({ conditions: [condition] }, { conditions: [other] })).to.equal(false);
    expect(edited({ conditions: [{ ...condition, onFalse: 'Revoke' }] }, { conditions: [condition] })).to.equal(false);
    expect(edited({ windows: [window] }, {})).to.equal(false);
    expect(edited({ windows: [window] }, { windows: [{ ...window, to: '23:00' }, window] })).to.equal(false);
  });
});

describe('a condition of a policy', () => {
  const under = (spec: Record<string, unknown>, o: Partial<Snapshot> = {}) =>
    snapshot({ namespaces: guarded({ conditions: [line], ...spec }), ...o });

  it('lets a grant pass only when it is true, and says which and why', () => {
    expect(summary(under({}), () => true)).to.equal('Active Granted');
    expect(summary(under({}), () => FAILED)).to.equal('Pending ConditionFailed');
    expect(summary(under({}), () => INVALID)).to.equal('Pending PolicyInvalid');
    expect(decide(evaluated(under({}), () => false)).reasons).to.deep.equal([
      {
        gate: 'conditions',
        reason: 'ConditionFalse',
        message:
          'AgentPolicy guardrails wants what is not so (spec.conditions[0], owned: a test); ask for what fits, or wait until it is',
        policy: 'guardrails',
        line: 'spec.conditions[0]',
        remedy: 'ask for what fits, or wait until it is',
        by: ['Requester', 'Others'],
      },
    ]);
    expect(decide(evaluated(under({}), () => INVALID)).reasons[0]?.message).to.equal(
      'AgentPolicy guardrails is not valid: spec.conditions[0].expression column 9: nothing is called gant; there is agent, grant; correct it',
    );
  });

  it('suspends what was given, or ends it where it says so', () => {
    const held = (onFalse?: string) =>
      given({}, { now: NOON + MINUTE, namespaces: guarded({ conditions: [{ ...line, onFalse }] }) });
    expect(summary(held(), () => false)).to.equal('Suspended ConditionFalse');
    expect(summary(held('Revoke'), () => false)).to.equal('Revoked ConditionFalse');
    expect(summary(held('Revoke'), () => FAILED)).to.equal('Suspended ConditionFailed');
    expect(summary(held('Revoke'), () => INVALID)).to.equal('Suspended PolicyInvalid');
  });

  it('only warns, and ends nothing, where the policy only warns', () => {
    const policies = [policy(), policy({ enforcement: 'Warn', conditions: [{ ...line, onFalse: 'Revoke' }] }, 'warns')];
    const held = given({}, { now: NOON + MINUTE, namespaces: new Map([['team-a', namespace({ policies })]]) });
    const { phase, warnings } = decide(evaluated(held, () => false));
    expect([phase, ...warnings.map(({ reason }) => reason)]).to.deep.equal(['Active', 'ConditionFalse']);
    expect(decide(evaluated(held, () => true)).warnings).to.deep.equal([]);
  });

  it('is evaluated before those of the grant, so that these take none of its time', () => {
    const input = under({}, { grant: asked({ conditions: [condition] }) });
    expect(decide(input).questions[0]?.expressions).to.deep.equal(['of policy', 'own']);
  });
});

describe('an approval that is wanted when', () => {
  const approvals = [{ when: 'risky', why: 'a test', count: 1 }];
  const under = (o: Partial<Snapshot> = {}) => snapshot({ namespaces: guarded({ approvals }), ...o });

  it('its expression is true is not wanted when that is false', () => {
    expect(summary(under(), () => true)).to.equal('AwaitingApproval ApprovalMissing');
    expect(summary(under(), () => false)).to.equal('Active Granted');
  });

  it('its expression is true is wanted, too, when that cannot be told, and is enough then', () => {
    expect(summary(under(), () => FAILED)).to.equal('AwaitingApproval ApprovalMissing');
    expect(decide(evaluated(under(), () => OVERDUE)).nextCheck).to.equal(NOON + MINUTE);
    expect(decide(evaluated(under(), () => FAILED)).reasons[0]?.message).to.include(
      '(whether that is for this grant could not be evaluated: field not found: ref)',
    );
    const approved = under({
      reviews: { ofGrant: [review(grant())], ofIdentity: [] },
      reviewers: mayReview('review-uid'),
    });
    expect(summary(approved, () => FAILED)).to.equal('Active Granted');
  });

  it('its expression is true makes a policy invalid that does not compile', () => {
    expect(summary(under(), () => INVALID)).to.equal('Pending ApprovalMissing PolicyInvalid');
    expect(decide(evaluated(under(), () => INVALID)).reasons[1]?.message).to.include('spec.approvals[0].when column 9');
  });
});

describe('the windows of a grant, in the decision', () => {
  // The first of March 2026 is a Sunday; every test starts at noon.
  const open = [{ from: '11:00', to: '12:30', timeZone: 'UTC' }];
  const closed = [{ days: ['Mon'], from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' }];

  it('wait as Scheduled for the next one to open, when nothing else stands against it', () => {
    const { phase, reasons, nextCheck } = decide(
      snapshot({ grant: asked({ windows: closed, validity: { duration: '48h' } }) }),
    );
    expect(phase).to.equal('Scheduled');
    const opens = Date.parse('2026-03-02T08:00:00Z');
    expect(reasons).to.deep.equal([
      {
        gate: 'windows',
        reason: 'OutsideWindow',
        message: 'it is outside of its windows; the next opens at 2026-03-02T08:00:00Z',
        remedy: 'the next opens at 2026-03-02T08:00:00Z',
        by: ['Time'],
        nextCheck: opens,
      },
    ]);
    expect(nextCheck).to.equal(opens);
  });

  it('say so when none opens before the end', () => {
    const notAfter = { notAfter: '2026-03-01T14:00:00Z' };
    const { phase, reasons } = decide(snapshot({ grant: asked({ windows: closed, validity: notAfter }) }));
    expect([phase, reasons[0]?.message]).to.deep.equal([
      'Scheduled',
      'it is outside of its windows; none opens before its end: ask for other windows, or for a later end',
    ]);
  });

  it('let it pass while one is open, and look again when that closes', () => {
    expect(decide(snapshot({ grant: asked({ windows: open }) }))).to.include({
      phase: 'Active',
      nextCheck: NOON + 30 * MINUTE,
    });
  });

  it('suspend what was given when they close, until the next opens', () => {
    const held = given({ windows: open }, { now: NOON + 30 * MINUTE });
    const verdict = decide(held);
    expect(summary(held)).to.equal('Suspended OutsideWindow');
    // Its end comes before they open again.
    expect(verdict.nextCheck).to.equal(NOON + HOUR);
    expect(verdict.term).to.deep.equal({ start: NOON, end: NOON + HOUR });
  });

  const twice = { windows: [...open, { from: '12:45', to: '13:00', timeZone: 'UTC' }] };

  it('give it back the moment they open: nothing flaps that was planned', () => {
    const since = { phase: 'Suspended', passingSince: '2026-03-01T12:30:00Z' };
    expect(decide(given(twice, { now: NOON + 30 * MINUTE })).passingSince).to.equal(NOON + 30 * MINUTE);
    const waiting = given(twice, { now: NOON + 45 * MINUTE - 1 }, since);
    expect(decide(waiting)).to.include({ phase: 'Suspended', nextCheck: NOON + 45 * MINUTE });
    expect(summary({ ...waiting, now: NOON + 45 * MINUTE })).to.equal('Active Granted');
  });

  it('give it back later where something else stood against it until just before', () => {
    const frozen = guarded({ freeze: { reason: 'a test' } });
    const suspended = given(twice, { now: NOON + 44 * MINUTE, namespaces: frozen }, { phase: 'Suspended' });
    expect(decide(suspended).passingSince).to.equal(undefined);
    const thawedAt = NOON + 45 * MINUTE - 10_000;
    expect(decide({ ...suspended, now: thawedAt, namespaces: guarded({}) }).passingSince).to.equal(thawedAt);
    const opened = given(
      twice,
      { now: NOON + 45 * MINUTE },
      { phase: 'Suspended', passingSince: new Date(thawedAt).toISOString() },
    );
    expect(decide(opened)).to.include({ phase: 'Suspended', nextCheck: thawedAt + RESTORE_DELAY });
  });

  it('are told beside what else stands against it, which then comes first', () => {
    const input = snapshot({ grant: asked({ windows: closed, conditions: [condition] }) });
    expect(summary(input, () => false)).to.equal('Pending OutsideWindow ConditionFalse');
  });

  it('refuse a zone that nobody knows, and ends that are the same', () => {
    const refused = (window: object) => grant({ spec: { windows: [{ ...open[0], ...window }] } }).invalid;
    expect(refused({})).to.equal(undefined);
    expect(refused({ timeZone: 'Europe/Berln' })).to.match(/windows\[0\]\.timeZone.*IANA name of a time zone/);
    expect(refused({ timeZone: '+02:00' })).to.match(/IANA name/);
    expect(refused({ to: '11:00' })).to.match(/must differ/);
    expect(refused({ from: '24:00' })).to.match(/from 00:00 to 23:59/);
    expect(refused({ to: '24:00' })).to.equal(undefined);
  });
});
