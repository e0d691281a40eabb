// What gives a grant's access, as it is rendered and as it is recognised.

import { expect } from 'chai';
import fc from 'fast-check';
import { hasOwnRole, isArmed, isBound, isReaper } from '../../../src/access/drift.ts';
import {
  addressAsOwner,
  correctedDeadline,
  DEAD_MAN_SLACK,
  deadlineSeconds,
  jobAsOwner,
  renderBinding,
  renderJob,
  renderRole,
  renderService,
  renderSubjects,
  sameRules,
} from '../../../src/access/grant-objects.ts';
import { isOfGrant } from '../../../src/api/names.ts';

const uid = '3adf01dd-a770-474b-a001-3f5b05d562b4';
const grant = { namespace: 'team-a', name: 'incident', uid };
const agent = { namespace: 'team-a', name: 'triage' };
const noon = Date.parse('2026-03-01T12:00:00Z');
const job = { metadata: { name: `hallpass-${uid}`, uid: 'job-uid', resourceVersion: '1' } };
const stored = { uid: 'binding-uid', resourceVersion: '1' };

describe('the objects of a grant', () => {
  const role = renderRole(grant, 'team-b', []);
  const binding = renderBinding(grant, 'team-b', jobAsOwner(job.metadata));
  const deadMan = renderJob(grant, 'team-b', 60, 'image');

  it('carry one name and the labels that lead back to the grant', () => {
    for (const { metadata } of [role, binding, deadMan]) {
      expect(metadata.name).to.equal(`hallpass-${uid}`);
      expect(metadata.labels).to.include({
        'hallpass.dev/grant': uid,
        'hallpass.dev/grant-namespace': 'team-a',
        'hallpass.dev/grant-name': 'incident',
      });
    }
  });

  it('bind nobody at first, and go when the Job does', () => {
    expect(binding.subjects).to.deep.equal([]);
    expect(binding.metadata.ownerReferences).to.deep.include({
      apiVersion: 'batch/v1',
      kind: 'Job',
      name: job.metadata.name,
      uid: 'job-uid',
      controller: false,
      blockOwnerDeletion: false,
    });
  });

  it('include a Job that never runs a pod and goes as soon as it is over', () => {
    expect(deadMan.spec).to.include({ parallelism: 0, activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 0 });
  });
});

describe('the deadline of a dead-man Job', () => {
  it('comes some seconds after the end of the grant, in whole seconds, never before', () => {
    fc.assert(
      fc.property(fc.integer({ min: -10_000, max: 1e9 }), (left) => {
        const seconds = deadlineSeconds(noon + left, noon);
        expect(seconds).to.be.at.least(1);
        if (left > 0) expect(seconds * 1000 - left).to.be.within(DEAD_MAN_SLACK, DEAD_MAN_SLACK + 999);
      }),
    );
  });

  const started = (at: string | undefined, activeDeadlineSeconds = 65) =>
    correctedDeadline({ metadata: {}, spec: { activeDeadlineSeconds }, status: { startTime: at } }, noon + 60_000);

  it('stays while the Job has started when it should, or not at all yet', () => {
    expect(started('2026-03-01T12:00:00Z')).to.equal(undefined);
    expect(started('2026-03-01T12:00:02Z')).to.equal(undefined);
    expect(started(undefined)).to.equal(undefined);
  });

  it('is brought forward when the Job started late', () => {
    expect(started('2026-03-01T12:00:24Z')).to.equal(41);
  });

  it('counts from where the API server saw it start, when the clock of the controller manager is off', () => {
    const at = (seconds: number) => new Date(noon + seconds * 1000).toISOString();
    const corrected = (startTime: string, recordedAt: string) =>
      correctedDeadline(
        {
          metadata: { creationTimestamp: at(0) },
          spec: { activeDeadlineSeconds: 65 },
          status: { startTime, recordedAt },
        },
        noon + 60_000,
      );
    expect(corrected(at(10), at(0)), 'ten seconds ahead').to.equal(undefined);
    expect(corrected(at(-10), at(0)), 'ten seconds behind').to.equal(undefined);
    expect(corrected(at(34), at(24)), 'ahead, and late').to.equal(41);
    expect(corrected(at(24), at(24)), 'late').to.equal(41);
    expect(corrected(at(0), at(24)), 'something else was written later').to.equal(undefined);
  });

  it('is put right when it was edited in either direction', () => {
    expect(started('2026-03-01T12:00:00Z', 3600)).to.equal(65);
    expect(started('2026-03-01T12:00:00Z', 10)).to.equal(65);
  });

  it('follows a narrowed end', () => {
    const job = { metadata: {}, spec: { activeDeadlineSeconds: 3605 }, status: { startTime: '2026-03-01T12:00:00Z' } };
    expect(correctedDeadline(job, noon + 60_000)).to.equal(65);
  });
});

