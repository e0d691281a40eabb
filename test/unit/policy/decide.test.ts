// The decision about a grant, one rule a line.

import { expect } from 'chai';
import { decide, RESTORE_DELAY } from '../../../src/policy/decide.ts';
import { PENDING_LIMIT } from '../../../src/policy/endings.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, identity, live, MINUTE, NOON, namespace, policy, readPods, receipt, snapshot } from './snapshots.ts';

const HOUR = 60 * MINUTE;
const at = (time: string) => Date.parse(`2026-03-01T${time}Z`);
const reasons = (input: Snapshot) => decide(input).reasons.map(({ reason }) => reason);
const summary = (input: Snapshot) => {
  const { phase, reasons } = decide(input);
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};

describe('the decision about a new request', () => {
  it('gives what is asked for, from now on, when every gate is passed', () => {
    const verdict = decide(snapshot());
    expect(verdict.phase).to.equal('Active');
    expect(verdict.access).to.deep.equal([{ namespace: 'team-a', rules: [readPods] }]);
    expect(verdict.term).to.deep.equal({ start: NOON, end: NOON + HOUR });
    expect(verdict.nextCheck).to.equal(NOON + HOUR);
  });

  it('asks about the authors only once nothing else stands against it', () => {
    const unasked = snapshot({ authorsLack: undefined });
    expect(decide(unasked).askAuthors).to.equal(true);
    expect(decide(unasked).phase).to.equal('Pending');
    expect(decide({ ...unasked, identity: undefined }).askAuthors).to.equal(false);
  });

  const waiting: [string, Partial<Snapshot>, string][] = [
    ['its agent does not exist', { identity: undefined }, 'AgentNotFound'],
    ['its agent is not valid', { identity: identity({ spec: { purpose: '' } }) }, 'AgentNotReady'],
    [
      'its agent has no ServiceAccount',
      { identity: identity({ status: { serviceAccount: undefined } }) },
      'AgentNotReady',
    ],
    [
      'its agent is being deleted',
      { identity: identity({ metadata: { deletionTimestamp: '2026-03-01T11:59:00Z' } }) },
      'AgentDeleted',
    ],
    ['its agent has expired', { identity: identity({ spec: { expiresAt: '2026-03-01T12:00:00Z' } }) }, 'AgentExpired'],
    [
      'it is outside the boundary',
      { identity: identity({ spec: { boundary: { namespaces: ['team-b'] } } }) },
      'OutsideBoundary',
    ],
    [
      'it is longer than the boundary',
      { identity: identity({ spec: { boundary: { maxGrantDuration: '59m' } } }) },
      'DurationExceedsBoundary',
    ],
    [
      'its agent has enough grants',
      { identity: identity({ spec: { boundary: { maxActiveGrants: 2 } } }), activeBefore: 2 },
      'TooManyActiveGrants',
    ],
    ['nobody is stamped as its author', { grant: grant({ stamps: undefined }) }, 'StampsMissing'],
    ['its creator lacks a right', { authorsLack: { creator: ['get pods'], requester: [] } }, 'CreatorLacksPermission'],
    [
      'its last author lacks a right',
      { authorsLack: { creator: [], requester: ['get pods'] } },
      'RequesterLacksPermission',
    ],
    ['the namespace does not exist', { namespaces: new Map() }, 'NamespaceNotFound'],
    [
      'the namespace is being deleted',
      { namespaces: new Map([['team-a', namespace({ terminating: true })]]) },
      'NamespaceTerminating',
    ],
    [
      'the namespace is not enabled',
      { namespaces: new Map([['team-a', namespace({ ceiling: undefined })]]) },
      'NamespaceNotEnabled',
    ],
    [
      'the ceiling does not cover it',
      { namespaces: new Map([['team-a', namespace({ ceiling: [] })]]) },
      'ExceedsCeiling',
    ],
    [
      'its dead-man Job was refused',
      { refusal: { reason: 'DeadManRefused', what: 'a quota', remedy: 'raise it', retryAt: NOON + MINUTE } },
      'DeadManRefused',
    ],
    ['what it rests on may be out of date', { outOfStep: ['clusterroles: 403'] }, 'CheckFailed'],
    ['a guard is missing', { guardProblems: ['it is missing'] }, 'GuardsMissing'],
  ];
  for (const [what, change, reason] of waiting) {
    it(`waits as Pending when ${what}, and gives nothing`, () => {
      const verdict = decide(snapshot(change));
      expect(verdict.phase).to.equal('Pending');
      expect(verdict.reasons.map((finding) => finding.reason)).to.deep.equal([reason]);
      expect(verdict.access).to.deep.equal([]);
      // Stamps can't be given to a grant that is there; everything else may pass by what others do.
      expect(verdict.reasons[0]?.needsEdit ?? false).to.equal(reason === 'StampsMissing');
    });
  }

  it('needs the consent of another namespace, and none of its own', () => {
    const across = grant({ spec: { permissions: [{ ...readPods, namespaces: ['team-b'] }] } });
    const within = identity({ spec: { boundary: { namespaces: ['team-b'] } } });
    const of = (acceptsGrantsFrom: string[]) =>
      snapshot({
        grant: across,
        identity: within,
        namespaces: new Map([
          ['team-a', namespace()],
          ['team-b', namespace({ acceptsGrantsFrom })],
        ]),
      });
    expect(summary(of([]))).to.equal('Pending ConsentMissing');
    expect(summary(of(['team-c']))).to.equal('Pending ConsentMissing');
    expect(summary(of(['team-c', 'team-a']))).to.equal('Active Granted');
    const command = 'kubectl annotate --overwrite namespace team-b hallpass.dev/accepts-grants-from=';
    const [missing] = decide(of(['team-c', '$(reboot)'])).reasons;
    expect(missing?.message)
      .to.contain('the built-in role admin may not')
      .and.match(/=team-c,team-a$/);
    expect(missing?.message).to.contain(command);
  });

  it('says everything that stands against it, in the order of the gates', () => {
    const asked = grant({ spec: { permissions: [{ ...readPods, resources: ['pods', 'secrets'] }] } });
    const bounded = identity({ spec: { boundary: { maxGrantDuration: '1m' } } });
    expect(reasons(snapshot({ grant: asked, identity: bounded, guardProblems: ['gone'] }))).to.deep.equal([
      'DurationExceedsBoundary',
      'ExceedsCeiling',
      'GuardsMissing',
    ]);
  });

  for (const [apiGroups, resources] of [
    [['rbac.authorization.k8s.io'], ['roles']],
    [['hallpass.dev'], ['agentgrants']],
    [[''], ['serviceaccounts']],
    [[''], ['serviceaccounts/token']],
    [['*'], ['pods']],
    [[''], ['*']],
  ]) {
    it(`never gives ${resources} of group "${apiGroups}", even when ceiling and policies allow everything`, () => {
      const asked = grant({ spec: { permissions: [{ verbs: ['get'], apiGroups, resources }] } });
      const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
      const policies = [policy({ allow: [{ why: 'a test', ...everything }] })];
      const all = namespace({ ceiling: [everything], policies });
      const input = snapshot({ grant: asked, namespaces: new Map([['team-a', all]]) });
      expect(summary(input)).to.equal('Pending ForbiddenPermission');
      expect(decide(input).reasons[0]?.needsEdit).to.equal(true);
    });
  }

  it('waits as Scheduled until its beginning, when nothing else stands against it', () => {
    const later = grant({ spec: { validity: { notBefore: '2026-03-01T14:00:00Z', duration: '1h' } } });
    const verdict = decide(snapshot({ grant: later }));
    expect(verdict.phase).to.equal('Scheduled');
    expect(verdict.nextCheck).to.equal(at('14:00:00'));
    expect(decide(snapshot({ grant: later, now: at('14:00:00') })).term).to.deep.equal({
      start: at('14:00:00'),
      end: at('15:00:00'),
    });
    expect(summary(snapshot({ grant: later, identity: undefined }))).to.equal('Pending AgentNotFound NotYetStarted');
  });

  it('is born Expired when its end has passed', () => {
    const past = grant({ spec: { validity: { notAfter: '2026-03-01T12:00:00Z' } } });
    expect(summary(snapshot({ grant: past }))).to.equal('Expired EndPassed');
  });

  it('fits a boundary on time by itself when it has only an end', () => {
    const open = grant({ spec: { validity: { notAfter: '2026-03-01T14:00:00Z' } } });
    const bounded = identity({ spec: { boundary: { maxGrantDuration: '1h' } } });
    const verdict = decide(snapshot({ grant: open, identity: bounded }));
    expect(verdict.reasons[0]?.reason).to.equal('DurationExceedsBoundary');
    expect(verdict.nextCheck).to.equal(at('13:00:00'));
    expect(decide(snapshot({ grant: open, identity: bounded, now: at('13:00:00') })).phase).to.equal('Active');
  });

  it('lasts no longer than 2160h where its agent has no boundary, by an end in the distance least of all', () => {
    for (const notAfter of ['2026-05-30T12:00:01Z', '2320-01-01T00:00:00Z', '9999-12-31T23:59:59Z']) {
      const verdict = decide(snapshot({ grant: grant({ spec: { validity: { notAfter } } }) }));
      expect(verdict.phase, notAfter).to.equal('Pending');
      expect(verdict.reasons[0]?.reason).to.equal('DurationExceedsBoundary');
      expect(verdict.reasons[0]?.message).to.contain('longer than the 2160h that any grant may last');
    }
    const ninetyDays = grant({ spec: { validity: { notAfter: '2026-05-30T12:00:00Z' } } });
    expect(decide(snapshot({ grant: ninetyDays })).phase).to.equal('Active');
  });

  it('is Denied when it has waited for seven days, counted from its beginning if that comes later', () => {
    const old = NOON + PENDING_LIMIT;
    expect(summary(snapshot({ identity: undefined, now: old - 1 }))).to.equal('Pending AgentNotFound');
    expect(decide(snapshot({ identity: undefined })).nextCheck).to.equal(old);
    expect(summary(snapshot({ identity: undefined, now: old }))).to.equal('Denied PendingTooLong');
    const later = grant({ spec: { validity: { notBefore: '2026-03-09T12:00:00Z', duration: '1h' } } });
    expect(summary(snapshot({ grant: later, identity: undefined, now: old }))).to.equal(
      'Pending AgentNotFound NotYetStarted',
    );
  });

  it('waits for an edit when its spec can not be read', () => {
    const verdict = decide(snapshot({ grant: grant({ spec: { validity: {} } }) }));
    expect(verdict.phase).to.equal('Pending');
    expect(verdict.reasons).to.have.lengthOf(1);
    expect(verdict.reasons[0]).to.include({ reason: 'InvalidSpec', needsEdit: true });
  });
});

