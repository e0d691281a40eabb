// Ways past what else would hold: guards, pod security, policies, and rules that name more than was meant.
import { expect } from 'chai';
import { z } from 'zod';
import { grantManifest, podsOf } from '../../endings/stage.ts';
import { until } from '../../guards/cluster.ts';
import { answered, stored, type Trial, type Way } from './setting.ts';

const ours = '/apis/hallpass.dev/v1alpha1';
const deny = [{ why: 'a test', apiGroups: [''], resources: ['pods'], verbs: ['list'] }];

/** Has the namespace refuse pods that reach for the node. */
const secured = ({ root, namespace }: Way) =>
  answered(root, {
    method: 'PATCH',
    path: `/api/v1/namespaces/${namespace}`,
    body: { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } } },
  });

const podWith = (volume: object, name = 'mine') => ({
  metadata: { name },
  spec: { containers: [{ name: 'main', image: 'any' }], volumes: [{ name: 'node', ...volume }] },
});
const hostPath = { path: '/' };

export const guardrails: Record<string, Trial> = {
  'take the guards away': async (way) => {
    const { stage, attacker, namespace, withToken } = way;
    await stage.identity(namespace);
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    const metadata = { name: 'mine', annotations: { 'kubernetes.io/service-account.name': 'hallpass-triage' } };
    const creates = { method: 'POST', path, body: { metadata, type: 'kubernetes.io/service-account-token' } } as const;
    expect((await attacker.call(creates)).message).to.contain("'hallpass-token-secrets'");
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    try {
      await answered(attacker, { method: 'DELETE', path: `${policies}/hallpass-token-secrets` });
      await until(attacker, creates, ({ code }) => code === 201);
      const { data } = await stored(attacker, `${path}/mine`, z.object({ data: z.object({ token: z.string() }) }));
      const agent = withToken(Buffer.from(data.token, 'base64').toString());
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      const self = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
      const who = await answered(agent, { method: 'POST', path: self, body: review });
      expect(JSON.stringify(who)).to.contain(`system:serviceaccount:${namespace}:hallpass-triage`);
    } finally {
      await stage.playground.admin(['apply', '-k', 'deploy/guards']);
      await stage.poll(
        () => stage.metric('hallpass_guard_problems'),
        (count) => count === 0,
      );
    }
    return undefined;
  },

  'mount any directory of a node': async (way) => {
    const { root, attacker, namespace } = way;
    await secured(way);
    const pods = `/api/v1/namespaces/${namespace}/pods`;
    const direct = { method: 'POST', path: pods, body: podWith({ hostPath }) } as const;
    await until(attacker, direct, ({ message }) => message.includes('violates PodSecurity'));
    const storage = { accessModes: ['ReadWriteOnce'], storageClassName: '' };
    const claims = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
    const resources = { requests: { storage: '1Gi' } };
    const volumeName = `root-of-${namespace}`;
    const volume = { ...storage, capacity: { storage: '1Gi' }, hostPath };
    const metadata = { name: 'mine' };
    await answered(attacker, {
      method: 'POST',
      path: '/api/v1/persistentvolumes',
      body: { metadata: { name: volumeName }, spec: volume },
    });
    await answered(attacker, {
      method: 'POST',
      path: claims,
      body: { metadata, spec: { ...storage, resources, volumeName } },
    });
    await stored(root, `${claims}/mine`, z.object({ status: z.object({ phase: z.literal('Bound') }) }));
    const claimed = podWith({ persistentVolumeClaim: { claimName: 'mine' } });
    await answered(attacker, { method: 'POST', path: pods, body: claimed });
    return undefined;
  },

  'move a namespace out of its pod security, by its labels': async (way) => {
    const { attacker, namespace } = way;
    await secured(way);
    const creates = {
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods`,
      body: podWith({ hostPath }),
    } as const;
    await until(attacker, creates, ({ message }) => message.includes('violates PodSecurity'));
    const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' };
    await answered(attacker, {
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace}`,
      body: { metadata: { labels } },
    });
    await until(attacker, creates, ({ code }) => code === 201);
    return undefined;
  },

  'hand on to an agent what one holds': async ({ stage, attacker, namespace }) => {
    await stage.identity(namespace);
    const agent = await stage.agent(namespace);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const body = grantManifest({ namespace, name: 'mine' });
    await answered(attacker, { method: 'POST', path: `${ours}/namespaces/${namespace}/agentgrants`, body });
    await agent.until(podsOf(namespace), 200);
    return undefined;
  },

  'lift what policies refuse': async ({ stage, root, attacker, namespace }) => {
    await stage.identity(namespace);
    const agent = await stage.agent(namespace);
    const path = `${ours}/agentpolicies`;
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
    const policy = (spec: object) => ({
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentPolicy',
      metadata: { name: namespace },
      spec: { namespaceSelector, ...spec },
    });
    await answered(root, { method: 'POST', path, body: policy({ deny }) });
    const ref = { namespace, name: 'asked' };
    await stage.create(grantManifest(ref));
    await stage.phase(ref, 'Pending', 'DeniedByPolicy');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const found = await answered(attacker, { method: 'GET', path: `${path}/${namespace}` });
    await answered(attacker, {
      method: 'PUT',
      path: `${path}/${namespace}`,
      body: { ...Object(found), spec: { namespaceSelector } },
    });
    await stage.phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    return undefined;
  },

  'every verb': async ({ root, attacker, namespace }) => {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const name = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });
    for (const name of ['one', 'two']) await answered(root, { method: 'POST', path, body: { metadata: { name } } });
    await answered(attacker, { method: 'DELETE', path });
    const { items } = name.parse(await answered(root, { method: 'GET', path }));
    // Kubernetes puts back its own.
    expect(items.map(({ metadata }) => metadata.name).filter((name) => name !== 'kube-root-ca.crt')).to.deep.equal([]);
    return undefined;
  },

  // A name says nothing of what is under it in another group.
  'every group': async ({ root, attacker, namespace }) => {
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'configmaps.vault.example.com' },
      spec: {
        group: 'vault.example.com',
        scope: 'Namespaced',
        names: { plural: 'configmaps', singular: 'keyring', kind: 'Keyring', listKind: 'KeyringList' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', properties: { key: { type: 'string' } } } },
          },
        ],
      },
    };
    await answered(root, {
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: definition,
    });
    const path = `/apis/vault.example.com/v1/namespaces/${namespace}/configmaps`;
    const body = { apiVersion: 'vault.example.com/v1', kind: 'Keyring', metadata: { name: 'keys' }, key: 'k-4711' };
    await until(root, { method: 'POST', path, body }, ({ code }) => code === 201);
    expect(JSON.stringify(await answered(attacker, { method: 'GET', path: `${path}/keys` }))).to.contain('k-4711');
    return undefined;
  },

  // The subresource `status` is read as the whole object.
  'every subresource': async ({ root, attacker, namespace }) => {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    const labels = { app: 'web' };
    const env = [{ name: 'PASSWORD', value: 'p-4711' }];
    const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'any', env }] } };
    const spec = { replicas: 0, selector: { matchLabels: labels }, template };
    await answered(root, { method: 'POST', path, body: { metadata: { name: 'web' }, spec } });
    expect((await attacker.call({ method: 'GET', path: `${path}/web` })).code).to.equal(403);
    expect(JSON.stringify(await answered(attacker, { method: 'GET', path: `${path}/web/status` }))).to.contain(
      'p-4711',
    );
    return undefined;
  },
};
