// When a missing dead man breaks the invariants that verify checks.

import { expect } from 'chai';
import { type Everything, violations } from '../../../src/access/invariants.ts';
import { FINALIZER } from '../../../src/api/names.ts';
import { NOON, grant as parsed, readPods, receipt } from '../policy/snapshots.ts';

const uid = 'grant-uid';
const metadata = {
  namespace: 'team-a',
  name: `hallpass-${uid}`,
  uid: 'some-uid',
  resourceVersion: '1',
  labels: { 'hallpass.dev/grant': uid },
};
const role = { metadata, rules: [readPods] };
const binding = {
  metadata,
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
  subjects: [{ kind: 'ServiceAccount', namespace: 'team-a', name: 'hallpass-triage' }],
};

/** A grant that is Active with all that was given, but no dead man. */
function everything(o: { told: boolean; optional: boolean }): Everything {
  const at = { startTime: '2026-03-01T12:00:00Z', expiresAt: '2026-03-01T13:00:00Z' };
  const { hash } = parsed();
  const condition = {
    type: 'DeadMan',
    status: 'False',
    reason: 'DeadManLacking',
    message: 'a quota refuses it',
    lastTransitionTime: at.startTime,
  };
  const record = receipt(parsed());
  const grant = parsed({
    metadata: { finalizers: [FINALIZER] },
    status: {
      phase: 'Active',
      specHash: hash,
      receipt: record.metadata.name,
      ...at,
      conditions: o.told ? [condition] : [],
    },
  });
  return {
    grants: [grant],
    deadManOptional: new Set(o.optional ? [uid] : []),
    receipts: [record],
    identities: [],
    jobs: [],
    services: [],
    roles: [role],
    clusterRoles: [],
    roleBindings: [binding],
    clusterRoleBindings: [],
    serviceAccounts: [],
  };
}

describe('a dead man that is not there', () => {
  it('is no violation where the policies do without and the status says so', () => {
    expect(violations(everything({ told: true, optional: true }), NOON)).to.deep.equal([]);
  });

  it('is one where the status says so, and the policies do not do without', () => {
    const found = violations(everything({ told: true, optional: false }), NOON);
    expect(found).to.deep.equal(['Active grant team-a/incident lacks Job in team-a']);
  });

  it('is one where the policies would do without, and the status does not say so', () => {
    const found = violations(everything({ told: false, optional: true }), NOON);
    expect(found).to.deep.equal(['Active grant team-a/incident lacks Job in team-a']);
  });
});
