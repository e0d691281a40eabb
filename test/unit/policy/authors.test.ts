import { expect } from 'chai';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import { holdersOf, requesterCheck, subjectKeysOfHolder } from '../../../src/policy/authors.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, identity, live, mayReview, namespace, policy, review, snapshot } from './snapshots.ts';

const argo = {
  username: 'system:serviceaccount:argocd:argo',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:argocd', 'system:authenticated'],
};
const jane = { username: 'jane', groups: ['team-a'] };
const account = { kind: 'ServiceAccount', namespace: 'argocd', name: 'argo' };
const pipeline = { subjects: [account], ownerGroups: ['team-a', 'team-b'] };

const under = (...policies: ParsedPolicy[]) => ({ namespaces: new Map([['team-a', namespace({ policies })]]) });
const by = (creator: object, requester = creator, o: Parameters<typeof grant>[0] = {}) =>
  grant({ ...o, stamps: { creator, requester } });
const reasonsOf = (of: Snapshot) => decide(of).reasons.map(({ reason }) => reason);
const lack = { creator: ['get pods in namespace team-a'], requester: [] };

describe('the check of those who wrote a grant', () => {
  const table: [string, (string | undefined)[], string][] = [
    ['is continuous where no policy says otherwise', [undefined], 'Continuous'],
    ['is what the one policy says', ['AtIssue'], 'AtIssue'],
    ['is left out only where every policy says so', ['Off', 'Off'], 'Off'],
    ['is the strictest of several', ['Off', 'AtIssue'], 'AtIssue'],
    ['is continuous where one policy says nothing', ['Off', undefined], 'Continuous'],
    ['is continuous without any policy', [], 'Continuous'],
  ];
  for (const [what, said, expected] of table) {
    it(what, () => {
      const policies = said.map((check, at) => policy(check ? { requesterCheck: check } : {}, `policy-${at}`));
      expect(requesterCheck({ ...under(...policies), cluster: undefined })).to.equal(expected);
    });
  }

  it('is the strictest of the policies of every namespace that the grant reaches into', () => {
    const namespaces = new Map([
      ['team-a', namespace({ policies: [policy({ requesterCheck: 'Off' })] })],
      ['team-b', namespace({ policies: [policy({ requesterCheck: 'AtIssue' }, 'other')] })],
    ]);
    expect(requesterCheck({ namespaces, cluster: undefined })).to.equal('AtIssue');
  });

  it('is the strictest of all policies where the grant reaches the whole cluster', () => {
    const relaxed = policy({ requesterCheck: 'Off' });
    const namespaces = new Map([['team-a', namespace({ policies: [relaxed] })]]);
    const elsewhere = policy({ namespaceSelector: { matchLabels: { team: 'b' } } }, 'elsewhere');
    const cluster = { ceiling: [], policies: [relaxed, elsewhere], namespaces: new Map() };
    expect(requesterCheck({ namespaces, cluster })).to.equal('Continuous');
    expect(requesterCheck({ namespaces, cluster: undefined })).to.equal('Off');
  });

  it('is not loosened by a policy that only warns, and is continuous where one cannot be read', () => {
    expect(
      requesterCheck({ ...under(policy({ requesterCheck: 'Off', enforcement: 'Warn' })), cluster: undefined }),
    ).to.equal('Continuous');
    const { spec: _, ...unreadable } = policy({}, 'unreadable');
    expect(requesterCheck({ ...under(policy({ requesterCheck: 'Off' }), unreadable), cluster: undefined })).to.equal(
      'Continuous',
    );
  });

  it('asks before access begins, whatever RBAC is known to give', () => {
    expect(decide(snapshot({ authorsLack: undefined, authorsCovered: true })).askAuthors).to.equal(true);
    expect(decide(snapshot({ authorsLack: undefined, ...under(policy({ requesterCheck: 'Off' })) })).phase).to.equal(
      'Active',
    );
  });

  it('asks nothing about a live grant while RBAC gives its authors all', () => {
    const { phase, askAuthors } = decide(live({ authorsCovered: true }));
    expect([phase, askAuthors]).to.deep.equal(['Active', false]);
  });

  it('asks before a live grant is taken back for what RBAC does not give, and holds it back until it is answered', () => {
    const unasked = decide(live({ authorsCovered: false }));
    expect([unasked.phase, unasked.askAuthors, unasked.given]).to.deep.equal(['Suspended', true, true]);
    expect(decide(live({ authorsCovered: false, authorsLack: lack })).phase).to.equal('Suspended');
    expect(reasonsOf(live({ authorsCovered: false, authorsLack: lack }))).to.deep.equal(['CreatorLacksPermission']);
    const held = live({ authorsCovered: false, authorsLack: { creator: [], requester: [] } });
    expect(decide(held).phase).to.equal('Active');
  });

  it('lets a live grant go on that needs it at issue only, or never', () => {
    for (const check of ['AtIssue', 'Off']) {
      const { phase, askAuthors } = decide(
        live({ authorsCovered: false, authorsLack: undefined, ...under(policy({ requesterCheck: check })) }),
      );
      expect([phase, askAuthors]).to.deep.equal(['Active', false]);
    }
  });

  it('goes by the keys under which bindings name somebody', () => {
    expect(subjectKeysOfHolder(argo)).to.deep.equal([
      'User system:serviceaccount:argocd:argo',
      'ServiceAccount argocd/argo',
      'Group system:serviceaccounts',
      'Group system:serviceaccounts:argocd',
      'Group system:authenticated',
    ]);
    expect(subjectKeysOfHolder({ groups: ['team-a'] })).to.deep.equal(['Group team-a']);
  });
});

