// Derived names: they fit, they can be read back, and no two causes share one.
import { expect } from 'chai';
import fc from 'fast-check';
import {
  acceptedNamespaces,
  copiedGrantUid,
  grantLabels,
  grantObjectName,
  grantUidOf,
  grantUidOfBinding,
  grantUidOfObject,
  identityLabels,
  NAME_LIMIT,
  OPERATOR_SERVICE_ACCOUNT,
  OPERATOR_USER,
  SYSTEM_NAMESPACE,
  serviceAccountName,
  serviceAccountUser,
} from '../../../src/api/names.ts';

const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/);
const LABEL_VALUE = /^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;

describe('derived names', () => {
  it('fit into 63 characters for every name that the API server accepts', () => {
    fc.assert(
      fc.property(name, fc.uuid(), (identity, uid) => {
        expect(identity.length).to.be.at.most(NAME_LIMIT);
        expect(serviceAccountName(identity)).to.match(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
        expect(grantObjectName(uid)).to.match(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
      }),
    );
  });

  it('lead back from the objects of a grant to its uid, and from nothing else', () => {
    fc.assert(
      fc.property(fc.uuid(), (uid) => {
        expect(grantUidOf(grantObjectName(uid))).to.equal(uid);
      }),
    );
    for (const other of ['hallpass', 'hallpass-', 'hallpass-grantable', 'hallpass-issuer', 'pods', 'x-hallpass-0']) {
      expect(grantUidOf(other), other).to.equal(undefined);
    }
  });

  it('belong to a grant only together with its label', () => {
    const uid = '0b7e5b43-8d2c-4f6e-9d0a-1c2d3e4f5a6b';
    const labels = { 'hallpass.dev/grant': uid };
    expect(grantUidOfObject({ name: `hallpass-${uid}`, labels })).to.equal(uid);
    expect(grantUidOfObject({ name: `hallpass-${uid}` })).to.equal(undefined);
    expect(grantUidOfObject({ name: 'given', labels })).to.equal(undefined);
    expect(grantUidOfObject({ name: 'hallpass-x', labels: { 'hallpass.dev/grant': 'x' } })).to.equal(undefined);
  });

  it('do not make a copied label an object’s own', () => {
    const uid = '0b7e5b43-8d2c-4f6e-9d0a-1c2d3e4f5a6b';
    const another = '5d1f0c7a-2b3e-4a5d-8c6b-7e8f9a0b1c2d';
    const labels = { 'hallpass.dev/grant': uid };
    expect(copiedGrantUid({ name: `hallpass-${uid}`, labels })).to.equal(undefined);
    expect(copiedGrantUid({ name: 'a-copy', labels })).to.equal(uid);
    expect(copiedGrantUid({ name: `hallpass-${another}`, labels })).to.equal(uid);
    expect(copiedGrantUid({ name: `hallpass-${uid}` })).to.equal(undefined);
    expect(copiedGrantUid({ name: 'a-copy' })).to.equal(undefined);
  });

  it('belong to a grant also without the label where a binding names an agent or binds the Role of its name', () => {
    const uid = '0b7e5b43-8d2c-4f6e-9d0a-1c2d3e4f5a6b';
    const name = `hallpass-${uid}`;
    const view = { kind: 'ClusterRole', name: 'view' };
    const of = (o: {
      name?: string;
      label?: string;
      roleRef?: typeof view;
      subject?: { kind: string; name: string };
    }) =>
      grantUidOfBinding({
        metadata: { name: o.name ?? name, labels: { 'hallpass.dev/grant': o.label ?? 'another' } },
        roleRef: o.roleRef ?? view,
        subjects: [{ kind: 'User', name: 'jane' }, o.subject ?? { kind: 'User', name: 'hallpass-triage' }],
      });
    expect(of({ label: uid })).to.equal(uid);
    expect(of({ subject: { kind: 'ServiceAccount', name: 'hallpass-triage' } })).to.equal(uid);
    expect(of({ subject: { kind: 'User', name: 'system:serviceaccount:demo:hallpass-triage' } })).to.equal(uid);
    expect(of({ roleRef: { kind: 'Role', name } })).to.equal(uid);
    expect(of({})).to.equal(undefined);
    expect(of({ roleRef: { kind: 'Role', name: 'other' } })).to.equal(undefined);
    expect(of({ subject: { kind: 'Group', name: 'system:serviceaccounts' } })).to.equal(undefined);
    expect(of({ name: 'given', roleRef: { kind: 'Role', name: 'given' } })).to.equal(undefined);
  });

  it('never give an agent the name of the operator', () => {
    fc.assert(
      fc.property(name, (identity) => {
        expect(serviceAccountName(identity)).to.not.equal(OPERATOR_SERVICE_ACCOUNT);
        expect(serviceAccountUser(SYSTEM_NAMESPACE, identity)).to.not.equal(OPERATOR_USER);
      }),
    );
  });

  it('are valid as label values', () => {
    fc.assert(
      fc.property(name, name, fc.uuid(), (namespace, grant, uid) => {
        const labels = { ...grantLabels({ namespace, name: grant, uid }), ...identityLabels(uid) };
        for (const value of Object.values(labels)) expect(value).to.match(LABEL_VALUE);
      }),
    );
  });

  it('of namespaces are read from a comma-separated annotation', () => {
    const accepts = (value: string) => acceptedNamespaces({ 'hallpass.dev/accepts-grants-from': value });
    expect(accepts('demo, team-a,,')).to.deep.equal(['demo', 'team-a']);
    expect(accepts('')).to.deep.equal([]);
    expect(acceptedNamespaces(undefined)).to.deep.equal([]);
  });
});
