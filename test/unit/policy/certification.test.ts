// Recertification: whose word counts, when it is due, and what comes of it when it does not come.

import { expect } from 'chai';
import type { ParsedReview } from '../../../src/api/review.ts';
import { type Certified, judgeCertification, reviewStanding, reviewTimes } from '../../../src/policy/certification.ts';
import { decide } from '../../../src/policy/decide.ts';
import { agentReview, identity, live, MINUTE, NOON, policy, snapshot } from './snapshots.ts';

const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const created = '2026-03-01T11:00:00Z';

/** The identity `triage` of group team-a, made an hour before noon and to be certified so often. */
const agent = (o: { every?: string; status?: object; owner?: object; generation?: number } = {}) =>
  identity({
    metadata: { creationTimestamp: created, generation: o.generation ?? 1 },
    spec: { review: { every: o.every ?? '90m' }, ...(o.owner ? { owner: o.owner } : {}) },
    status: { ...o.status },
  });

/** A certification by somebody at a time of that morning. */
const certified = (by: string, o: { at?: string; groups?: string[]; uid?: string; target?: string } = {}) =>
  agentReview({
    spec: { decision: 'Certify', comment: 'still wanted' },
    metadata: { name: `by-${by}`, uid: o.uid ?? `${by}-uid`, creationTimestamp: `2026-03-01T${o.at ?? '11:30:00'}Z` },
    reviewer: { username: by, groups: o.groups ?? [] },
    ...(o.target ? { uid: o.target } : {}),
  });

const judge = (reviews: ParsedReview[], o: { of?: ReturnType<typeof identity>; may?: [string, boolean][] } = {}) =>
  judgeCertification({ identity: o.of ?? agent(), reviews, policies: [policy()], mayCertify: new Map(o.may) });

describe('the certification of an agent', () => {
  it('counts when its owner makes it: a member of the group, or the user, and nobody is asked', () => {
    const { certified: member, ask } = judge([certified('ann', { groups: ['team-a'] })]);
    expect(member).to.deep.equal({
      certifiedAt: '2026-03-01T11:30:00Z',
      certifiedBy: { review: 'by-ann', uid: 'ann-uid', reviewer: 'ann' },
    });
    expect(ask).to.deep.equal([]);
    const user = agent({ owner: { kind: 'User', name: 'bob' } });
    expect(judge([certified('bob')], { of: user }).certified.certifiedBy?.reviewer).to.equal('bob');
    const named = agent({ owner: { kind: 'User', name: 'team-a' } });
    expect(judge([certified('ann', { groups: ['team-a'] })], { of: named }).ask, 'a user of that name').to.have.length(
      1,
    );
  });

  it('counts of anybody else once the API server has said that they hold the verb certify', () => {
    const review = certified('rita');
    expect(judge([review]).ask.map(({ metadata }) => metadata.name)).to.deep.equal(['by-rita']);
    expect(judge([review]).certified).to.deep.equal({});
    expect(judge([review], { may: [['rita-uid', true]] }).certified.certifiedBy?.reviewer).to.equal('rita');
    const stranger = judge([review], { may: [['rita-uid', false]] });
    expect(stranger.certified).to.deep.equal({});
    expect(stranger.rejected[0]?.because).to.equal('rita is not its owner and does not hold the verb certify');
  });

  const useless: [string, ParsedReview, ReturnType<typeof identity>, string][] = [
    [
      'an agent, whatever it may do or own',
      certified('system:serviceaccount:team-a:hallpass-triage', { groups: ['team-a'] }),
      agent({ owner: { kind: 'User', name: 'system:serviceaccount:team-a:hallpass-triage' } }),
      'is an agent, and agents review nothing',
    ],
    [
      'a ServiceAccount that no policy names',
      certified('system:serviceaccount:ci:bot', { groups: ['team-a'] }),
      agent(),
      'which no AgentPolicy names as a reviewer',
    ],
    ['who looked at the identity of that name before', certified('ann', { target: 'before' }), agent(), 'another'],
    [
      'who looked at it before it was edited',
      certified('ann', { groups: ['team-a'] }),
      agent({ generation: 2 }),
      'edited since',
    ],
  ];
  for (const [who, review, of, why] of useless) {
    it(`never counts of ${who}`, () => {
      const { uid } = review.metadata;
      const { certified, ask, rejected } = judge([review], { of, may: [[uid, true]] });
      expect(certified).to.deep.equal({});
      expect(ask).to.deep.equal([]);
      expect(rejected[0]?.because).to.contain(why);
    });
  }

  it('is not given by a group of Kubernetes itself, in which everybody may be', () => {
    const of = agent({ owner: { kind: 'Group', name: 'system:authenticated' } });
    const review = certified('mallory', { groups: ['system:authenticated'] });
    expect(judge([review], { of }).ask, 'that is asked about').to.have.length(1);
    expect(judge([review], { of, may: [['mallory-uid', false]] }).certified).to.deep.equal({});
  });

  it('is the latest of several that count, in whatever order they come', () => {
    const [early, late] = [
      certified('ann', { at: '11:10:00', groups: ['team-a'] }),
      certified('amy', { at: '11:40:00', groups: ['team-a'] }),
    ];
    const forged = certified('mallory', { at: '11:50:00' });
    for (const reviews of [
      [early, forged, late],
      [late, early, forged],
    ]) {
      const { certified } = judge(reviews, { may: [['mallory-uid', false]] });
      expect(certified.certifiedBy?.reviewer).to.equal('amy');
    }
  });

  it('stays on record when the identity is edited or its maker has gone, and goes with its review', () => {
    const status = {
      certifiedAt: '2026-03-01T11:30:00Z',
      certifiedBy: { review: 'by-rita', uid: 'rita-uid', reviewer: 'rita' },
    };
    const edited = agent({ status, generation: 7 });
    expect(judge([certified('rita')], { of: edited, may: [['rita-uid', false]] }).certified).to.deep.equal(status);
    expect(judge([], { of: edited }).certified).to.deep.equal({});
  });

  it('counts, too, before one is wanted, so that an old identity can be certified first', () => {
    const of = identity({ metadata: { creationTimestamp: created, generation: 1 } });
    expect(judge([certified('ann', { groups: ['team-a'] })], { of }).certified.certifiedBy?.reviewer).to.equal('ann');
  });

  it('is due a period after the last one, or after the identity was made', () => {
    const of = (every: string, last: Certified = {}) => reviewTimes(agent({ every }), last);
    expect(of('90m')?.dueAt).to.equal(NOON + 30 * MINUTE);
    expect(of('90m', { certifiedAt: '2026-03-01T11:30:00Z' })?.dueAt).to.equal(NOON + HOUR);
    expect(reviewTimes(identity(), {})).to.equal(undefined);
    const manifest = identity({ spec: { review: { every: '90m' } } });
    expect(reviewTimes(manifest, {}), 'of what is not created yet').to.equal(undefined);
  });

  it('is called for in the last tenth of the period, a day before at least, and half of a short period at most', () => {
    const notice = (every: string) => {
      const times = reviewTimes(agent({ every }), {});
      return (times?.dueAt ?? 0) - (times?.remindAt ?? 0);
    };
    expect(notice('2160h')).to.equal(9 * DAY);
    expect(notice('168h')).to.equal(DAY);
    expect(notice('90m')).to.equal(45 * MINUTE);
  });

  it('tells where it stands, what helps and what does not count', () => {
    const of = agent();
    const standing = (now: number, reviews: ParsedReview[] = [], may: [string, boolean][] = []) =>
      reviewStanding(of, judge(reviews, { may }), now);
    expect(standing(NOON - 30 * MINUTE)).to.deep.equal({
      due: false,
      reason: 'ReviewNotDue',
      message: 'it was not certified since it was created; the next certification is due at 2026-03-01T12:30:00Z',
    });
    expect(standing(NOON)?.reason).to.equal('ReviewDueSoon');
    const overdue = standing(NOON + 30 * MINUTE, [certified('rita')], [['rita-uid', false]]);
    expect(overdue?.reason).to.equal('ReviewOverdue');
    expect(overdue?.message).to.contain(
      'its owner (Group team-a), or whoever holds the verb certify on it, runs: kubectl hallpass certify -n team-a agentidentity/triage',
    );
    expect(overdue?.message).to.contain('AgentReview by-rita: rita is not its owner');
    const renewed = standing(NOON, [certified('ann', { at: '11:50:00', groups: ['team-a'] })]);
    expect(renewed?.message).to.contain('ann certified it at 2026-03-01T11:50:00Z');
    expect(reviewStanding(identity(), judge([]), NOON)).to.equal(undefined);
  });
});

