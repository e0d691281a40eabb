import { expect } from 'chai';
import type { ParsedReview } from '../../../src/api/review.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { agentReview, grant, live, mayReview, review, snapshot } from './snapshots.ts';

const suspend = review(grant(), { spec: { decision: 'Suspend', comment: 'odd requests' } });
const later = { name: 'resume-1', uid: 'resume-uid', creationTimestamp: '2026-03-01T11:30:00Z' };
const resume = (o: Parameters<typeof review>[1] = {}) =>
  review(grant(), { ...o, spec: { decision: 'Resume' }, metadata: { ...later, ...o.metadata } });
const ofGrant = (...reviews: ParsedReview[]): Pick<Snapshot, 'reviews'> => ({
  reviews: { ofGrant: reviews, ofIdentity: [] },
});
const ofIdentity = (...reviews: ParsedReview[]): Pick<Snapshot, 'reviews'> => ({
  reviews: { ofGrant: [], ofIdentity: reviews },
});
const outcome = (of: Snapshot) => {
  const { phase, reasons } = decide(of);
  return [phase, reasons[0]?.reason];
};

describe('Suspend', () => {
  it('withdraws what the grant gives, and says who did it, why, and what lifts it', () => {
    const { phase, reasons } = decide(live(ofGrant(suspend)));
    expect(phase).to.equal('Suspended');
    expect(reasons[0]).to.deep.equal({
      gate: 'stops',
      reason: 'SuspendedByReview',
      remedy: 'a reviewer who did not write it lifts it by: kubectl hallpass resume -n team-a incident',
      by: ['Reviewer'],
      message:
        'rita suspended it ("odd requests", AgentReview review-1); a reviewer who did not write it lifts it by: kubectl hallpass resume -n team-a incident',
    });
  });

  it('keeps a grant from being given, also one that was created anew under its name', () => {
    const before = review(grant({ metadata: { uid: 'before', generation: 3 } }), { spec: { decision: 'Suspend' } });
    expect(outcome(snapshot(ofGrant(before)))).to.deep.equal(['Pending', 'SuspendedByReview']);
  });

  it('of an agent withdraws every grant of it, also when the identity was created anew', () => {
    const stopped = agentReview({ spec: { decision: 'Suspend' }, uid: 'before' });
    expect(outcome(live(ofIdentity(stopped)))).to.deep.equal(['Suspended', 'AgentSuspended']);
    expect(outcome(snapshot(ofIdentity(stopped)))).to.deep.equal(['Pending', 'AgentSuspended']);
  });

  it('may be made by the author: it takes away', () => {
    const own = review(grant(), { spec: { decision: 'Suspend' }, reviewer: { username: 'jane' } });
    expect(outcome(live(ofGrant(own)))).to.deep.equal(['Suspended', 'SuspendedByReview']);
  });

  it('is nothing when made by a ServiceAccount that no policy names', () => {
    const machine = review(grant(), {
      spec: { decision: 'Suspend' },
      reviewer: { username: 'system:serviceaccount:ci:bot' },
    });
    expect(decide(live(ofGrant(machine))).phase).to.equal('Active');
  });
});

describe('Resume', () => {
  it('lifts an earlier Suspend, once the API server has said that its reviewer may', () => {
    const reviews = ofGrant(suspend, resume());
    expect(decide(live(reviews)).askReviewers.map(({ metadata }) => metadata.name)).to.deep.equal(['resume-1']);
    expect(decide(live(reviews)).phase).to.equal('Suspended');
    expect(decide(live({ ...reviews, reviewers: mayReview('resume-uid') })).phase).to.equal('Active');
  });

  it('lifts that of an agent', () => {
    const stopped = agentReview({ spec: { decision: 'Suspend' } });
    const lifted = agentReview({ spec: { decision: 'Resume' }, metadata: later });
    expect(decide(live({ ...ofIdentity(stopped, lifted), reviewers: mayReview('resume-uid') })).phase).to.equal(
      'Active',
    );
  });

  const useless: [string, ParsedReview, string][] = [
    ['an earlier one', resume({ metadata: { creationTimestamp: '2026-03-01T10:00:00Z' } }), ''],
    [
      'one of the same second',
      resume({ metadata: { creationTimestamp: '2026-03-01T11:00:00Z' } }),
      'resume-1: it is not later than the suspension, make another',
    ],
    ["the author's", resume({ reviewer: { username: 'jane' } }), 'resume-1: jane wrote what it is about'],
    ['one of another grant that had the name', resume({ target: { uid: 'before' } }), 'another grant'],
    ['one of an earlier request', resume({ target: { specHash: 'v1-other' } }), 'edited since'],
  ];
  for (const [what, made, because] of useless) {
    it(`lifts nothing when it is ${what}`, () => {
      const { phase, askReviewers, reasons } = decide(live({ ...ofGrant(suspend, made), reviewers: undefined }));
      expect([phase, askReviewers]).to.deep.equal(['Suspended', []]);
      expect(reasons[0]?.message).to.contain(because);
      expect(decide(live({ ...ofGrant(suspend, made), reviewers: mayReview('resume-uid') })).phase).to.equal(
        'Suspended',
      );
    });
  }

  it('is undone by a Suspend after it', () => {
    const again = review(grant(), {
      spec: { decision: 'Suspend' },
      metadata: { name: 'again', uid: 'again', creationTimestamp: '2026-03-01T11:45:00Z' },
    });
    const reviewers = mayReview('resume-uid');
    expect(decide(live({ ...ofGrant(again, resume(), suspend), reviewers })).phase).to.equal('Suspended');
  });
});

describe('Revoke and Deny', () => {
  const deny = review(grant(), { spec: { decision: 'Deny', comment: 'too wide' } });
  const revoke = review(grant(), { spec: { decision: 'Revoke' } });

  it('end a live grant for good', () => {
    expect(outcome(live(ofGrant(revoke)))).to.deep.equal(['Revoked', 'RevokedByReview']);
    expect(outcome(live(ofGrant(deny)))).to.deep.equal(['Revoked', 'DeniedByReview']);
    expect(outcome(live(ofIdentity(agentReview({ spec: { decision: 'Revoke' } }))))).to.deep.equal([
      'Revoked',
      'RevokedByReview',
    ]);
  });

  it('end a request that gave nothing yet', () => {
    expect(outcome(snapshot(ofGrant(deny)))).to.deep.equal(['Denied', 'DeniedByReview']);
    expect(outcome(snapshot(ofGrant(revoke)))).to.deep.equal(['Revoked', 'RevokedByReview']);
  });

  it('hold for a grant that was created anew: Deny for the same request, Revoke for whatever it asks', () => {
    const anew = grant({ metadata: { uid: 'anew' } });
    const other = grant({ metadata: { uid: 'anew' }, spec: { task: { description: 'else', ref: 'INC-2' } } });
    expect(outcome(snapshot({ grant: anew, ...ofGrant(deny) }))).to.deep.equal(['Denied', 'DeniedByReview']);
    expect(decide(snapshot({ grant: other, ...ofGrant(deny) })).phase).to.equal('Active');
    expect(decide(snapshot({ grant: other, ...ofGrant(revoke) })).phase).to.equal('Revoked');
  });
});
