import { expect } from 'chai';
import type { ParsedReview } from '../../../src/api/review.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, live, mayReview, namespace, policy, receipt, review, snapshot } from './snapshots.ts';

type Line = { why?: string; count?: number; groups?: string[] };

/** Where a policy wants these approvals. */
function wanting(...lines: Line[]): Pick<Snapshot, 'namespaces'> {
  const approvals = lines.map((line) => ({ why: 'two pairs of eyes', count: 1, ...line }));
  return { namespaces: new Map([['team-a', namespace({ policies: [policy({ approvals })] })]]) };
}

function by(username: string, o: Parameters<typeof review>[1] = {}): ParsedReview {
  return review(o.target ? grant() : grant(), {
    ...o,
    metadata: { name: `by-${username}`, uid: `by-${username}`, ...o.metadata },
    reviewer: { username, ...o.reviewer },
  });
}

/** The decision, when the API server says that everybody who reviewed may. */
function decided(reviews: ParsedReview[], o: Partial<Snapshot> = {}) {
  const reviewers = mayReview(...reviews.map(({ metadata }) => metadata.uid));
  return decide(snapshot({ ...wanting({}), reviews: { ofGrant: reviews, ofIdentity: [] }, reviewers, ...o }));
}

const account = 'system:serviceaccount:ci:bot';

describe('an approval that a policy wants', () => {
  it('is waited for by a grant in which all else is in order', () => {
    const { phase, reasons, access } = decided([]);
    expect([phase, access]).to.deep.equal(['AwaitingApproval', []]);
    expect(reasons.map(({ reason }) => reason)).to.deep.equal(['ApprovalMissing']);
    expect(reasons[0]?.message).to.equal(
      'it takes 1 approval (AgentPolicy guardrails, spec.approvals[0]: two pairs of eyes); a reviewer runs: kubectl hallpass approve -n team-a incident',
    );
  });

  it('lets the grant pass once it is given', () => {
    const { phase, approvals } = decided([by('rita')]);
    expect(phase).to.equal('Active');
    expect(approvals.map(({ reviewer }) => reviewer)).to.deep.equal(['rita']);
  });

  it('is not asked for while something else stands against the grant', () => {
    const { phase, reasons } = decided([], { identity: undefined });
    expect(phase).to.equal('Pending');
    expect(reasons.map(({ reason }) => reason)).to.deep.equal(['AgentNotFound', 'ApprovalMissing']);
  });

  it('is asked for only when its authors hold what they hand out', () => {
    expect(decided([], { authorsLack: undefined }).askAuthors).to.equal(true);
    const lacking = decided([by('rita')], { authorsLack: { creator: ['get pods'], requester: [] } });
    expect(lacking.phase).to.equal('Pending');
  });

  it('hangs on what the API server says of the reviewer, which is asked about those alone whose word may count', () => {
    const reviews = [by('rita'), by('jane'), by('old', { target: { generation: 7 } })];
    const { askReviewers, phase } = decided(reviews, { reviewers: undefined });
    expect(askReviewers.map(({ metadata }) => metadata.name)).to.deep.equal(['by-rita']);
    expect(phase).to.equal('AwaitingApproval');
  });

  const table: [string, ParsedReview, Partial<Snapshot>, string][] = [
    ['by the creator', by('jane'), {}, 'jane wrote what it is about'],
    [
      'by somebody who wrote an earlier spec',
      by('rita'),
      {
        grant: grant({
          stamps: { creator: { username: 'jane' }, requester: { username: 'jane' }, authors: ['jane', 'rita'] },
        }),
      },
      'rita wrote what it is about',
    ],
    [
      'of a grant that more people wrote than are told apart',
      by('rita'),
      {
        grant: grant({
          stamps: {
            creator: { username: 'jane' },
            requester: { username: 'jane' },
            authors: Array.from({ length: 32 }, (_, at) => `author-${at}`),
          },
        }),
      },
      'so many people wrote the grant',
    ],
    ['of a grant that had this name before', by('rita', { target: { uid: 'before' } }), {}, 'another grant'],
    ['of an earlier generation', by('rita', { target: { generation: 4 } }), {}, 'edited since'],
    ['of another request', by('rita', { target: { specHash: 'v1-other' } }), {}, 'edited since'],
    ['by a ServiceAccount', by(account), {}, 'which no AgentPolicy names as a reviewer'],
    ['by an agent', by('system:serviceaccount:team-a:hallpass-triage'), {}, 'agents review nothing'],
    [
      'by who may act as an author',
      by('rita'),
      { reviewers: new Map([['by-rita', { mayApprove: true, mayActAs: ['jane'], mayBe: [] }]]) },
      'rita may act as jane',
    ],
    [
      'by one as whom an author may act',
      by('rita'),
      { reviewers: new Map([['by-rita', { mayApprove: true, mayActAs: [], mayBe: ['jane'] }]]) },
      'jane, who wrote what it is about, may act as rita',
    ],
    [
      'by who may not review any more',
      by('rita'),
      { reviewers: new Map([['by-rita', { mayApprove: false, mayActAs: [], mayBe: [] }]]) },
      'does not hold the verb approve',
    ],
  ];
  for (const [what, made, o, because] of table) {
    it(`does not count when made ${what}, and the grant says so`, () => {
      const { phase, reasons, approvals } = decided([made], o);
      expect([phase, approvals]).to.deep.equal(['AwaitingApproval', []]);
      expect(reasons[0]?.message).to.contain(`${made.metadata.name}: `).and.to.contain(because);
    });
  }

  it('counts from a ServiceAccount that a policy names', () => {
    const reviewers = { serviceAccounts: [{ namespace: 'ci', name: 'bot' }] };
    const policies = [policy({ approvals: [{ why: 'eyes', count: 1 }], reviewers })];
    const namespaces = new Map([['team-a', namespace({ policies })]]);
    expect(decided([by(account)], { namespaces }).phase).to.equal('Active');
  });

  it('is wanted from as many different people as the line says', () => {
    const twice = [by('rita'), by('rita', { metadata: { name: 'again', uid: 'again' } })];
    const two = wanting({ count: 2 });
    expect(decided(twice, two).phase).to.equal('AwaitingApproval');
    expect(decided([by('rita'), by('rob')], two).phase).to.equal('Active');
  });

  it('is wanted from people of the groups that the line names, by their groups when they reviewed', () => {
    const security = wanting({ groups: ['security', 'audit'] });
    expect(decided([by('rita')], security).phase).to.equal('AwaitingApproval');
    expect(decided([by('rita', { reviewer: { groups: ['sre', 'audit'] } })], security).phase).to.equal('Active');
  });

  it('is wanted by every line of every policy, for several of which one person can count', () => {
    const lines = wanting({}, { groups: ['security'] });
    const { reasons } = decided([by('rita')], lines);
    expect(reasons.map(({ message }) => message.split(' (')[0])).to.deep.equal([
      'it takes 1 approval by people of group security',
    ]);
    expect(decided([by('rita', { reviewer: { groups: ['security'] } })], lines).phase).to.equal('Active');
  });

  it('is only told of where the policy only warns', () => {
    const policies = [policy(), policy({ approvals: [{ why: 'eyes', count: 1 }], enforcement: 'Warn' }, 'warns')];
    const { phase, warnings } = decided([], { namespaces: new Map([['team-a', namespace({ policies })]]) });
    expect(phase).to.equal('Active');
    expect(warnings.map(({ reason }) => reason)).to.deep.equal(['ApprovalMissing']);
  });
});