describe('drift', () => {
  const name = `hallpass-${uid}`;
  const metadata = { ...renderBinding(grant, 'team-b', jobAsOwner({ name, uid: 'job-uid' })).metadata, ...stored };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
  const whole = { metadata, roleRef, subjects: renderSubjects(agent) };

  it('is none while the binding gives its own Role to the agent alone and belongs to the Job', () => {
    expect(isBound(whole, { job }, agent)).to.equal(true);
  });

  const edits: [string, typeof whole][] = [
    [
      'another subject beside the agent',
      { ...whole, subjects: [...whole.subjects, ...renderSubjects({ namespace: 'x', name: 'y' })] },
    ],
    ['nobody', { ...whole, subjects: [] }],
    ['an agent of another namespace', { ...whole, subjects: renderSubjects({ namespace: 'x', name: 'triage' }) }],
    ['another role', { ...whole, roleRef: { ...roleRef, kind: 'ClusterRole', name: 'admin' } }],
    ['a ClusterRole of the same name', { ...whole, roleRef: { ...roleRef, kind: 'ClusterRole' } }],
    ['another owner', { ...whole, metadata: { ...metadata, ownerReferences: [] } }],
    [
      'a second owner, which would outlive the Job',
      {
        ...whole,
        metadata: {
          ...metadata,
          ownerReferences: [...metadata.ownerReferences, ...metadata.ownerReferences.map((o) => ({ ...o, uid: 'x' }))],
        },
      },
    ],
  ];
  for (const [what, binding] of edits) {
    it(`is found when the binding names ${what}`, () => expect(isBound(binding, { job }, agent)).to.equal(false));
  }

  it('is found when somebody keeps the binding from going, or it is going', () => {
    const kept = { ...whole, metadata: { ...metadata, finalizers: ['example.com/x'] } };
    const going = { ...whole, metadata: { ...metadata, deletionTimestamp: '2026-03-01T12:00:00Z' } };
    for (const binding of [kept, going]) expect(isBound(binding, { job }, agent)).to.equal(false);
  });

  it('is none without a Job while nothing owns the binding', () => {
    const unowned = { ...whole, metadata: { ...metadata, ownerReferences: [] } };
    expect(isBound(unowned, {}, agent)).to.equal(true);
    expect(isBound(whole, {}, agent), 'owned by a Job that is gone').to.equal(false);
    expect(isBound({ ...unowned, subjects: [] }, {}, agent), 'naming nobody').to.equal(false);
    const kept = { ...unowned, metadata: { ...unowned.metadata, finalizers: ['example.com/x'] } };
    expect(isBound(kept, {}, agent), 'kept by others').to.equal(false);
  });

  it('is found in a Job that would take nothing down', () => {
    const { spec } = renderJob(grant, 'team-b', 60, 'image');
    const armed = { ...job, spec };
    expect(isArmed(armed)).to.equal(true);
    expect(isArmed({ ...armed, spec: { ...spec, suspend: true } }), 'suspended by others').to.equal(true);
    const disarmed = [
      { ...armed, spec: { ...spec, parallelism: 1 } },
      { ...armed, spec: { ...spec, ttlSecondsAfterFinished: 31_536_000 } },
      { ...armed, spec: { ...spec, ttlSecondsAfterFinished: undefined } },
      { ...armed, spec: { ...spec, activeDeadlineSeconds: undefined } },
      { ...armed, metadata: { ...job.metadata, deletionTimestamp: '2026-03-01T12:00:00Z' } },
    ];
    for (const each of disarmed) expect(isArmed(each), JSON.stringify(each)).to.equal(false);
  });

  it('tells its own Role from any other', () => {
    expect(hasOwnRole(whole)).to.equal(true);
    expect(hasOwnRole({ ...whole, roleRef: { ...roleRef, name: 'other' } })).to.equal(false);
  });

  it('does not take an object for its own by its name', () => {
    expect(isOfGrant(whole, uid)).to.equal(true);
    expect(isOfGrant({ metadata: { labels: {} } }, uid)).to.equal(false);
  });

  const rule = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };

  it('takes an absent list of names for an empty one, and nothing else for the same', () => {
    expect(sameRules([rule], [{ ...rule, resourceNames: [] }])).to.equal(true);
    expect(sameRules([rule], [{ ...rule, resourceNames: ['a'] }])).to.equal(false);
    expect(sameRules([rule], [{ ...rule, verbs: ['get', 'list'] }])).to.equal(false);
    expect(sameRules([rule], [rule, rule])).to.equal(false);
    expect(sameRules([], [])).to.equal(true);
  });
});