describe('the decision about a live grant', () => {
  it('keeps what was fixed at issue, whatever the time is', () => {
    const verdict = decide(live({ now: at('12:30:00') }));
    expect(verdict.phase).to.equal('Active');
    expect(verdict.term).to.deep.equal({ start: NOON, end: NOON + HOUR });
    expect(verdict.nextCheck).to.equal(NOON + HOUR);
  });

  it('is Expired from its end on, and not a millisecond before', () => {
    expect(decide(live({ now: NOON + HOUR - 1 })).phase).to.equal('Active');
    expect(summary(live({ now: NOON + HOUR }))).to.equal('Expired EndPassed');
  });

  it('says so when its end was noted late, so that nobody takes it for access that lasted', () => {
    expect(decide(live({ now: NOON + HOUR + 1_000 })).reasons[0]?.message).to.equal('it ended at 2026-03-01T13:00:00Z');
    expect(decide(live({ now: NOON + HOUR + 14_000 })).reasons[0]?.message).to.equal(
      'it ended at 2026-03-01T13:00:00Z; hallpass was away and noted it at 2026-03-01T13:00:14Z',
    );
  });

  it('beyond a boundary that was narrowed waits for its end, not for a term that shrinks', () => {
    const bounded = identity({ spec: { boundary: { maxGrantDuration: '30m' } } });
    const open = grant({ spec: { validity: { notAfter: '2026-03-01T13:00:00Z' } } });
    const verdict = decide(
      snapshot({ grant: open, receipt: receipt(open), identity: bounded, now: at('12:45:00'), intact: true }),
    );
    expect(verdict.reasons[0]?.reason).to.equal('DurationExceedsBoundary');
    expect(verdict.nextCheck).to.equal(at('13:00:00'));
  });

  const suspending: [string, Partial<Snapshot>, string][] = [
    [
      'the boundary is narrowed',
      { identity: identity({ spec: { boundary: { maxGrantDuration: '30m' } } }) },
      'DurationExceedsBoundary',
    ],
    [
      'older grants fill the boundary',
      { identity: identity({ spec: { boundary: { maxActiveGrants: 1 } } }), activeBefore: 1 },
      'TooManyActiveGrants',
    ],
    ['the namespace goes', { namespaces: new Map() }, 'NamespaceNotFound'],
    [
      'the namespace is no longer enabled',
      { namespaces: new Map([['team-a', namespace({ ceiling: undefined })]]) },
      'NamespaceNotEnabled',
    ],
    ['the ceiling is lowered', { namespaces: new Map([['team-a', namespace({ ceiling: [] })]]) }, 'ExceedsCeiling'],
    [
      'what gives it must be put back while a guard is missing',
      { intact: false, guardProblems: ['gone'] },
      'GuardsMissing',
    ],
  ];
  for (const [what, change, reason] of suspending) {
    it(`is Suspended at once, and holds nothing, when ${what}`, () => {
      const verdict = decide(live(change));
      expect([verdict.phase, verdict.reasons[0]?.reason]).to.deep.equal(['Suspended', reason]);
      expect(verdict.access).to.deep.equal([]);
    });
  }

  it('goes on while a guard is missing, as long as nothing has to be put back', () => {
    expect(decide(live({ guardProblems: ['gone'] })).phase).to.equal('Active');
  });

  const ending: [string, Partial<Snapshot>, string][] = [
    ['its agent is gone', { identity: undefined }, 'AgentDeleted'],
    [
      'its agent is being deleted',
      { identity: identity({ metadata: { deletionTimestamp: '2026-03-01T12:00:00Z' } }) },
      'AgentDeleted',
    ],
    ['its agent was made anew', { identity: identity({ metadata: { uid: 'another' } }) }, 'AgentDeleted'],
    ['its agent expires', { identity: identity({ spec: { expiresAt: '2026-03-01T12:00:00Z' } }) }, 'AgentExpired'],
  ];
  for (const [what, change, reason] of ending) {
    it(`is Expired for good when ${what}`, () => expect(summary(live(change))).to.equal(`Expired ${reason}`));
  }

  it('looks again when its agent will expire', () => {
    const ends = identity({ spec: { expiresAt: '2026-03-01T12:20:00Z' } });
    expect(decide(live({ identity: ends })).nextCheck).to.equal(at('12:20:00'));
  });

  it('is Revoked when it is deleted', () => {
    const deleted = grant({ metadata: { deletionTimestamp: '2026-03-01T12:10:00Z' } });
    expect(summary(live({ grant: deleted }))).to.equal('Revoked EndedByDeletion');
  });

  it('is Revoked when its receipt is gone', () => {
    expect(summary(live({ receipt: undefined }))).to.equal('Revoked ReceiptDeleted');
  });

  it('is Revoked when the namespace of its receipt is going, and nothing new is granted', () => {
    expect(summary(live({ recordsGoing: true }))).to.equal('Revoked ReceiptDeleted');
    expect(summary(snapshot({ recordsGoing: true }))).to.equal('Pending NamespaceTerminating');
  });

  it('is Suspended when its stored spec can not be read any more', () => {
    const bad = grant({ spec: { validity: {} } });
    const input = live({
      grant: grant({ spec: { validity: {} }, status: { phase: 'Active' } }),
      receipt: receipt(bad),
    });
    expect(summary(input)).to.equal('Suspended InvalidSpec');
  });
});

