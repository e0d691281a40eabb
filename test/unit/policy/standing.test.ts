// Which bindings give an agent something that no grant gave.

import { expect } from 'chai';
import { standingAccess } from '../../../src/policy/standing.ts';

const agent = { namespace: 'team-a', name: 'triage' };
const view = { kind: 'ClusterRole', name: 'view' };

function binding(
  subject: { kind: string; name: string; namespace?: string },
  o: { name?: string; namespace?: string; labels?: Record<string, string> } = {},
) {
  return { metadata: { name: 'given', ...o }, roleRef: view, subjects: [subject] };
}

describe('standing access', () => {
  const found: [string, { kind: string; name: string; namespace?: string }][] = [
    ['its ServiceAccount', { kind: 'ServiceAccount', name: 'hallpass-triage', namespace: 'team-a' }],
    ['its user name', { kind: 'User', name: 'system:serviceaccount:team-a:hallpass-triage' }],
    ['all ServiceAccounts of its namespace', { kind: 'Group', name: 'system:serviceaccounts:team-a' }],
    ['all ServiceAccounts', { kind: 'Group', name: 'system:serviceaccounts' }],
    ['everybody', { kind: 'Group', name: 'system:authenticated' }],
  ];
  for (const [what, subject] of found) {
    it(`is what a binding gives to ${what}`, () => {
      expect(standingAccess(agent, [binding(subject, { namespace: 'team-b' })])).to.have.lengthOf(1);
    });
  }

  const others: [string, { kind: string; name: string; namespace?: string }][] = [
    ['the same name in another namespace', { kind: 'ServiceAccount', name: 'hallpass-triage', namespace: 'team-b' }],
    ['another agent', { kind: 'ServiceAccount', name: 'hallpass-deploy', namespace: 'team-a' }],
    ['a user of the same name', { kind: 'User', name: 'hallpass-triage' }],
    ["another namespace's accounts", { kind: 'Group', name: 'system:serviceaccounts:team-b' }],
  ];
  for (const [what, subject] of others) {
    it(`is not what a binding gives to ${what}`, () => {
      expect(standingAccess(agent, [binding(subject)])).to.deep.equal([]);
    });
  }

  it('leaves out what a grant gives, which has a reconciler of its own', () => {
    const uid = '0b7e5b43-8d2c-4f6e-9d0a-1c2d3e4f5a6b';
    const labels = { 'hallpass.dev/grant': uid };
    const everybody = { kind: 'Group', name: 'system:authenticated' };
    expect(standingAccess(agent, [binding(everybody, { name: `hallpass-${uid}`, labels })])).to.be.empty;
    expect(standingAccess(agent, [binding(everybody, { labels })]), 'by a copied label').to.have.lengthOf(1);
    const itself = { kind: 'ServiceAccount', name: 'hallpass-triage', namespace: 'team-a' };
    expect(standingAccess(agent, [binding(itself, { name: `hallpass-${uid}` })]), 'its label taken off').to.be.empty;
    expect(standingAccess(agent, [binding(everybody, { name: `hallpass-${uid}` })]), 'the name alone').to.have.lengthOf(
      1,
    );
  });

  it('leaves out what Kubernetes gives everybody, but not another role under that name', () => {
    const discovery = {
      metadata: { name: 'system:discovery' },
      roleRef: { kind: 'ClusterRole', name: 'system:discovery' },
      subjects: [{ kind: 'Group', name: 'system:authenticated' }],
    };
    expect(standingAccess(agent, [discovery])).to.be.empty;
    expect(
      standingAccess(agent, [{ ...discovery, roleRef: { kind: 'ClusterRole', name: 'cluster-admin' } }]),
    ).to.have.lengthOf(1);
    expect(
      standingAccess(agent, [{ ...discovery, metadata: { name: 'system:discovery', namespace: 'team-a' } }]),
    ).to.have.lengthOf(1);
  });

  it('names binding, role and subject, sorted', () => {
    const group = { kind: 'Group', name: 'system:authenticated' };
    const all = standingAccess(agent, [
      binding(group, { namespace: 'z' }),
      binding(group, { namespace: 'b' }),
      binding(group),
    ]);
    expect(all[0]).to.deep.equal({
      binding: 'ClusterRoleBinding',
      name: 'given',
      role: 'ClusterRole/view',
      subject: 'Group system:authenticated',
    });
    expect(all.map(({ namespace }) => namespace)).to.deep.equal([undefined, 'b', 'z']);
  });
});
