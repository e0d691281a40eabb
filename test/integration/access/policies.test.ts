// AgentPolicies on the real API server: what they refuse is not given, what they refuse later is taken back, as the agent sees it.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { Client, isForbidden } from '../../../src/kube/client.ts';
import { clusterRoles, namespaces } from '../../../src/kube/kinds.ts';
import { ESCALATION_ROUTES } from '../../harness/escalation-routes.ts';
import { usePolicies } from '../endings/policies.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const reviews = '/apis/authorization.k8s.io/v1/subjectaccessreviews';

describe('a grant under AgentPolicies', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const policy = usePolicies(stage);
  const change = (name: string, spec: object) =>
    stage().admin.patch(agentPolicies, { name }, { spec }, { type: 'merge' });
  const denying = (resource: string, unlessAllowed?: boolean) => ({
    why: 'a test',
    apiGroups: [''],
    resources: [resource],
    verbs: ['*'],
    ...(unlessAllowed === undefined ? {} : { unlessAllowed }),
  });

  it('waits while a line refuses it, says which and why, and proceeds when the line goes', async () => {
    const namespace = await stage().namespace('policy-line');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    await policy('line', namespace, { deny: [denying('pods')] });
    const ref = { namespace, name: 'waits' };
    await stage().create(grantManifest(ref));
    const { status } = await stage().phase(ref, 'Pending', 'DeniedByPolicy');
    expect(status.message).to.equal(
      'in namespace policy-line AgentPolicy line refuses list pods (core) (spec.deny[0]: a test); ask for less: nothing lifts this line',
    );
    expect(status.conditions?.find(({ type }) => type === 'Ready')?.reason, 'no edit of the grant is needed').to.equal(
      'Waiting',
    );
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await change('line', { deny: [denying('secrets')] });
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
  });

  it('loses its access the moment a policy refuses it, and gets it back by no later end', async () => {
    const namespace = await stage().namespace('policy-later');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'held' };
    const given = await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    const from = Date.now();
    await policy('later', namespace, { freeze: { reason: 'an incident' } });
    const refusedAt = await agent.until(podsOf(namespace), 403);
    console.log(`      refused ${refusedAt - from} ms after the policy was created`);
    const { status } = await stage().phase(ref, 'Suspended', 'Frozen');
    expect(status.message).to.include('AgentPolicy later has stopped all access (an incident)');
    await stage().admin.delete(agentPolicies, { name: 'later' });
    await stage().phase(ref, 'Suspended', 'Restoring');
    const back = await stage().until(stage().seen.grants, ref, (now) => now?.status.phase === 'Active', 45_000);
    expect(back?.status.expiresAt).to.equal(given.status.expiresAt);
    await agent.until(podsOf(namespace), 200);
  });

  it('is stopped by a freeze that no re-application of the grant undoes', async () => {
    const namespace = await stage().namespace('policy-freeze');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const manifest = grantManifest({ namespace, name: 'synced' });
    const apply = () => stage().playground.admin(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
    await apply();
    await stage().phase(manifest.metadata, 'Active');
    await agent.until(podsOf(namespace), 200);
    await policy('freeze', namespace, { freeze: { reason: 'an incident' } });
    await agent.until(podsOf(namespace), 403);
    await apply();
    const again = grantManifest({ namespace, name: 'another' });
    await stage().create(again);
    await stage().phase(again.metadata, 'Pending', 'Frozen');
    await stage().phase(manifest.metadata, 'Suspended', 'Frozen');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('gets nothing where no policy is, by the label of the namespace too, and is told how to get one', async () => {
    const namespace = await stage().namespace('policy-none');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const shipped = await stage().admin.get(agentPolicies, { name: 'default' });
    const ref = { namespace, name: 'guarded' };
    await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    try {
      const unless = { matchExpressions: [{ key: 'hands-off', operator: 'DoesNotExist' }] };
      await change('default', { namespaceSelector: unless });
      expect(await agent.asks(podsOf(namespace))).to.equal(200);
      const labels = { 'hands-off': 'true' };
      await stage().admin.patch(namespaces, { name: namespace }, { metadata: { labels } }, { type: 'merge' });
      await agent.until(podsOf(namespace), 403);
      const { status } = await stage().phase(ref, 'Suspended', 'NoPolicy');
      expect(status.message).to.contain('kubectl create -k deploy/policy');
    } finally {
      await stage().admin.patch(
        agentPolicies,
        { name: 'default' },
        { spec: { namespaceSelector: { matchExpressions: null } } },
        { type: 'merge' },
      );
    }
    const now = await stage().admin.get(agentPolicies, { name: 'default' });
    expect(now.spec).to.deep.equal(shipped.spec);
    await stage().phase(ref, 'Suspended', 'Restoring');
  });

  it('gets nothing where no policy lets its credential be used, and loses what it has when none does any more', async () => {
    const namespace = await stage().namespace('policy-credential');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const selected = (matchExpressions: object[] | null) =>
      change('default', { namespaceSelector: { matchExpressions } });
    const ref = { namespace, name: 'proves-itself' };
    await policy('credentials', namespace, {});
    await selected([{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [namespace] }]);
    try {
      await stage().create(grantManifest(ref));
      const { status } = await stage().phase(ref, 'Pending', 'CredentialNotAllowed');
      expect(status.message).to.equal(
        'no AgentPolicy that selects namespace policy-credential lets grants use credential Identity (spec.credentials); have whoever maintains AgentPolicies add Identity to spec.credentials of one that does',
      );
      expect(await agent.asks(podsOf(namespace))).to.equal(403);
      await change('credentials', { credentials: ['Identity'] });
      await stage().phase(ref, 'Active');
      await agent.until(podsOf(namespace), 200);
      await change('credentials', { credentials: null });
      await agent.until(podsOf(namespace), 403);
      await stage().phase(ref, 'Suspended', 'CredentialNotAllowed');
    } finally {
      await selected(null);
    }
    await stage().phase(ref, 'Suspended', 'Restoring');
  });

  it('is held by the policy of the namespace that it reaches into, which alone lifts what is refused there', async () => {
    const home = await stage().namespace('policy-home');
    const target = await stage().namespace('policy-target', { accepts: home });
    await stage().identity(home, { namespaces: [target] });
    const agent = await stage().agent(home);
    await policy('target', target, { deny: [denying('pods', true)] });
    const allow = [{ why: 'a test', apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    await policy('home', home, { allow });
    const ref = { namespace: home, name: 'reaches' };
    await stage().create(grantManifest(ref, { permissions: [{ namespaces: [target] }] }));
    const { status } = await stage().phase(ref, 'Pending', 'DeniedByPolicy');
    expect(status.message).to.contain('add it to spec.allow of one that selects policy-target');
    await policy('exception', target, { allow });
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(target), 200);
    // And the exception is over when it is taken back.
    await stage().admin.delete(agentPolicies, { name: 'exception' });
    await agent.until(podsOf(target), 403);
    await stage().phase(ref, 'Suspended', 'DeniedByPolicy');
  });

  it('is told what a policy that only warns would refuse, and has its access all the same', async () => {
    const namespace = await stage().namespace('policy-warn');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    await policy('trial', namespace, { deny: [denying('pods')], enforcement: 'Warn' });
    const ref = { namespace, name: 'warned' };
    const { status } = await stage().give(grantManifest(ref));
    expect(status.warnings).to.have.length(1);
    expect(status.warnings?.[0]).to.include({ reason: 'DeniedByPolicy' });
    await agent.until(podsOf(namespace), 200);
    const warned = async () => {
      const page = await (await fetch(`${stage().playground.hallpass[0]?.healthUrl}/metrics`)).text();
      return Number(/^hallpass_grants_warned (\d+)$/m.exec(page)?.[1]);
    };
    expect(await warned()).to.equal(1);
    await change('trial', { enforcement: 'Enforce' });
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'DeniedByPolicy');
    expect(await warned()).to.equal(0);
  });

  it('gets no more time, and no more grants at once, than the strictest policy allows', async () => {
    const namespace = await stage().namespace('policy-limits');
    await stage().identity(namespace);
    await policy('limits', namespace, { limits: { maxGrantDuration: '30m', maxActiveGrants: 1 } });
    const [long, first, second] = ['long', 'first', 'second'].map((name) => ({ namespace, name }));
    if (!long || !first || !second) throw new Error('unreachable');
    await stage().create(grantManifest(long, { duration: '31m' }));
    const { status } = await stage().phase(long, 'Pending', 'ExceedsPolicyLimit');
    expect(status.message).to.contain('longer than the 30m of AgentPolicy limits (spec.limits.maxGrantDuration)');
    await stage().give(grantManifest(first, { duration: '30m' }));
    await stage().create(grantManifest(second, { duration: '30m' }));
    await stage().phase(second, 'Pending', 'ExceedsPolicyLimit');
    await change('limits', { limits: { maxActiveGrants: 2 } });
    await stage().phase(second, 'Active');
  });

  it('reaches no data above the limit, by the label of the namespace, and loses it when the label says more', async () => {
    const namespace = await stage().namespace('policy-data');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const label = (level: string | null) =>
      stage().admin.patch(
        namespaces,
        { name: namespace },
        { metadata: { labels: { 'hallpass.dev/data-sensitivity': level } } },
        { type: 'merge' },
      );
    await policy('data', namespace, { limits: { maxDataSensitivity: 'internal' } });
    await label('restricted');
    const ref = { namespace, name: 'reads' };
    await stage().create(grantManifest(ref));
    const { status } = await stage().phase(ref, 'Pending', 'TooSensitive');
    expect(status.message).to.contain('is restricted (by its label), above the internal of AgentPolicy data');
    await label(null);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    await label('top-secret');
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'TooSensitive');
  });

  it('is told where resourceNames do not do what they seem to', async () => {
    const namespace = await stage().namespace('policy-names');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'named' };
    const { status } = await stage().give(
      grantManifest(ref, { permissions: [{ resourceNames: ['web'], verbs: ['list'] }] }),
    );
    expect(status.warnings?.map(({ reason }) => reason)).to.deep.equal(['NameHasNoEffect']);
    const selecting = `${podsOf(namespace)}?fieldSelector=metadata.name%3Dweb`;
    await agent.until(selecting, 200);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    expect(status.warnings?.[0]?.message).to.contain('--field-selector metadata.name=web');
  });

  it('counts in the blast radius of its agent, for as long as it is active, sensitive where it rests on an exception', async () => {
    const namespace = await stage().namespace('policy-radius');
    await stage().identity(namespace);
    const allow = [{ why: 'a test', apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
    await policy('radius', namespace, { deny: [denying('pods', true)], allow });
    const ref = { namespace, name: 'counted' };
    await stage().give(
      grantManifest(ref, {
        permissions: [{}, { resources: ['services'] }, { resources: ['configmaps'], verbs: ['get', 'list'] }],
      }),
    );
    const radius = (wanted: object | undefined) =>
      stage().until(
        stage().seen.identities,
        { namespace, name: 'triage' },
        (identity) => JSON.stringify(identity?.status.blastRadius) === JSON.stringify(wanted),
      );
    await radius({ namespaces: 1, rules: 3, mutatingRules: 0, sensitiveRules: 1 });
    await change('radius', { deny: [] });
    await radius({ namespaces: 1, rules: 3, mutatingRules: 0, sensitiveRules: 0 });
    await stage().remove(agentGrants, ref);
    await radius(undefined);
  });

  it('takes no way to more than it says: each of the known ones is refused, and the agent holds none of it', async () => {
    const namespace = await stage().namespace('policy-routes');
    await stage().identity(namespace);
    // The ceiling must not be what stops them.
    const name = 'policy-routes-ceiling';
    await stage().admin.createRaw('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name, labels: { 'hallpass.dev/aggregate-to-grantable': 'true' } },
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    });
    try {
      // What nothing but the ceiling stopped.
      await stage().create(
        grantManifest({ namespace, name: 'probe' }, { permissions: [{ resources: ['podtemplates'] }] }),
      );
      await stage().phase({ namespace, name: 'probe' }, 'Active');
      for (const [at, { permission, refusedBy, name: route }] of ESCALATION_ROUTES.entries()) {
        const ref = { namespace, name: `route-${at}` };
        await stage().create(grantManifest(ref, { permissions: [permission] }));
        const { status } = await stage().phase(ref, 'Pending');
        expect(
          status.reasons?.map(({ reason }) => reason),
          route,
        )
          .to.include(refusedBy)
          .and.not.include('ExceedsCeiling');
        const [group = '', resource = '', verb = ''] = [
          permission.apiGroups[0],
          permission.resources[0],
          permission.verbs[0],
        ];
        const [kind, subresource] = resource.split('/');
        const answer = await stage().admin.createRaw(reviews, {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user: `system:serviceaccount:${namespace}:hallpass-triage`,
            resourceAttributes: { namespace, group, resource: kind, subresource, verb },
          },
        });
        expect(Object(answer).status.allowed, route).to.equal(false);
      }
    } finally {
      await stage().remove(clusterRoles, { name });
    }
  });

  it('is guarded by policies that its own authors, and hallpass, can read and not write', async () => {
    const { playground } = stage();
    const canI = async (user: string, verb: string) =>
      (await playground.kubectl(['auth', 'can-i', verb, 'agentpolicies.hallpass.dev', `--as=${user}`])).stdout.trim();
    const hallpass = 'system:serviceaccount:hallpass-system:hallpass';
    expect(await canI(hallpass, 'watch')).to.equal('yes');
    for (const verb of ['create', 'update', 'patch', 'delete']) expect(await canI(hallpass, verb), verb).to.equal('no');

    const credentials = await playground.credentialsFor({ user: 'tenant', groups: [] });
    await playground.admin(['create', 'clusterrolebinding', 'tenant-views', '--clusterrole=admin', '--user=tenant']);
    const tenant = new Client({ credentials });
    try {
      await stage().poll(
        () =>
          tenant.get(agentPolicies, { name: 'default' }).then(
            () => true,
            (error) => !isForbidden(error),
          ),
        (reads) => reads,
      );
      const spec = { freeze: { reason: 'because I can' } };
      const refusal = await tenant.patch(agentPolicies, { name: 'default' }, { spec }, { type: 'merge' }).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(isForbidden(refusal)).to.equal(true);
    } finally {
      tenant.close();
      await playground.admin(['delete', 'clusterrolebinding', 'tenant-views']);
    }
  });

  it('is not touched by an upgrade: creating the shipped policy again leaves what admins made of it', async () => {
    const { playground } = stage();
    const before = await stage().admin.get(agentPolicies, { name: 'default' });
    const again = await playground.kubectl(['create', '-k', 'deploy/policy']);
    expect(again.code).to.not.equal(0);
    expect(again.stderr).to.contain('agentpolicies.hallpass.dev "default" already exists');
    await playground.admin(['apply', '-k', 'deploy/cluster']);
    const after = await stage().admin.get(agentPolicies, { name: 'default' });
    expect(after.metadata.resourceVersion).to.equal(before.metadata.resourceVersion);
  });
});