describe('what may have been given', () => {
  const closed = { namespaces: new Map() };
  const given = (input: Snapshot) => {
    const { phase, given, term } = decide({ ...input, ...closed });
    expect(phase).to.equal(given ? 'Suspended' : 'Pending');
    return given && term?.end === NOON + HOUR;
  };

  it('is what the status announced, although hallpass died before it said Active', () => {
    expect(given(live({ grantStatus: { phase: 'Pending' } }))).to.equal(true);
  });

  it('is nothing while the status of the same request names no start', () => {
    expect(given(live({ grantStatus: { phase: 'Pending', startTime: undefined } }))).to.equal(false);
    expect(given(snapshot())).to.equal(false);
  });

  it('is all that the receipt says, where the status was wiped or speaks of another spec', () => {
    expect(given(live({ grant: grant() }))).to.equal(true);
    const other = grant({ status: { phase: 'Pending', specHash: 'v1-of-another-spec' } });
    expect(given(live({ grant: other }))).to.equal(true);
  });

  it('keeps its end when the status was wiped, and asks nobody again', () => {
    const verdict = decide(live({ grant: grant(), now: NOON + 10 * MINUTE }));
    expect([verdict.phase, verdict.askAuthors, verdict.term?.end]).to.deep.equal(['Active', false, NOON + HOUR]);
  });
});

