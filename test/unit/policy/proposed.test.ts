// What is said of a grant that was not made yet is what the one decision says of it, and what was taken for granted is said, too.

import { expect } from 'chai';
import { type Known, propose } from '../../../src/policy/proposed.ts';
import { grant, identity, NOON, policy, readPods } from './snapshots.ts';

const home = { labels: {}, annotations: {}, enabled: true };

function known(o: Partial<Known> = {}): Known {
  return {
    now: NOON,
    identity: identity({ status: { serviceAccount: undefined } }),
    namespaces: new Map([['team-a', home]]),
    policies: [policy()],
    ceiling: [readPods],
    activeGrants: 0,
    ...o,
  };
}

const reasonsOf = (o: Partial<Known>, of = grant({ stamps: undefined })) =>
  propose(of, known(o)).verdict.reasons.map(({ reason }) => reason);

describe('a grant that was not made yet', () => {
  it('would be granted where all is in order, its agent not having been seen by hallpass yet', () => {
    const { verdict, assumed } = propose(grant({ stamps: undefined }), known());
    expect(verdict.phase).to.equal('Active');
    expect(assumed).to.deep.equal([]);
  });

  it('is held against what is known', () => {
    const away = grant({ spec: { permissions: [{ ...readPods, namespaces: ['team-b'] }] } });
    const bounded = identity({ spec: { boundary: { maxGrantDuration: '30m', maxActiveGrants: 1 } } });
    expect(reasonsOf({ identity: bounded })).to.deep.equal(['DurationExceedsBoundary']);
    expect(reasonsOf({ identity: bounded, activeGrants: 1 })).to.include('TooManyActiveGrants');
    expect(reasonsOf({ policies: [] })).to.deep.equal(['NoPolicy']);
    expect(reasonsOf({ ceiling: [] })).to.deep.equal(['ExceedsCeiling']);
    expect(reasonsOf({ namespaces: new Map([['team-a', { ...home, enabled: false }]]) })).to.deep.equal([
      'NamespaceNotEnabled',
    ]);
    const both = new Map([
      ['team-a', home],
      ['team-b', home],
    ]);
    expect(reasonsOf({ namespaces: both }, away)).to.deep.equal(['OutsideBoundary', 'ConsentMissing']);
  });

  it('is taken to fulfil conditions, and to want approvals that hang on one, which is said', () => {
    const conditions = [{ name: 'so', why: 'a test', expression: 'grant.name == "x"' }];
    const approvals = [{ why: 'a test', count: 1, when: 'grant.name == "y"' }];
    const { verdict, assumed } = propose(grant(), known({ policies: [policy({ conditions })] }));
    expect(verdict.phase).to.equal('Active');
    expect(assumed).to.deep.equal([
      'expressions are not evaluated here: conditions are taken to be true, and approvals that hang on one to be wanted',
    ]);
    expect(reasonsOf({ policies: [policy({ approvals })] })).to.deep.equal(['ApprovalMissing']);
  });

  it('is held against every policy where it is for the whole cluster, whose enabling is taken for granted', () => {
    const everywhere = grant({ stamps: undefined, spec: { permissions: [{ ...readPods, scope: 'Cluster' }] } });
    const wide = identity({ spec: { boundary: { clusterScope: true } } });
    const line = { why: 'a test', scope: 'Cluster', ...readPods };
    const elsewhere = policy({ namespaceSelector: { matchLabels: { a: 'b' } }, freeze: { reason: 'x' } }, 'elsewhere');
    const allowing = policy({ allow: [line] });
    expect(reasonsOf({}, everywhere)).to.deep.equal(['OutsideBoundary', 'ClusterScopeRefused']);
    expect(reasonsOf({ identity: wide, policies: [allowing] }, everywhere)).to.deep.equal(['Granted']);
    expect(reasonsOf({ identity: wide, policies: [allowing, elsewhere] }, everywhere)).to.deep.equal(['Frozen']);
    expect(reasonsOf({ identity: wide, policies: undefined }, everywhere)).to.deep.equal(['Granted']);
    const { assumed } = propose(everywhere, known({ identity: wide, policies: [allowing] }));
    expect(assumed.join()).to.contain('deploy/cluster-scope');
  });

  it('goes by the labels of a namespace, whose name no label can forge', () => {
    const frozen = (selector: object) =>
      policy({ namespaceSelector: { matchLabels: selector }, freeze: { reason: 'a test' } }, 'frozen');
    const forged = new Map([['team-a', { ...home, labels: { 'kubernetes.io/metadata.name': 'other', tier: 'prod' } }]]);
    const by = (selector: object) => reasonsOf({ namespaces: forged, policies: [policy(), frozen(selector)] });
    expect(by({ tier: 'prod' })).to.deep.equal(['Frozen']);
    expect(by({ 'kubernetes.io/metadata.name': 'team-a' })).to.deep.equal(['Frozen']);
    expect(by({ 'kubernetes.io/metadata.name': 'other' })).to.deep.equal(['Granted']);
  });

  it('is taken to be in order by what is not known, each of which is said', () => {
    const nothing = { identity: undefined, policies: undefined, ceiling: undefined, namespaces: new Map() };
    const { verdict, assumed } = propose(grant({ stamps: undefined }), known(nothing));
    expect(verdict.phase).to.equal('Active');
    for (const what of [
      'AgentIdentity team-a/triage',
      'AgentPolicies',
      'hallpass-grantable',
      'namespace team-a',
      'deploy/namespace',
    ]) {
      expect(assumed.join('\n')).to.contain(what);
    }
    expect(assumed).to.have.length(5);
  });
});
