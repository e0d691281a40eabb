// Attacks by pods: being an agent without saying so, saying so without being one, and keeping a longer token.
import { expect } from 'chai';
import { z } from 'zod';
import type { Call } from './caller.ts';
import { dryRun, passesGuards, refusedByGuard, remove, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const containerSchema = z.object({
  name: z.string(),
  volumeMounts: z
    .array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() }))
    .default([]),
});
const podSchema = z.object({
  spec: z.object({
    serviceAccountName: z.string(),
    containers: z.array(containerSchema),
    initContainers: z.array(containerSchema).default([]),
    volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  }),
});
const labels = made.agentLabel;
const patch = (path: string, body: object): Call => ({ method: 'PATCH', path, body });

export function tokenVolumes(twins: () => Twins): void {
  const admitted = async (call: Call) => podSchema.parse((await passesGuards(twins(), 'editor', call)).body).spec;

  it('are given to a pod by its label: the account, and a token of 10 minutes where every client looks', async () => {
    const { serviceAccountName, containers, volumes } = await admitted(made.pod('one', { labels }));
    expect(serviceAccountName).to.equal('hallpass-bot');
    expect(containers.map(({ volumeMounts }) => volumeMounts)).to.deep.equal([
      [{ name: 'hallpass-token', mountPath, readOnly: true }],
    ]);
    expect(volumes).to.deep.equal([
      {
        name: 'hallpass-token',
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { path: 'token', expirationSeconds: 600 } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            {
              downwardAPI: {
                items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
              },
            },
          ],
        },
      },
    ]);
  });

  it('take the place of the default token, which would live for a year', async () => {
    const plain = podSchema.parse((await passesGuards(twins(), 'editor', made.pod('plain'))).body).spec;
    expect(plain.volumes.map(({ name }) => name).join(), 'without the label').to.match(/^kube-api-access-/);
    for (const automountServiceAccountToken of [true, false, undefined]) {
      const { volumes } = await admitted(made.pod('one', { labels, spec: { automountServiceAccountToken } }));
      expect(volumes.map(({ name }) => name)).to.deep.equal(['hallpass-token']);
    }
  });

  it('reach every container and init container, beside their own volumes', async () => {
    const own = { volumeMounts: [{ name: 'data', mountPath: '/data' }] };
    const spec = {
      containers: [
        { name: 'a', image: 'none', ...own },
        { name: 'b', image: 'none' },
      ],
      initContainers: [
        { name: 'first', image: 'none' },
        { name: 'sidecar', image: 'none', restartPolicy: 'Always' },
      ],
    };
    const volumes = [
      { name: 'data', emptyDir: { sizeLimit: '1Gi' } },
      { name: 'more', emptyDir: {} },
    ];
    const pod = await admitted(made.pod('many', { labels, spec, volumes }));
    for (const { name, volumeMounts } of [...pod.containers, ...pod.initContainers]) {
      expect(volumeMounts, name).to.deep.include({ name: 'hallpass-token', mountPath, readOnly: true });
    }
    expect(pod.containers[0]?.volumeMounts).to.have.length(2);
    expect(pod.volumes.map(({ name }) => name)).to.deep.equal(['data', 'more', 'hallpass-token']);
  });

  it('reach containers that later admission adds', async () => {
    const { root, editor } = twins().guarded.callers;
    const sidecar = injector();
    for (const call of sidecar) await succeed(root, call);
    const pod = made.pod('meshed', { labels: { ...labels, 'inject-sidecar': 'yes' } });
    const tried = dryRun(pod);
    const injected = ({ body }: { body: unknown }) => podSchema.safeParse(body).data?.spec.containers.length === 2;
    const { containers, volumes } = podSchema.parse((await until(editor, tried, injected)).body).spec;
    for (const { name, volumeMounts } of containers) {
      expect(volumeMounts, name).to.deep.equal([{ name: 'hallpass-token', mountPath, readOnly: true }]);
    }
    expect(volumes.map(({ name }) => name)).to.deep.equal(['hallpass-token']);
    for (const { path } of sidecar) await remove(root, `${path}/zz-sidecar`);
  });

  it('leave the identity tokens of a mesh or a cloud in place', async () => {
    const volumes = [
      made.tokenVolume('mesh', { audience: 'istio-ca', expirationSeconds: 43_200 }),
      made.tokenVolume('cloud', { audience: 'sts.amazonaws.com', expirationSeconds: 86_400 }),
      made.tokenVolume('vault', { audience: 'https://vault.example.com' }),
    ];
    const pod = await admitted(made.pod('meshed', { labels, volumes }));
    expect(pod.volumes.map(({ name }) => name)).to.deep.equal(['mesh', 'cloud', 'vault', 'hallpass-token']);
  });

  it('leave pods without the label as they are', async () => {
    const pod = podSchema.parse((await passesGuards(twins(), 'editor', made.pod('plain'))).body).spec;
    expect(pod.serviceAccountName).to.equal('default');
  });
}