describe('the decision about a suspended grant', () => {
  const suspended = (o: Partial<Snapshot> & { passingSince?: string } = {}) =>
    live({ ...o, intact: false, grantStatus: { phase: 'Suspended', passingSince: o.passingSince } });

  it('gives access back only when every gate has passed for 30 seconds', () => {
    const first = decide(suspended());
    expect([first.phase, first.reasons[0]?.reason]).to.deep.equal(['Suspended', 'Restoring']);
    expect(first.passingSince).to.equal(NOON);
    expect(first.nextCheck).to.equal(NOON + RESTORE_DELAY);
    const since = '2026-03-01T12:00:00Z';
    expect(decide(suspended({ passingSince: since, now: NOON + RESTORE_DELAY - 1 })).phase).to.equal('Suspended');
    expect(decide(suspended({ passingSince: since, now: NOON + RESTORE_DELAY })).phase).to.equal('Active');
  });

  it('counts as suspended from when its bindings went, though its status does not say so yet', () => {
    const { phase, reasons, passingSince } = decide(live({ intact: false, withdrawn: true }));
    expect([phase, reasons[0]?.reason, passingSince]).to.deep.equal(['Suspended', 'Restoring', NOON]);
  });

  it('stays suspended while what would end its access is refused, and looks again when that is tried again', () => {
    const refusal = {
      reason: 'DeadManRefused' as const,
      what: 'exceeded quota',
      remedy: 'raise it',
      retryAt: NOON + MINUTE,
    };
    const verdict = decide(suspended({ refusal, passingSince: '2026-03-01T11:59:00Z' }));
    expect(verdict.phase).to.equal('Suspended');
    expect(verdict.reasons.map(({ reason }) => reason)).to.deep.equal(['DeadManRefused']);
    expect(verdict.nextCheck).to.equal(NOON + MINUTE);
  });

  it('starts counting anew when a gate fails in between', () => {
    const verdict = decide(suspended({ passingSince: '2026-03-01T12:00:00Z', namespaces: new Map() }));
    expect(verdict.passingSince).to.equal(undefined);
  });

  it('ends on time all the same, and never later', () => {
    expect(summary(suspended({ now: NOON + HOUR }))).to.equal('Expired EndPassed');
    expect(decide(suspended()).term?.end).to.equal(NOON + HOUR);
  });
});

