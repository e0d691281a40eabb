// The examples apply as they are, by the people of their stories, and give their agents what they say and for as long.

import { expect } from 'chai';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { type Playground, startPlayground } from '../../controlplane/playground.ts';
import { poll } from '../../harness/poll.ts';
import { root } from './pages.ts';

const template = z.looseObject({
  metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
  spec: z.looseObject({}),
});
/** What runs as the agent, of whatever kind, down to the spec of its pods. */
const workload = z.looseObject({
  kind: z.enum(['Deployment', 'Job', 'CronJob']),
  spec: z.looseObject({
    template: template.optional(),
    jobTemplate: z.looseObject({ spec: z.looseObject({ template }) }).optional(),
  }),
});

type Person = { user: string; groups: string[] };

describe('the examples', function () {
  this.timeout(60_000);
  let playground: Playground;
  before(async () => {
    playground = await startPlayground();
  });
  after(() => playground?.stop());

  const part = (example: string, name: string) => `${root}/examples/${example}/${name}`;
  const admin = (...args: string[]) => playground.admin(args);

  /** Runs kubectl as a person of the story; throws what it complained about. */
  async function as(person: Person, args: string[], input?: string): Promise<string> {
    const kubeconfig = await playground.kubeconfigFor(person);
    const { stdout, stderr, code } = await playground.kubectl(args, { kubeconfig, input });
    if (code !== 0) throw new Error(`${person.user}: kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }
  /** Repeats until it is answered so. What is applied takes effect in the API server some milliseconds later. */
  const until = <T>(ask: () => Promise<T>, wanted: (answer: T) => boolean) => poll(ask, wanted, 45_000, { pause: 30 });
  /** Waits until the API server lets a person do what they are about to. */
  const allowed = (person: Person, ...what: string[]) =>
    until(
      async () =>
        (
          await playground.kubectl(['auth', 'can-i', ...what], { kubeconfig: await playground.kubeconfigFor(person) })
        ).stdout.trim(),
      (answer) => answer === 'yes',
    );
  /** The pods' spec of what runs as the agent in a rendered part. */
  async function podSpec(rendered: string): Promise<object> {
    for (const document of parseAllDocuments(rendered)) {
      const { success, data } = workload.safeParse(document.toJS());
      const found = success ? (data.spec.template ?? data.spec.jobTemplate?.spec.template) : undefined;
      if (found?.metadata.labels['hallpass.dev/agent']) return found.spec;
    }
    throw new Error('nothing in there runs as an agent');
  }
  /** The agent as its pod is, asking with a token got as a kubelet gets it. */
  async function agentOf(namespace: string, identity: string, pod: object) {
    const kubeconfig = await playground.kubeconfigFor({
      token: await playground.agentToken({ namespace, identity, pod }),
    });
    const ask = async (args: string[]) => {
      const { code, stderr } = await playground.kubectl(args, { kubeconfig });
      if (code !== 0 && !stderr.includes('(Forbidden)')) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
      return code === 0 ? 'passes' : 'is refused';
    };
    return {
      expects: (answer: 'passes' | 'is refused', ...args: string[]) =>
        until(
          () => ask(args),
          (found) => found === answer,
        ),
      ask: (...args: string[]) => ask(args),
    };
  }
  /** Waits until a pod of the example's own workload exists, and returns the ServiceAccount that admission gave it. */
  const accountOf = (namespace: string, selector: string) =>
    until(
      () => admin('get', 'pods', '-n', namespace, '-l', selector, '-o=jsonpath={.items[*].spec.serviceAccountName}'),
      (name) => name !== '',
    );
  const granted = (person: Person, namespace: string, ...names: string[]) =>
    as(person, [
      'wait',
      '--for=condition=Granted',
      '--timeout=20s',
      '-n',
      namespace,
      ...names.map((name) => `aggrant/${name}`),
    ]);

  it('incident-triage: somebody on call asks thrice, each grant ends by itself, and an incident stops them meanwhile', async function () {
    this.timeout(120_000);
    const example = 'incident-triage';
    const platform = { user: 'pat', groups: ['platform'] };
    const oncall = { user: 'ann', groups: ['oncall'] };
    await admin('apply', '-k', part(example, 'admin'));
    await admin('create', 'configmap', 'checkout', '-n', 'shop', '--from-literal=retries=3');
    await allowed(platform, 'create', 'agentidentities.hallpass.dev', '-n', example);
    await as(platform, ['apply', '-k', part(example, 'team')]);
    await admin('wait', '--for=condition=Ready', '--timeout=20s', '-n', example, 'agentid/triage');
    expect(await accountOf(example, 'app=triage')).to.equal('hallpass-triage');

    const agent = await agentOf(example, 'triage', await podSpec(await admin('kustomize', part(example, 'team'))));
    expect(await agent.ask('get', 'pods', '-n', 'shop')).to.equal('is refused');
    const names = ['inc-4711-overview', 'inc-4711-logs', 'inc-4711-config'];
    await allowed(oncall, 'create', 'agentgrants.hallpass.dev', '-n', example);
    await as(oncall, ['apply', '-k', part(example, 'request')]);
    await granted(oncall, example, ...names);
    await agent.expects('passes', 'get', 'pods', '-n', 'shop');
    await agent.expects('passes', 'get', 'configmap', 'checkout', '-n', 'shop');
    expect(await agent.ask('get', 'configmaps', '-n', 'shop')).to.equal('is refused');
    expect(await agent.ask('get', 'pods', '-n', example)).to.equal('is refused');

    const monitoring = { user: 'system:serviceaccount:monitoring:alerts', groups: [] };
    const report = part(example, 'signal/intrusion.yaml');
    await allowed(monitoring, 'create', 'agentsignals.hallpass.dev', '-n', 'shop');
    const signal = (await as(monitoring, ['create', '-f', report, '-o=jsonpath={.metadata.name}'])).trim();
    await agent.expects('is refused', 'get', 'pods', '-n', 'shop');
    const held = ['--for=jsonpath={.status.effect}=Suspend', '--timeout=20s', '-n', 'shop', `agsig/${signal}`];
    await as(oncall, ['wait', ...held]);
    const lift = ['delete', 'agsig', signal, '-n', 'shop'];
    const refused = await as(monitoring, lift).catch((error: Error) => error.message);
    expect(refused).to.contain('you are not among those whom AgentPolicy shop-incidents trusts with that');
    await as(oncall, lift);
    await agent.expects('passes', 'get', 'pods', '-n', 'shop');

    await as(oncall, ['delete', 'aggrant', 'inc-4711-config', '-n', example]);
    await agent.expects('is refused', 'get', 'configmap', 'checkout', '-n', 'shop');
    expect(await agent.ask('get', 'pods', '-n', 'shop'), 'the other grants').to.equal('passes');
    await as(oncall, ['delete', '-k', part(example, 'request'), '--ignore-not-found']);
    await agent.expects('is refused', 'get', 'pods', '-n', 'shop');
    const asAgent = ['auth', 'can-i', 'create', 'pods', '-n', example];
    const kubeconfig = await playground.kubeconfigFor(oncall);
    expect((await playground.kubectl(asAgent, { kubeconfig })).stdout.trim(), 'on-call people, pods').to.equal('no');
  });

  it('cluster-triage: reads every namespace and the nodes, writes nothing, and loses it all with deploy/cluster-scope', async () => {
    const example = 'cluster-triage';
    const platform = { user: 'pat', groups: ['platform'] };
    const oncall = { user: 'sam', groups: ['sre'] };
    await admin('apply', '-k', part(example, 'admin'));
    await allowed(platform, 'create', 'agentidentities.hallpass.dev', '-n', example);
    await as(platform, ['apply', '-k', part(example, 'team')]);
    await admin('wait', '--for=condition=Ready', '--timeout=20s', '-n', example, 'agentid/triage');
    const agent = await agentOf(example, 'triage', await podSpec(await admin('kustomize', part(example, 'team'))));
    expect(await agent.ask('get', 'pods', '-A')).to.equal('is refused');
    await allowed(oncall, 'create', 'agentgrants.hallpass.dev', '-n', example);
    await as(oncall, ['apply', '-k', part(example, 'request')]);
    await granted(oncall, example, 'out-0815');
    await agent.expects('passes', 'get', 'pods', '-A');
    await agent.expects('passes', 'get', 'nodes');
    await agent.expects('passes', 'get', 'deployments', '-n', 'kube-system');
    for (const what of ['secrets', 'configmaps', 'services']) {
      expect(await agent.ask('get', what, '-A'), what).to.equal('is refused');
    }
    expect(await agent.ask('create', 'namespace', 'mine')).to.equal('is refused');
    await admin('delete', '-k', `${root}/deploy/cluster-scope`);
    await agent.expects('is refused', 'get', 'pods', '-A');
    await agent.expects('is refused', 'get', 'nodes');
    await admin('delete', '-k', part(example, 'admin'), '--ignore-not-found', '--wait=false');
  });

  it("deploy-agent: waits for the admin's addition to the ceiling, patches one Deployment and no other, ends with its Job", async () => {
    const example = 'deploy-agent';
    const team = { user: 'wim', groups: ['web-team'] };
    const release = { user: 'rae', groups: ['web-release'] };
    await admin('apply', '-k', part(example, 'admin'));
    await admin('delete', '-f', `${part(example, 'admin')}/ceiling.yaml`);
    await allowed(team, 'create', 'agentidentities.hallpass.dev', '-n', 'web');
    await as(team, ['apply', '-k', part(example, 'team')]);
    await admin('create', 'deployment', 'backend', '-n', 'web', '--image=backend:1');
    await admin('wait', '--for=condition=Ready', '--timeout=20s', '-n', 'web', 'agentid/deployer');
    await allowed(release, 'create', 'agentgrants.hallpass.dev', '-n', 'web');
    await as(release, ['apply', '-k', part(example, 'request')]);
    expect(await accountOf('web', 'hallpass.dev/agent=deployer')).to.equal('hallpass-deployer');
    const waits = ['wait', '--for=jsonpath={.status.reasons[0].reason}=ExceedsCeiling', '--timeout=20s'];
    await as(release, [...waits, '-n', 'web', 'aggrant/rollout']);
    await admin('apply', '-f', `${part(example, 'admin')}/ceiling.yaml`);
    await granted(release, 'web', 'rollout');

    const rendered = await admin('kustomize', part(example, 'request'));
    const agent = await agentOf('web', 'deployer', await podSpec(rendered));
    const patch = (name: string) => ['set', 'image', `deployment/${name}`, '*=frontend:2', '-n', 'web'];
    await agent.expects('passes', ...patch('frontend'));
    expect(await agent.ask(...patch('backend'))).to.equal('is refused');
    const image = ['get', 'deployment', 'frontend', '-n', 'web', '-o=jsonpath={..image}'];
    expect(await admin(...image)).to.equal('frontend:2');
    await agent.expects('passes', 'get', 'pods', '-n', 'web');

    // The Job's pod ends, as its kubelet would say.
    const pods = ['-n', 'web', '-l', 'job-name=rollout-frontend-2'];
    const [pod = ''] = (await admin('get', 'pods', ...pods, '-o=jsonpath={.items[*].metadata.name}')).split(' ');
    const end = ['--subresource=status', '--type=merge', '-p', '{"status":{"phase":"Succeeded"}}'];
    await admin('patch', 'pod', pod, '-n', 'web', ...end);
    await agent.expects('is refused', ...patch('frontend'));
    const expired = ['--for=jsonpath={.status.phase}=Expired', '--timeout=20s'];
    await as(release, ['wait', ...expired, '-n', 'web', 'aggrant/rollout']);
    await agent.expects('is refused', 'get', 'pods', '-n', 'web');
  });

  it('nightly-report: is Scheduled until its window, reads both namespaces within it, and is refused after', async () => {
    const example = 'nightly-report';
    const team = { user: 'dee', groups: ['data-team'] };
    const scheduler = { user: 'report-scheduler', groups: [] };
    await admin('apply', '-k', part(example, 'admin'));
    await allowed(team, 'create', 'agentidentities.hallpass.dev', '-n', 'reports');
    await as(team, ['apply', '-k', part(example, 'team')]);
    await admin('wait', '--for=condition=Ready', '--timeout=20s', '-n', 'reports', 'agentid/nightly-report');
    await as(team, ['create', 'job', 'by-hand', '--from=cronjob/nightly-report', '-n', 'reports']);
    expect(await accountOf('reports', 'job-name=by-hand')).to.equal('hallpass-nightly-report');

    const agent = await agentOf(
      'reports',
      'nightly-report',
      await podSpec(await admin('kustomize', part(example, 'team'))),
    );
    await allowed(scheduler, 'create', 'agentgrants.hallpass.dev', '-n', 'reports');
    await as(scheduler, ['apply', '-k', part(example, 'request')]);
    const is = (phase: string, name: string) =>
      as(scheduler, [
        'wait',
        `--for=jsonpath={.status.phase}=${phase}`,
        '--timeout=40s',
        '-n',
        'reports',
        `aggrant/${name}`,
      ]);
    await is('Scheduled', 'report-2030-01-07');
    // Far enough apart for some ten runs of kubectl on a busy machine.
    const at = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
    const tonight = (await admin('kustomize', part(example, 'request')))
      .replace('2030-01-07T02:00:00Z', at(8))
      .replace('2030-01-07T03:00:00Z', at(20))
      .replaceAll('report-2030-01-07', 'report-tonight');
    await as(scheduler, ['apply', '-f', '-'], tonight);
    await is('Scheduled', 'report-tonight');
    expect(await agent.ask('get', 'pods', '-n', 'orders'), 'before the window').to.equal('is refused');
    await granted(scheduler, 'reports', 'report-tonight');
    for (const namespace of ['orders', 'billing']) await agent.expects('passes', 'get', 'pods', '-n', namespace);
    expect(await agent.ask('get', 'pods', '-n', 'reports')).to.equal('is refused');
    await is('Expired', 'report-tonight');
    for (const namespace of ['orders', 'billing']) await agent.expects('is refused', 'get', 'pods', '-n', namespace);
  });

  it('pipelines: what Argo CD applies waits for a person, rests on the rights of the owner, and so does a restore', async () => {
    const example = 'pipelines';
    const namespace = 'payments';
    const lead = { user: 'lou', groups: ['payments-leads'] };
    /** A ServiceAccount that holds everything, as the installation of each makes it. */
    async function pipeline(home: string, name: string) {
      await admin('create', 'namespace', home);
      await admin('create', 'serviceaccount', name, '-n', home);
      await admin(
        'create',
        'clusterrolebinding',
        home,
        '--clusterrole=cluster-admin',
        `--serviceaccount=${home}:${name}`,
      );
      const token = (await admin('create', 'token', name, '-n', home)).trim();
      const kubeconfig = await playground.kubeconfigFor({ token });
      await until(
        async () => (await playground.kubectl(['auth', 'can-i', '*', '*'], { kubeconfig })).stdout.trim(),
        (answer) => answer === 'yes',
      );
      return (args: string[], input?: string) => playground.kubectl(args, { kubeconfig, input });
    }
    const argo = await pipeline('argocd', 'argocd-application-controller');
    const velero = await pipeline('velero', 'velero');
    await admin('apply', '-k', part(example, 'admin'));
    expect((await argo(['apply', '-k', part(example, 'git')])).code).to.equal(0);
    const waits = (name: string) =>
      admin(
        'wait',
        '--for=jsonpath={.status.phase}=AwaitingApproval',
        '--timeout=20s',
        '-n',
        namespace,
        `aggrant/${name}`,
      );
    await waits('reconcile');
    const agent = await agentOf(namespace, 'reconciler', {});
    expect(await agent.ask('get', 'pods', '-n', namespace)).to.equal('is refused');

    const asked = JSON.parse(await admin('get', 'aggrant', 'reconcile', '-n', namespace, '-o=json'));
    const { name, uid, generation } = asked.metadata;
    const { specHash } = asked.status;
    const review = {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { namespace, name: 'reconcile-1' },
      spec: {
        target: { kind: 'AgentGrant', name, uid, generation, specHash },
        decision: 'Approve',
        comment: 'the difference is real, and this is how it is looked into',
      },
    };
    await allowed(lead, 'approve', 'aggrant/reconcile', '-n', namespace);
    await as(lead, ['create', '-f', '-'], JSON.stringify(review));
    await agent.expects('passes', 'get', 'pods', '-n', namespace);

    // A restore: what somebody put into the backup under another name waits for a person as well.
    const restored = (await admin('kustomize', part(example, 'git'))).replace('name: reconcile\n', 'name: restored\n');
    expect((await velero(['apply', '-f', '-'], restored)).code).to.equal(0);
    await waits('restored');

    // The group loses it, and neither pipeline's own rights take its place.
    await admin('delete', 'rolebinding', 'payments-team-view', '-n', namespace);
    await agent.expects('is refused', 'get', 'pods', '-n', namespace);
  });
});