describe('the objects of a grant for the whole cluster', () => {
  const name = `hallpass-${uid}`;
  const reaper = { name: 'hallpass-cluster-dead-man', uid: 'reaper-uid' };
  const at = (rendered: { metadata: object }) => ({
    ...rendered.metadata,
    uid: 'some-uid',
    resourceVersion: '1',
    name,
  });
  const owner = { apiVersion: 'networking.k8s.io/v1', kind: 'IPAddress', name: '10.0.0.7', uid: 'address-uid' };
  const binding = renderBinding(grant, undefined, addressAsOwner({ name: owner.name, uid: owner.uid }));
  const bound = { ...binding, metadata: { ...at(binding) }, subjects: renderSubjects(agent) };
  const rendered = renderService(grant, { name, uid: 'job-uid' });
  const service = { metadata: { ...at(rendered), namespace: 'hallpass-system' }, spec: { clusterIP: '10.0.0.7' } };
  const holds = (o: { binding?: object; service?: object } = {}) =>
    isBound({ ...bound, ...o.binding }, { job, service: { ...service, ...o.service } }, agent);

  it('are a ClusterRole and its binding, without a namespace, which an address owns that a Job takes along', () => {
    expect(renderRole(grant, undefined, []).metadata.namespace).to.equal(undefined);
    expect(binding.roleRef).to.include({ kind: 'ClusterRole', name });
    expect(binding.metadata.ownerReferences).to.deep.equal([
      { ...owner, controller: false, blockOwnerDeletion: false },
    ]);
    expect(rendered.metadata.namespace).to.equal('hallpass-system');
    expect(rendered.metadata.ownerReferences.map(({ kind, uid }) => [kind, uid])).to.deep.equal([['Job', 'job-uid']]);
    expect(rendered.spec).to.not.have.property('selector');
  });

  it('are whole while Job, Service, address and binding are joined', () => {
    expect(holds()).to.equal(true);
  });

  const metadata = (more: object) => ({ metadata: { ...bound.metadata, ...more } });
  for (const [what, broken] of [
    ['another address', { binding: metadata({ ownerReferences: [{ ...owner, name: '10.0.0.8' }] }) }],
    ['no owner', { binding: metadata({ ownerReferences: [] }) }],
    [
      'the Job itself as its owner, which Kubernetes knows nothing of',
      { binding: metadata({ ownerReferences: [jobAsOwner(job.metadata)] }) },
    ],
    ['a Role of the same name', { binding: { roleRef: { ...binding.roleRef, kind: 'Role' } } }],
    ['a Service without an address', { service: { spec: { clusterIP: 'None' } } }],
    [
      'a Service of another Job',
      { service: { metadata: { ...service.metadata, ownerReferences: [jobAsOwner({ name, uid: 'x' })] } } },
    ],
    [
      'a Service that somebody keeps',
      { service: { metadata: { ...service.metadata, finalizers: ['example.com/x'] } } },
    ],
  ] as const) {
    it(`are found broken by ${what}`, () => expect(holds(broken)).to.equal(false));
  }

  it('are broken without the Service', () => {
    expect(isBound(bound, { job }, agent)).to.equal(false);
  });

  it('include a Job that the CronJob deletes, and no time to live', () => {
    const { metadata: rendered, spec } = renderJob(grant, 'hallpass-system', 60, 'image', reaper);
    const armed = { metadata: { ...at({ metadata: rendered }) }, spec };
    expect(spec).to.not.have.property('ttlSecondsAfterFinished');
    expect(isArmed(armed, reaper)).to.equal(true);
    expect(isArmed(armed, { uid: 'another' }), 'of a CronJob before this one').to.equal(false);
    expect(isArmed({ ...armed, spec: { ...spec, ttlSecondsAfterFinished: 0 } }, reaper)).to.equal(false);
    expect(isArmed(armed), 'for the namespace that it stands in').to.equal(true);
    expect(isArmed({ ...armed, metadata: { ...armed.metadata, namespace: 'team-b' } }), 'elsewhere').to.equal(false);
  });

  it('are deleted in time only by a CronJob that keeps no failed Jobs', () => {
    const metadata = { name: reaper.name, uid: reaper.uid, resourceVersion: '1' };
    expect(isReaper({ metadata, spec: { failedJobsHistoryLimit: 0 } })).to.equal(true);
    for (const spec of [{ failedJobsHistoryLimit: 1 }, {}]) expect(isReaper({ metadata, spec })).to.equal(false);
  });
});
