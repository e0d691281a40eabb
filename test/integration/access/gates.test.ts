// Each gate of a grant on the real API server: it waits and says why, and proceeds by itself once that is mended.
import { execFile } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { agentGrants, type GrantStatus } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { type Client, isForbidden } from '../../../src/kube/client.ts';
import { clusterRoles, namespaces } from '../../../src/kube/kinds.ts';
import { binary } from '../../controlplane/binaries.ts';
import { BY_HALLPASS, grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';

describe('a grant on its way to access', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  const person = (user: string) => stage().person(user);

  /** Binds a ClusterRole to a person in a namespace. */
  const allow = (namespace: string, user: string, clusterRole: string) => stage().bind(namespace, user, clusterRole);

  /** A ClusterRole with one rule. */
  const clusterRole = (name: string, rule: object, labels = {}) =>
    stage().admin.createRaw(`${rbac}/clusterroles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name, labels },
      rules: [rule],
    });

  const change = (ref: { namespace: string; name: string }, spec: object) =>
    stage().admin.patch(agentIdentities, ref, { spec }, { type: 'merge' });

  const create = (as: Client, manifest: ReturnType<typeof grantManifest>) =>
    as.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${manifest.metadata.namespace}/agentgrants`, manifest);

  it('waits for its agent, and proceeds when there is one', async () => {
    const namespace = await stage().namespace('gate-agent');
    const ref = { namespace, name: 'waits' };
    await stage().create(grantManifest(ref));
    const { status } = await stage().phase(ref, 'Pending', 'AgentNotFound');
    expect(status.message).to.contain('AgentIdentity triage in namespace gate-agent does not exist');
    expect(status.conditions?.find(({ type }) => type === 'Ready')).to.include({ status: 'False', reason: 'Waiting' });
    expect(status.conditions?.find(({ type }) => type === 'Reconciling')?.status).to.equal('True');
    await stage().identity(namespace);
    await stage().phase(ref, 'Active', 'Granted');
  });

  it('lets its agent pass while it is Active, and at no other time', async () => {
    const namespace = await stage().namespace('gate-passes');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const ref = { namespace, name: 'passes' };
    const { status } = await stage().give(grantManifest(ref, { duration: '4s' }));
    await agent.until(podsOf(namespace), 200);
    expect(await agent.asks(podsOf('default'))).to.equal(403);
    const refusedAt = await agent.until(podsOf(namespace), 403);
    const lag = refusedAt - Date.parse(status.expiresAt ?? '');
    console.log(`      a grant of 4 s: refused ${lag} ms after its end`);
    expect(lag).to.be.within(0, BY_HALLPASS);
    await stage().phase(ref, 'Expired', 'EndPassed');
  });

  it('is held by the boundary: namespaces, duration, number', async () => {
    const namespace = await stage().namespace('gate-boundary');
    await stage().namespace('gate-boundary-other', { accepts: namespace });
    await stage().identity(namespace, { maxGrantDuration: '10m', maxActiveGrants: 1 });
    const identity = { namespace, name: 'triage' };

    const away = { namespace, name: 'away' };
    await stage().create(
      grantManifest(away, { permissions: [{ namespaces: ['gate-boundary-other'] }], duration: '1m' }),
    );
    const outside = await stage().phase(away, 'Pending', 'OutsideBoundary');
    expect(outside.status.message).to.contain('gate-boundary-other').and.contain('spec.boundary.namespaces');
    const ready = (status: GrantStatus) => status.conditions?.find(({ type }) => type === 'Ready')?.reason;
    expect(ready(outside.status), 'its owner can pass it without an edit of the grant').to.equal('Waiting');

    const long = { namespace, name: 'long' };
    await stage().create(grantManifest(long, { duration: '1h' }));
    const lasting = await stage().phase(long, 'Pending', 'DurationExceedsBoundary');
    expect(ready(lasting.status)).to.equal('Waiting');

    await stage().give(grantManifest({ namespace, name: 'first' }, { duration: '10m' }));
    const second = { namespace, name: 'second' };
    await stage().create(grantManifest(second, { duration: '10m' }));
    const { status } = await stage().phase(second, 'Pending', 'TooManyActiveGrants');
    expect(status.message).to.contain('has 1 active grants and its boundary allows 1');

    // One ends, the next one follows; then the owner widens the boundary, and all of them do.
    await stage().remove(agentGrants, { namespace, name: 'first' });
    await stage().phase(second, 'Active');
    await change(identity, {
      boundary: { namespaces: [namespace, 'gate-boundary-other'], maxGrantDuration: '1h', maxActiveGrants: 5 },
    });
    await stage().phase(away, 'Active');
    await stage().phase(long, 'Active');
  });

  it('never has more active at once than the boundary allows, however many come at the same time', async () => {
    const namespace = await stage().namespace('gate-crowd');
    await stage().identity(namespace, { maxActiveGrants: 3 });
    const names = Array.from({ length: 12 }, (_, at) => `crowd-${at}`);
    await Promise.all(names.map((name) => stage().create(grantManifest({ namespace, name }))));
    const phases = () => names.map((name) => stage().seen.grants.get({ namespace, name })?.status.phase);
    await stage().poll(
      async () => phases(),
      (now) => now.every((phase) => phase !== undefined) && now.filter((phase) => phase === 'Active').length >= 3,
    );
    await stage().poll(
      async () => phases(),
      (now) => now.filter((phase) => phase === 'Pending').length === 9,
    );
    expect(phases().filter((phase) => phase === 'Active')).to.have.lengthOf(3);
    expect(
      stage()
        .seen.receipts.list()
        .filter(({ spec }) => spec?.grant.namespace === namespace),
    ).to.have.lengthOf(3);
  });

  it('is not given by who does not hold it, and proceeds when they do', async () => {
    const namespace = await stage().namespace('gate-requester');
    await stage().identity(namespace);
    await clusterRole('writes-grants', {
      apiGroups: ['hallpass.dev'],
      resources: ['agentgrants'],
      verbs: ['create', 'patch', 'get'],
    });
    await allow(namespace, 'wanda', 'writes-grants');
    const wanda = await person('wanda');
    const ref = { namespace, name: 'not-hers' };
    // Until the authorizer has heard of the binding, she is refused.
    const refused = (error: unknown) => {
      if (!isForbidden(error)) throw error;
      return false;
    };
    await stage().poll(() => create(wanda, grantManifest(ref)).then(() => true, refused), Boolean);
    const { status, stamps } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(stamps?.creator.username).to.equal('wanda');
    expect(status.reasons?.map(({ reason }) => reason)).to.deep.equal([
      'CreatorLacksPermission',
      'RequesterLacksPermission',
    ]);
    expect(status.message).to.contain('list pods in namespace gate-requester');

    // An author who holds everything does not make up for the creator who doesn't.
    await stage().admin.patch(agentGrants, ref, { spec: { task: { ref: 'INC-9' } } }, { type: 'merge' });
    const edited = await stage().until(stage().seen.grants, ref, (now) => now?.status.reasons?.length === 1);
    expect(edited?.status.reasons?.[0]?.reason).to.equal('CreatorLacksPermission');

    await allow(namespace, 'wanda', 'view');
    await stage().phase(ref, 'Active');
  });

  it('needs the consent of the namespace that it reaches into', async () => {
    const namespace = await stage().namespace('gate-consent');
    const other = await stage().namespace('gate-consent-other');
    await stage().identity(namespace, { namespaces: [other] });
    const ref = { namespace, name: 'across' };
    await stage().create(grantManifest(ref, { permissions: [{ namespaces: [other] }] }));
    const { status } = await stage().phase(ref, 'Pending', 'ConsentMissing');
    expect(status.message).to.contain('hallpass.dev/accepts-grants-from');
    const annotations = { 'hallpass.dev/accepts-grants-from': `some-team, ${namespace}` };
    await stage().admin.patch(namespaces, { name: other }, { metadata: { annotations } }, { type: 'merge' });
    await stage().phase(ref, 'Active');
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(other), 200);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    // Consent is withdrawn: so is the access, at once.
    await stage().admin.patch(
      namespaces,
      { name: other },
      { metadata: { annotations: { 'hallpass.dev/accepts-grants-from': null } } },
      { type: 'merge' },
    );
    await agent.until(podsOf(other), 403);
    await stage().phase(ref, 'Suspended', 'ConsentMissing');
  });

  it('waits for its namespace to be enabled, with the command that does it, and for one that does not exist', async () => {
    const namespace = await stage().namespace('gate-home');
    await stage().identity(namespace, { namespaces: ['gate-later'] });
    const ref = { namespace, name: 'later' };
    await stage().create(grantManifest(ref, { permissions: [{ namespaces: ['gate-later'] }] }));
    await stage().phase(ref, 'Pending', 'NamespaceNotFound');
    await stage().namespace('gate-later', { enabled: false, accepts: namespace });
    const { status } = await stage().phase(ref, 'Pending', 'NamespaceNotEnabled');
    expect(status.message).to.contain('kubectl apply -n gate-later -k deploy/namespace');
    await stage().playground.admin(['apply', '-n', 'gate-later', '-k', 'deploy/namespace']);
    await stage().phase(ref, 'Active');
  });

  it('goes no further than the ceiling, and proceeds when an admin raises it', async () => {
    const namespace = await stage().namespace('gate-ceiling');
    await stage().identity(namespace);
    const ref = { namespace, name: 'beyond' };
    await stage().create(
      grantManifest(ref, { permissions: [{ resources: ['configmaps'], verbs: ['get', 'delete'] }] }),
    );
    const { status } = await stage().phase(ref, 'Pending', 'ExceedsCeiling');
    expect(status.message).to.contain('does not cover delete configmaps (core)');
    const [, command = ''] = status.message?.split('by a cluster admin who runs: ') ?? [];
    const PATH = [dirname(await binary('kubectl')), process.env.PATH].join(delimiter);
    const env = { ...process.env, PATH, KUBECONFIG: stage().playground.kubeconfig };
    const { stdout } = await promisify(execFile)('sh', ['-c', `${command} -o name`], { env });
    await stage().phase(ref, 'Active');
    // And is suspended when the ceiling is lowered under it.
    await stage().remove(clusterRoles, { name: stdout.trim().split('/').at(-1) ?? '' });
    await stage().phase(ref, 'Suspended', 'ExceedsCeiling');
  });

  it('never reaches what access is made of, and says that only an edit helps', async () => {
    const namespace = await stage().namespace('gate-forbidden');
    await stage().identity(namespace);
    const ref = { namespace, name: 'tokens' };
    await stage().create(
      grantManifest(ref, { permissions: [{ resources: ['serviceaccounts/token'], verbs: ['create'] }] }),
    );
    const { status } = await stage().phase(ref, 'Pending', 'ForbiddenPermission');
    expect(status.conditions?.find(({ type }) => type === 'Stalled')?.status).to.equal('True');
  });

  it('waits as Scheduled for its beginning, then becomes Active by itself', async () => {
    const namespace = await stage().namespace('gate-schedule');
    await stage().identity(namespace);
    const ref = { namespace, name: 'scheduled' };
    const notBefore = new Date(Math.ceil(Date.now() / 1000) * 1000 + 6_000).toISOString();
    const manifest = grantManifest(ref);
    await stage().create({
      ...manifest,
      spec: { ...manifest.spec, validity: { notBefore, duration: '1h' } },
    } as typeof manifest);
    await stage().phase(ref, 'Scheduled', 'NotYetStarted');
    const { status } = await stage().phase(ref, 'Active');
    expect(Date.parse(status.startTime ?? '')).to.equal(Date.parse(notBefore));
  });

  it('can be waited for with kubectl, and tells its story in events', async () => {
    const namespace = await stage().namespace('gate-wait');
    await stage().playground.admin(['apply', '-f', '-'], { input: JSON.stringify(identityManifest(namespace)) });
    await stage().playground.admin(['apply', '-f', '-'], {
      input: JSON.stringify(grantManifest({ namespace, name: 'waited' }, { duration: '8s' })),
    });
    const { playground } = stage();
    await playground.admin(['wait', '-n', namespace, '--for=condition=Granted', 'aggrant/waited', '--timeout=20s']);
    await playground.admin(['wait', '-n', namespace, '--for=condition=Ready', 'aggrant/waited', '--timeout=20s']);
    await playground.admin(['wait', '-n', namespace, '--for=condition=Ready', 'agentid/triage', '--timeout=20s']);
    await playground.admin([
      'wait',
      '-n',
      namespace,
      '--for=condition=Granted=False',
      'aggrant/waited',
      '--timeout=20s',
    ]);
    const reasons = await stage().poll(
      async () =>
        (await playground.admin(['get', 'events', '-n', namespace, '-o', 'jsonpath={.items[*].reason}'])).split(' '),
      (found) => found.includes('Granted') && found.includes('Lapsed'),
    );
    expect(reasons).to.include.members(['Granted', 'Lapsed']);
  });

  it('that ended before it was made is Expired, and told as one that never gave access', async () => {
    const namespace = await stage().namespace('gate-late');
    await stage().identity(namespace);
    const ref = { namespace, name: 'late' };
    const manifest = grantManifest(ref);
    const spec = { ...manifest.spec, validity: { notAfter: '2020-01-01T00:00:00Z' } };
    await stage().admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentgrants`, {
      ...manifest,
      spec,
    });
    await stage().phase(ref, 'Expired', 'EndPassed');
    const list = ['get', 'events', '-n', namespace, '--field-selector=involvedObject.kind=AgentGrant'];
    const told = await stage().poll(
      () => stage().playground.admin([...list, '-o', 'jsonpath={.items[*].reason}']),
      (reasons) => reasons !== '',
    );
    expect(told).to.equal('NeverGranted');
  });

  it('lists every reason at once', async () => {
    const namespace = await stage().namespace('gate-all', { enabled: false });
    await stage().namespace('gate-all-home');
    await stage().identity('gate-all-home', { maxGrantDuration: '1m' });
    const ref = { namespace: 'gate-all-home', name: 'everything' };
    await stage().create(grantManifest(ref, { permissions: [{ namespaces: [namespace] }] }));
    const { status } = await stage().phase(ref, 'Pending');
    expect(status.reasons?.map(({ reason }) => reason)).to.deep.equal([
      'OutsideBoundary',
      'DurationExceedsBoundary',
      'NamespaceNotEnabled',
      'ConsentMissing',
    ]);
  });

  it('keeps hallpass itself from what could raise it', async () => {
    const asks = (verb: string, resource: string) =>
      stage().playground.kubectl([
        'auth',
        'can-i',
        verb,
        resource,
        '-A',
        '--as=system:serviceaccount:hallpass-system:hallpass',
      ]);
    for (const [verb, resource] of [
      ['escalate', 'roles'],
      ['bind', 'roles'],
      ['bind', 'clusterroles'],
      ['impersonate', 'users'],
      ['impersonate', 'serviceaccounts'],
      ['get', 'secrets'],
      ['list', 'secrets'],
      ['create', 'pods'],
      ['create', 'serviceaccounts/token'],
      ['create', 'roles'],
      ['create', 'rolebindings'],
      ['create', 'clusterrolebindings'],
    ] as const) {
      expect((await asks(verb, resource)).stdout.trim(), `${verb} ${resource}`).to.equal('no');
    }
    expect((await asks('delete', 'rolebindings')).stdout.trim()).to.equal('yes');
  });
});