describe('the decision about a request that was used', () => {
  const used = (o: Parameters<typeof receipt>[1] = {}) => receipt(grant(), o);
  const another = { grant: { namespace: 'team-a', name: 'incident', uid: 'an-earlier-uid' } };

  for (const phase of ['Expired', 'Revoked', 'Denied']) {
    it(`stays ${phase} by its tombstone, with the reasons that it has`, () => {
      const status = { phase, specHash: grant().hash, reasons: [{ reason: 'AgentExpired', message: 'it expired' }] };
      expect(summary(snapshot({ grant: grant({ status }) }))).to.equal(`${phase} AgentExpired`);
    });
  }

  it('no more says of access that is gone since that it remains', () => {
    const reasons = ['EndPassed', 'AccessRemains'].map((reason) => ({ reason, message: reason }));
    const status = { phase: 'Expired', specHash: grant().hash, reasons };
    expect(summary(snapshot({ grant: grant({ status }) }))).to.equal('Expired EndPassed');
  });

  it('is Denied when a grant deleted before it has used it, ended or not', () => {
    expect(summary(snapshot({ receipt: used({ spec: another }) }))).to.equal('Denied RequestAlreadyUsed');
    const ended = used({ spec: another, status: { outcome: 'Revoked', endedAt: '2026-03-01T11:00:00Z' } });
    expect(summary(snapshot({ receipt: ended }))).to.equal('Denied RequestAlreadyUsed');
    expect(decide(snapshot({ receipt: ended })).reasons[0]?.message).to.include('spec.task.ref');
  });

  it('takes its end from the receipt when hallpass died before it wrote the tombstone', () => {
    const ended = used({ status: { outcome: 'Revoked', endedAt: '2026-03-01T12:10:00Z', reason: 'EndedByDeletion' } });
    const active = grant({ status: { phase: 'Active', specHash: grant().hash } });
    expect(summary(snapshot({ grant: active, receipt: ended }))).to.equal('Revoked EndedByDeletion');
  });

  it('is over by its receipt, too, when its status was wiped', () => {
    for (const outcome of ['Expired', 'Revoked']) {
      const ended = used({ status: { outcome, endedAt: '2026-03-01T12:10:00Z', reason: 'AgentDeleted' } });
      expect(summary(snapshot({ receipt: ended }))).to.equal(`${outcome} AgentDeleted`);
    }
  });

  it('is Denied when a spec is edited back to what was used before', () => {
    const status = { phase: 'Active', specHash: 'v1-of-the-spec-between' };
    const superseded = used({ status: { outcome: 'Superseded', endedAt: '2026-03-01T12:10:00Z' } });
    expect(summary(snapshot({ grant: grant({ status }), receipt: superseded }))).to.equal('Denied RequestAlreadyUsed');
  });

  it('is a new request under a new reference, not under a new description', () => {
    const told = grant({ spec: { task: { description: 'told in other words' } } });
    expect(told.hash).to.equal(grant().hash);
    expect(grant({ spec: { task: { description: 'again', ref: 'INC-2' } } }).hash).to.not.equal(grant().hash);
  });
});

