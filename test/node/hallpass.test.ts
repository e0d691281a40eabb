// hallpass as it is deployed, on a real kubelet: from its own image with two replicas, and agents in pods that use the
// official client as anybody would. See run.sh.
import { expect } from 'chai';
import { z } from 'zod';
import { Agent, agentPod, agentProgram, apply, deployed, get, kubectl } from './cluster.ts';

const namespace = 'demo';
const Pod = z.object({
  spec: z.object({
    serviceAccountName: z.string(),
    volumes: z.array(
      z.object({
        name: z.string(),
        projected: z
          .object({
            sources: z.array(
              z.object({
                serviceAccountToken: z
                  .object({ audience: z.string().optional(), expirationSeconds: z.number() })
                  .optional(),
              }),
            ),
          })
          .optional(),
      }),
    ),
  }),
  status: z.object({ phase: z.string(), containerStatuses: z.array(z.object({ restartCount: z.number() })) }),
});
const Grant = z.object({ status: z.object({ phase: z.string(), expiresAt: z.string().optional() }) });

describe('hallpass on a real node', function () {
  this.timeout(120_000);
  const agents: Agent[] = [];

  before(async () => {
    await deployed();
    await apply({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    });
    await kubectl(['apply', '--namespace', namespace, '-k', 'deploy/namespace']);
    await apply(agentProgram(namespace));
  });

  after(() => {
    for (const agent of agents) agent.stop();
  });

  async function identity(name: string): Promise<void> {
    await apply({
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentIdentity',
      metadata: { name, namespace },
      spec: {
        purpose: 'Finds out why pods restart',
        owner: { kind: 'Group', name: 'platform' },
        boundary: { maxGrantDuration: '1h' },
      },
    });
    await kubectl([
      '--namespace',
      namespace,
      'wait',
      '--for=condition=Ready',
      `agentidentity/${name}`,
      '--timeout=30s',
    ]);
  }

  /** Returns the end of the grant's access, once it has begun. */
  async function grant(name: string, agent: string, duration: string): Promise<Date> {
    await apply({
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentGrant',
      metadata: { name, namespace },
      spec: {
        agent,
        task: { description: 'Look at the pods', ref: name },
        permissions: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }],
        validity: { duration },
      },
    });
    await kubectl(['--namespace', namespace, 'wait', '--for=condition=Granted', `agentgrant/${name}`, '--timeout=30s']);
    const { status } = await get(Grant, '--namespace', namespace, 'agentgrant', name);
    return new Date(z.string().parse(status.expiresAt));
  }

  async function start(pod: string, agent: string, volumes: { name: string }[] = []): Promise<Agent> {
    await apply(agentPod(namespace, pod, agent, volumes));
    await kubectl(['--namespace', namespace, 'wait', '--for=condition=Ready', `pod/${pod}`, '--timeout=60s']);
    const started = new Agent(namespace, pod);
    agents.push(started);
    return started;
  }

  it('runs two replicas from its own image, one of which leads', async () => {
    const pods = await get(
      z.object({
        items: z.array(
          z.object({
            metadata: z.object({ name: z.string() }),
            spec: z.object({ containers: z.array(z.object({ image: z.string(), args: z.array(z.string()) })) }),
            status: z.object({ containerStatuses: z.array(z.object({ ready: z.boolean() })) }),
          }),
        ),
      }),
      ...['--namespace', 'hallpass-system', 'pods', '--selector', 'app.kubernetes.io/name=hallpass'],
    );
    expect(pods.items.flatMap((pod) => pod.status.containerStatuses.map(({ ready }) => ready))).to.deep.equal([
      true,
      true,
    ]);
    for (const { spec } of pods.items) {
      expect(spec.containers[0]?.image).to.equal('localhost/hallpass:dev');
      expect(spec.containers[0]?.args, 'the image that dead-man Jobs name').to.include(
        '--dead-man-image=localhost/hallpass:dev',
      );
    }
    expect(pods.items.map((pod) => pod.metadata.name)).to.include(await leader());
  });

  it('gives a pod with our label its account and a token of ten minutes, in place of the default ones', async () => {
    await identity('triage');
    const agent = await start('triage', 'triage');
    const { spec } = await get(Pod, '--namespace', namespace, 'pod', 'triage');
    expect(spec.serviceAccountName).to.equal('hallpass-triage');
    const tokens = spec.volumes
      .flatMap((volume) => volume.projected?.sources ?? [])
      .flatMap((source) => source.serviceAccountToken ?? []);
    expect(tokens, 'the only token in the pod').to.have.lengthOf(1);
    expect(tokens[0]?.expirationSeconds).to.equal(600);
    for (const told of [await agent.mounted(), await new Agent(namespace, 'triage', 'first').mounted()]) {
      expect(told.files).to.deep.equal(['ca.crt', 'namespace', 'token']);
      expect(told.expires - told.issuedAt).to.equal(600);
      expect(told.subject).to.equal(`system:serviceaccount:${namespace}:hallpass-triage`);
    }
  });

  it('lets an unmodified client do what its grant allows, from its start to its end and not a second longer', async () => {
    const agent = agents[0];
    if (agent === undefined) throw new Error('the pod of the test before is needed');
    await agent.answer('403');
    const end = await grant('look', 'triage', '10s');
    await agent.answer('allowed');
    const refused = await agent.answer('403', end);
    expect(agent.answers).to.deep.equal(['403', 'allowed', '403']);
    expect(refused.getTime() - end.getTime(), 'ms from the deadline to the refusal').to.be.within(0, 1000);
    await kubectl([
      '--namespace',
      namespace,
      'wait',
      '--for=jsonpath={.status.phase}=Expired',
      'agentgrant/look',
      '--timeout=3s',
    ]);
  });

  it('ends access on time although the leader was deleted in between', async () => {
    const agent = agents[0];
    if (agent === undefined) throw new Error('the pod of the first test is needed');
    const end = await grant('look-again', 'triage', '15s');
    const before = await leader();
    await agent.answer('allowed');
    await kubectl(['--namespace', 'hallpass-system', 'delete', 'pod', before, '--wait=false']);
    const refused = await agent.answer('403', end);
    expect(await leader()).to.not.equal(before);
    expect(refused.getTime() - end.getTime(), 'ms from the deadline to the refusal').to.be.within(0, 1000);
  });

  it("leaves a mesh's or a cloud's identity token in the pod", async () => {
    const foreign = {
      name: 'cloud',
      projected: {
        sources: [{ serviceAccountToken: { path: 'token', audience: 'sts.example.com', expirationSeconds: 3600 } }],
      },
    };
    const agent = await start('cloud', 'triage', [foreign]);
    expect((await agent.mounted()).expires - (await agent.mounted()).issuedAt).to.equal(600);
  });

  it("ends what a deleted identity's pods may do, and leaves the pods running", async () => {
    await identity('short-lived');
    const agent = await start('short-lived', 'short-lived');
    await grant('long', 'short-lived', '30m');
    await agent.answer('allowed');
    const deleted = new Date();
    await kubectl(['--namespace', namespace, 'delete', 'agentidentity', 'short-lived', '--timeout=30s']);
    await agent.answer('403', deleted);
    // The API server remembers for ten seconds that a token was good.
    await agent.answer('401', deleted);
    const { status } = await get(Pod, '--namespace', namespace, 'pod', 'short-lived');
    expect(status).to.deep.include({ phase: 'Running', containerStatuses: [{ restartCount: 0 }] });
    expect((await get(Grant, '--namespace', namespace, 'agentgrant', 'long')).status.phase).to.equal('Expired');
    const left = await kubectl([
      'get',
      'serviceaccount,role,rolebinding,job',
      '--namespace',
      namespace,
      '--output=name',
    ]);
    expect(left).to.not.contain('serviceaccount/hallpass-short-lived');
    expect(left).to.not.match(/(role|rolebinding|job)\S*\/hallpass-[0-9a-f]{8}-/);
  });

  async function leader(): Promise<string> {
    const lease = await get(
      z.object({ spec: z.object({ holderIdentity: z.string() }) }),
      ...['--namespace', 'hallpass-system', 'lease', 'hallpass'],
    );
    // A pod's name, made unique by what follows.
    return lease.spec.holderIdentity.split('_')[0] ?? '';
  }
});