export function pods(twins: () => Twins): void {
  const disagree = { by: 'hallpass-pods', says: /must agree: set the label to the name of the AgentIdentity/ };

  it('do not take the account of an agent without its label', async () => {
    const spec = { serviceAccountName: 'hallpass-bot' };
    await refusedByGuard(twins(), 'editor', made.pod('hidden', { spec }), disagree);
    await refusedByGuard(
      twins(),
      'editor',
      made.pod('hidden', { spec, labels: { 'hallpass.dev/agent': 'other' } }),
      disagree,
    );
    await passesGuards(twins(), 'editor', made.pod('open', { spec, labels }));
  });

  it('do not take the label of an agent with another account', async () => {
    const { editor } = twins().guarded.callers;
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'mine' } };
    for (const { callers } of Object.values(twins())) {
      await succeed(callers.editor, { method: 'POST', path: made.account.path, body: account });
    }
    expect(editor).to.not.equal(undefined);
    const call = made.pod('posing', { labels, spec: { serviceAccountName: 'mine' } });
    await until(twins().bare.callers.editor, dryRun(call), ({ code }) => code === 201);
    await refusedByGuard(twins(), 'editor', call, disagree);
  });

  it('do not get themselves adopted by the dead-man Job of a grant, which would wait for them', async () => {
    const adopted = { 'hallpass.dev/grant': made.uid };
    const reason = { by: 'hallpass-adopted-pods', says: /no pod carries it: the dead-man Job .* Remove the label/ };
    await refusedByGuard(twins(), 'editor', made.pod('adopted', { labels: adopted }), reason);
    for (const { callers } of Object.values(twins())) await succeed(callers.editor, made.pod('plain'));
    const path = `${made.api}/pods/plain`;
    const call = { method: 'PATCH', path, body: { metadata: { labels: adopted } } } as const;
    await refusedByGuard(twins(), 'editor', call, reason);
  });

  it('hold no second token for the API server or for hallpass', async () => {
    const reason = { by: 'hallpass-pods', says: /has one token for the API server.*for a mesh or a cloud may stay/ };
    const audiences = [
      undefined,
      '',
      'https://kubernetes.default.svc',
      'https://kubernetes.default.svc.cluster.local',
      'hallpass',
    ];
    for (const audience of audiences) {
      const volumes = [
        made.tokenVolume('hallpass-token', { expirationSeconds: 600 }),
        made.tokenVolume('second', { audience, expirationSeconds: 86_400 }),
      ];
      const call = made.pod('greedy', { labels, volumes, spec: { serviceAccountName: 'hallpass-bot' } });
      await refusedByGuard(twins(), 'editor', call, reason);
    }
    const longer = [made.tokenVolume('hallpass-token', { expirationSeconds: 86_400 })];
    const call = made.pod('greedy', { labels, volumes: longer, spec: { serviceAccountName: 'hallpass-bot' } });
    await refusedByGuard(twins(), 'editor', call, reason);
  });

  it('hold no certificate for the API server either', async () => {
    const certificate = (signerName: string) => {
      const source = { podCertificate: { signerName, keyType: 'ED25519', credentialBundlePath: 'bundle.pem' } };
      const volumes = [
        made.tokenVolume('hallpass-token', { expirationSeconds: 600 }),
        { name: 'certificate', projected: { sources: [source] } },
      ];
      return made.pod('greedy', { labels, volumes, spec: { serviceAccountName: 'hallpass-bot' } });
    };
    const reason = { by: 'hallpass-pods', says: /second credential for the API server/ };
    await refusedByGuard(twins(), 'editor', certificate('kubernetes.io/kube-apiserver-client-pod'), reason);
    await passesGuards(twins(), 'editor', certificate('mesh.example.com/workload'));
  });

  it('keep their label for life, through every door', async () => {
    const reason = { by: 'hallpass-pods', says: /never changes while it lives/ };
    const other = (path: string, value: string | null) =>
      patch(path, { metadata: { labels: { 'hallpass.dev/agent': value } } });
    const path = `${made.api}/pods/agent`;
    await refusedByGuard(twins(), 'editor', other(path, 'other'), reason);
    await refusedByGuard(twins(), 'editor', other(path, null), reason);
    await refusedByGuard(twins(), 'insider', other(`${path}/status`, 'other'), reason);
    for (const { callers } of Object.values(twins())) await succeed(callers.editor, made.pod('bystander'));
    await refusedByGuard(twins(), 'editor', other(`${made.api}/pods/bystander`, 'bot'), reason);
    await passesGuards(twins(), 'editor', patch(path, { metadata: { labels: { a: 'b' } } }));
  });

  it('let nobody in by a debug container', async () => {
    const call = {
      method: 'PATCH',
      path: `${made.api}/pods/agent/ephemeralcontainers`,
      body: { spec: { ephemeralContainers: [{ name: 'debug', image: 'none', targetContainerName: 'main' }] } },
    } as const;
    await refusedByGuard(twins(), 'insider', call, {
      by: 'hallpass-pods',
      says: /debug container would see the agent's token/,
    });
  });

  it('of a kubelet report their status as ever', async () => {
    const body = { status: { phase: 'Running' } };
    await passesGuards(twins(), 'kubelet', { method: 'PATCH', path: `${made.api}/pods/agent/status`, body });
  });
}

/** A policy that runs after ours and adds a container, as a mesh does. */
function injector(): [Call, Call] {
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolic';
  const expression =
    'Object{spec: Object.spec{containers: [Object.spec.containers{name: "zz-sidecar", image: "none"}]}}';
  const kind = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'zz-sidecar' } };
  const policy = {
    ...kind,
    kind: 'MutatingAdmissionPolicy',
    spec: {
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      matchConstraints: {
        objectSelector: { matchLabels: { 'inject-sidecar': 'yes' } },
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
    },
  };
  const binding = { ...kind, kind: 'MutatingAdmissionPolicyBinding', spec: { policyName: 'zz-sidecar' } };
  return [
    { method: 'POST', path: `${path}ies`, body: policy },
    { method: 'POST', path: `${path}ybindings`, body: binding },
  ];
}