describe('the decision about a changed spec', () => {
  const before = grant({ spec: { permissions: [{ ...readPods, resources: ['pods', 'configmaps'] }] } });
  const held = receipt(before, {
    spec: { access: [{ namespace: 'team-a', rules: [{ ...readPods, resources: ['pods', 'configmaps'] }] }] },
  });
  const status = { phase: 'Active', specHash: before.hash, startTime: '2026-03-01T12:00:00Z' };
  const changed = (spec: Record<string, unknown>, o: Partial<Snapshot> = {}) =>
    snapshot({ grant: grant({ spec, status }), superseded: [held], now: at('12:30:00'), authorsLack: undefined, ...o });

  it('takes effect at once and keeps the start when it only narrows', () => {
    const verdict = decide(changed({}));
    expect([verdict.phase, verdict.narrows, verdict.askAuthors]).to.deep.equal(['Active', true, false]);
    expect(verdict.term).to.deep.equal({ start: NOON, end: NOON + HOUR });
  });

  it('moves the end forward when it narrows the time, counted from the start', () => {
    const verdict = decide(changed({ validity: { duration: '45m' } }));
    expect([verdict.narrows, verdict.term?.end]).to.deep.equal([true, at('12:45:00')]);
  });

  it('is over at once when the narrowed end has passed', () => {
    expect(summary(changed({ validity: { duration: '20m' } }))).to.equal('Expired EndPassed');
  });

  const widening: [string, Record<string, unknown>, Partial<Snapshot>?][] = [
    ['a verb', { permissions: [{ ...readPods, verbs: ['get', 'list', 'watch'] }] }],
    ['a namespace', { permissions: [{ ...readPods, namespaces: ['team-a', 'team-b'] }] }],
    ['time', { validity: { duration: '61m' } }],
    ['a later beginning', { validity: { notBefore: '2026-03-01T12:40:00Z', notAfter: '2026-03-01T12:50:00Z' } }],
    ['a new reference', { task: { description: 'again', ref: 'INC-2' } }],
    ['another agent', { agent: 'deployer' }],
  ];
  for (const [what, spec] of widening) {
    it(`is a new request with a new start when it adds ${what}`, () => {
      const verdict = decide(changed(spec));
      expect(verdict.narrows).to.equal(false);
      expect(verdict.access).to.deep.equal([]);
    });
  }

  it('is no narrowing of what a deleted agent of the same name held', () => {
    expect(decide(changed({}, { identity: identity({ metadata: { uid: 'another' } }) })).narrows).to.equal(false);
  });

  it('is Suspended when it narrows and a gate fails', () => {
    expect(summary(changed({}, { namespaces: new Map() }))).to.equal('Suspended NamespaceNotFound');
  });
});