describe('a grant that a pipeline wrote', () => {
  const written = (o: Partial<Snapshot> = {}, spec: object = {}) =>
    snapshot({ grant: by(argo), ...under(policy({ pipelines: [{ ...pipeline, ...spec }] })), ...o });
  const waived = { review: 'Waived' };

  it('rests on the group that owns the agent, by itself', () => {
    expect(holdersOf(written())).to.deep.equal({ creator: { groups: ['team-a'] }, requester: { groups: ['team-a'] } });
  });

  it('rests on each author by its own rule', () => {
    const mixed = written({ grant: by(argo, jane) });
    expect(holdersOf(mixed)).to.deep.equal({ creator: { groups: ['team-a'] }, requester: jane });
    expect(holdersOf(written({ grant: by(jane, argo) }))).to.deep.equal({
      creator: jane,
      requester: { groups: ['team-a'] },
    });
  });

  it('says who lacks what, and for whom they answer', () => {
    const { phase, reasons } = decide(written({ authorsLack: lack }, waived));
    expect(phase).to.equal('Pending');
    expect(reasons[0]?.message).to.equal(
      "the owner of its agent, Group team-a, which answers for its creator, system:serviceaccount:argocd:argo, may not do everything that this hands out (get pods in namespace team-a); nobody can hand out what they don't hold; ask for less, or have a cluster admin give them the rest",
    );
  });

  it('waits for one person to approve it, of whom one is enough for both authors', () => {
    const { phase, reasons } = decide(written());
    expect(phase).to.equal('AwaitingApproval');
    expect(reasons.map(({ message }) => message)).to.deep.equal([
      'it takes 1 approval by a person (AgentPolicy guardrails, spec.pipelines[0]: system:serviceaccount:argocd:argo wrote it, a pipeline); a reviewer runs: kubectl hallpass approve -n team-a incident',
    ]);
    const reviews = { ofGrant: [review(by(argo))], ofIdentity: [] };
    expect(decide(written({ reviews })).askReviewers).to.have.length(1);
    const approved = decide(written({ reviews, reviewers: mayReview('review-uid') }));
    expect(approved.phase).to.equal('Active');
    expect(approved.approvals.map(({ reviewer }) => reviewer)).to.deep.equal(['rita']);
  });

  it('is not approved by a ServiceAccount, be it named as a reviewer', () => {
    const reviewers = { serviceAccounts: [{ namespace: 'ci', name: 'bot' }] };
    const reviewer = { username: 'system:serviceaccount:ci:bot' };
    const input = written({
      ...under(policy({ pipelines: [pipeline], reviewers })),
      reviews: { ofGrant: [review(by(argo), { reviewer })], ofIdentity: [] },
      reviewers: mayReview('review-uid'),
    });
    expect(decide(input).phase).to.equal('AwaitingApproval');
  });

  it('is given without one where its policy waives it', () => {
    expect(decide(written({}, waived)).phase).to.equal('Active');
  });

  it('waits for one unless every entry waives it by which the owner answers', () => {
    const entries = (...pipelines: object[]) => decide(written(under(policy({ pipelines })))).phase;
    const others = { ...pipeline, ownerGroups: ['others'] };
    expect(entries({ ...pipeline, ...waived }, pipeline)).to.equal('AwaitingApproval');
    expect(entries({ ...pipeline, ...waived }, others)).to.equal('Active');
    expect(entries({ ...others, ...waived }, pipeline)).to.equal('AwaitingApproval');
  });

  const owners: [string, object][] = [
    ['a group that no entry lists', { kind: 'Group', name: 'strangers' }],
    ['a user who is called as a group that is listed', { kind: 'User', name: 'team-a' }],
  ];
  for (const [what, owner] of owners) {
    it(`is refused where the owner of the agent is ${what}`, () => {
      const input = written({ identity: identity({ spec: { owner } }) }, waived);
      expect(holdersOf(input).creator).to.equal(undefined);
      expect(reasonsOf(input)).to.deep.equal(['CreatorLacksPermission', 'RequesterLacksPermission']);
      expect(decide(input).reasons[0]?.message).to.contain(
        'is none of the groups that may answer for it (team-a; team-b)',
      );
    });
  }

  it('waits for a person also where nobody asks who holds what, whoever the owner is', () => {
    const owner = { kind: 'Group', name: 'strangers' };
    const unchecked = under(policy({ pipelines: [pipeline], requesterCheck: 'Off' }));
    const { phase, reasons } = decide(written({ ...unchecked, identity: identity({ spec: { owner } }) }));
    expect([phase, ...reasons.map(({ reason }) => reason)]).to.deep.equal(['AwaitingApproval', 'ApprovalMissing']);
  });

  it("is refused where the owner is one of Kubernetes' own groups, also when a stored policy lists it", () => {
    const owner = { kind: 'Group', name: 'system:masters' };
    const stored = policy({ pipelines: [pipeline] });
    const [line] = stored.spec?.pipelines ?? [];
    if (!stored.spec || !line) throw new Error('the policy has no pipeline');
    const spec = { ...stored.spec, pipelines: [{ ...line, ownerGroups: ['system:masters'] }] };
    const input = written({ identity: identity({ spec: { owner } }), ...under({ ...stored, spec }) });
    expect(reasonsOf(input)).to.include('CreatorLacksPermission');
    expect(policy({ pipelines: [{ ...pipeline, ownerGroups: ['system:masters'] }] }).invalid).to.contain(
      "a group that begins with system: is Kubernetes' own and owns no agent",
    );
  });

  it('is suspended when its agent gets an owner that may not answer, and when it comes to need an approval', () => {
    const given = (o: Partial<Snapshot>, spec: object = waived) => {
      const fresh = live();
      const { status } = fresh.grant;
      const of = by(argo, argo, { status });
      return live({ grant: of, ...under(policy({ pipelines: [{ ...pipeline, ...spec }] })), ...o });
    };
    expect(decide(given({})).phase).to.equal('Active');
    const owner = { kind: 'Group', name: 'strangers' };
    expect(decide(given({ identity: identity({ spec: { owner } }) })).phase).to.equal('Suspended');
    expect(decide(given({}, {})).phase).to.equal('Suspended');
  });

  it('is known by its user name, or by a group that it is in', () => {
    const named = (subject: object) =>
      holdersOf(written({}, { subjects: [subject] })).creator?.groups?.[0] === 'team-a';
    expect(named(account)).to.equal(true);
    expect(named({ kind: 'User', name: 'system:serviceaccount:argocd:argo' })).to.equal(true);
    expect(named({ kind: 'Group', name: 'system:serviceaccounts:argocd' })).to.equal(true);
    expect(named({ ...account, namespace: 'other' })).to.equal(false);
    expect(named({ kind: 'User', name: 'argo' })).to.equal(false);
    expect(named({ kind: 'Group', name: 'argocd' })).to.equal(false);
  });

  it('is one by the policies of its own namespace alone', () => {
    const namespaces = new Map([
      ['team-a', namespace()],
      ['team-b', namespace({ policies: [policy({ pipelines: [pipeline] }, 'of-b')] })],
    ]);
    expect(holdersOf(written({ namespaces })).creator).to.deep.equal(argo);
  });

  it('is only told of where the policy only warns', () => {
    const warns = policy({ pipelines: [pipeline], enforcement: 'Warn' }, 'warns');
    const { phase, warnings } = decide(written(under(policy(), warns)));
    expect(phase).to.equal('Active');
    expect(warnings.map(({ reason }) => reason)).to.deep.equal(['ApprovalMissing']);
    const owner = { kind: 'Group', name: 'strangers' };
    const strange = decide(written({ ...under(policy(), warns), identity: identity({ spec: { owner } }) }));
    expect(strange.phase).to.equal('Active');
    expect(strange.warnings.map(({ reason }) => reason)).to.include('CreatorLacksPermission');
  });
});