describe('an approval that a live grant began with', () => {
  const approvals = [{ review: 'by-rita', uid: 'by-rita', reviewer: 'rita', specHash: grant().hash }];
  const approved = (o: Parameters<typeof live>[0] = {}) =>
    live({ ...wanting({}), reviews: { ofGrant: [by('rita')], ofIdentity: [] }, grantStatus: { approvals }, ...o });

  it('goes on to count without anybody being asked', () => {
    const { phase, askReviewers, approvals: counting } = decide(approved());
    expect([phase, askReviewers]).to.deep.equal(['Active', []]);
    expect(counting).to.deep.equal(approvals);
  });

  it('suspends it when the review is deleted', () => {
    const { phase, reasons } = decide(approved({ reviews: { ofGrant: [], ofIdentity: [] } }));
    expect([phase, reasons[0]?.reason]).to.deep.equal(['Suspended', 'ApprovalMissing']);
  });

  it('covers a narrower spec, and no other', () => {
    const status = { phase: 'Active', specHash: grant().hash, startTime: '2026-03-01T12:00:00Z', approvals };
    const narrowed = grant({ spec: { validity: { duration: '30m' } }, metadata: { generation: 2 }, status });
    const widened = grant({ spec: { validity: { duration: '2h' } }, metadata: { generation: 2 }, status });
    const of = (changed: typeof narrowed) =>
      decide(
        snapshot({
          ...wanting({}),
          grant: changed,
          superseded: [receipt(grant())],
          reviews: { ofGrant: [by('rita')], ofIdentity: [] },
          reviewers: mayReview('by-rita'),
        }),
      );
    expect([of(narrowed).phase, of(narrowed).narrows]).to.deep.equal(['Active', true]);
    expect(of(widened).phase).to.equal('AwaitingApproval');
  });

  it('is joined by another when a policy comes to want more', () => {
    const two = wanting({ count: 2 });
    expect(decide(approved(two)).phase).to.equal('Suspended');
    const more = { ofGrant: [by('rita'), by('rob')], ofIdentity: [] };
    expect(decide(approved({ ...two, reviews: more })).askReviewers.map(({ metadata }) => metadata.name)).to.deep.equal(
      ['by-rob'],
    );
    expect(decide(approved({ ...two, reviews: more, reviewers: mayReview('by-rob') })).phase).to.equal('Active');
  });
});