describe('a grant of an agent that is to be certified', () => {
  const due = NOON + 30 * MINUTE;
  const renewed = agent({
    status: {
      serviceAccount: { name: 'hallpass-triage', uid: 'account-uid' },
      certifiedAt: '2026-03-01T12:00:00Z',
      certifiedBy: { review: 'by-ann', uid: 'ann-uid', reviewer: 'ann' },
    },
  });
  const first = agent();

  it('is given until that is due, and looked at again right then', () => {
    expect(decide(snapshot({ identity: first })).phase).to.equal('Active');
    expect(decide(snapshot({ identity: first })).nextCheck).to.equal(due);
    expect(decide(live({ identity: first, now: due - 1 })).phase).to.equal('Active');
  });

  it('is suspended from the moment on that it is overdue, and says who can end that', () => {
    const { phase, reasons } = decide(live({ identity: first, now: due }));
    expect(phase).to.equal('Suspended');
    expect(reasons).to.deep.equal([
      {
        gate: 'certification',
        reason: 'ReviewOverdue',
        remedy:
          'access rests until its owner (Group team-a), or whoever holds the verb certify on it, runs: kubectl hallpass certify -n team-a agentidentity/triage',
        by: ['IdentityOwner', 'Certifier'],
        message:
          'AgentIdentity triage was to be certified by 2026-03-01T12:30:00Z (spec.review.every: 1h30m) and was not; access rests until its owner (Group team-a), or whoever holds the verb certify on it, runs: kubectl hallpass certify -n team-a agentidentity/triage',
      },
    ]);
    const { phase: asked, reasons: why } = decide(snapshot({ identity: first, now: due }));
    expect([asked, why[0]?.reason]).to.deep.equal(['Pending', 'ReviewOverdue']);
  });

  it('goes on once the agent is certified, with its old end', () => {
    const { phase, term } = decide(live({ identity: renewed, now: due }));
    expect(phase).to.equal('Active');
    expect(term?.end).to.equal(NOON + HOUR);
  });
});
