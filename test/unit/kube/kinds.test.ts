import { expect } from 'chai';
import * as kinds from '../../../src/kube/kinds.ts';
import { apiVersionOf, keyOf, refOf, resourceName } from '../../../src/kube/object.ts';
import { roleBinding } from './wire.ts';

const metadata = { name: 'x', namespace: 'demo', uid: 'u', resourceVersion: '1' };

describe('the kinds of Kubernetes', () => {
  it('are kept without managedFields, apiVersion and kind', () => {
    const parsed = kinds.roleBindings.parse(roleBinding('x'));
    expect(parsed).to.have.all.keys('metadata', 'roleRef', 'subjects');
    expect(parsed.metadata).to.not.have.property('managedFields');
    expect(parsed.metadata.labels).to.deep.equal({ 'hallpass.dev/grant': 'x' });
  });

  it('keep of a Job what a replacement must not lose', () => {
    const spec = {
      parallelism: 0,
      activeDeadlineSeconds: 20,
      manualSelector: false,
      template: { spec: { restartPolicy: 'Never', containers: [{ name: 'x', image: 'y' }] } },
    };
    expect(kinds.jobs.parse({ metadata, spec }).spec).to.deep.equal(spec);
  });

  it('tell of a Job when the API server stored its status, beside what the Job controller wrote into it', () => {
    const startTime = '2026-03-01T12:00:10Z';
    const managedFields = [
      { manager: 'hallpass', operation: 'Update', time: '2026-03-01T12:30:00Z' },
      { manager: 'kube-controller-manager', operation: 'Update', subresource: 'status', time: '2026-03-01T12:00:00Z' },
    ];
    const parsed = kinds.jobs.parse({ metadata: { ...metadata, managedFields }, spec: {}, status: { startTime } });
    expect(parsed.status).to.deep.equal({ startTime, recordedAt: '2026-03-01T12:00:00Z' });
    expect(parsed.metadata).to.deep.equal(metadata);
  });

  it('read a Role without rules, which the API server writes as null', () => {
    expect(kinds.roles.parse({ metadata, rules: null }).rules).to.deep.equal([]);
    expect(kinds.clusterRoles.parse({ metadata }).rules).to.deep.equal([]);
  });

  it('have one key in caches and queues, which leads back to the object', () => {
    expect(keyOf({ namespace: 'demo', name: 'a:B' })).to.equal('demo/a:B');
    expect(refOf('demo/a:B')).to.deep.equal({ namespace: 'demo', name: 'a:B' });
    expect(refOf(keyOf({ name: 'system:node' }))).to.deep.equal({ name: 'system:node' });
  });

  it('are named as kubectl and manifests name them', () => {
    expect(resourceName(kinds.roles)).to.equal('roles.rbac.authorization.k8s.io');
    expect(resourceName(kinds.pods)).to.equal('pods');
    expect(apiVersionOf(kinds.jobs)).to.equal('batch/v1');
    expect(apiVersionOf(kinds.pods)).to.equal('v1');
  });
});
