// Where the ways from a right to more are taken: a cluster with something worth having, and somebody who holds one right.
import { once } from 'node:events';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { z } from 'zod';
import type { Credentials } from '../../../../src/kube/credentials.ts';
import { createCertificateAuthority } from '../../../controlplane/certificates.ts';
import { type BareNode, startNode } from '../../../controlplane/kubelet.ts';
import type { EscalationRoute } from '../../../harness/escalation-routes.ts';
import { openStage, type Stage } from '../../endings/stage.ts';
import { type Call, type Caller, caller } from '../../guards/caller.ts';
import { until } from '../../guards/cluster.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
/** Of no namespace: a Role gives nothing on them. */
const CLUSTER_WIDE = new Set([
  'users',
  'signers',
  'certificatesigningrequests',
  'certificatesigningrequests/approval',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'persistentvolumes',
  'customresourcedefinitions',
  'apiservices',
  'agentpolicies',
]);

/** A user who is cluster admin by a binding, and a ServiceAccount of every namespace that is. */
export const CAPTAIN = 'captain';
export const BOSS = 'boss';

const podSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string(), uid: z.string() }),
  spec: z.object({ nodeName: z.string().optional(), serviceAccountName: z.string() }),
});
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });
export const tokenSchema = z.object({ status: z.object({ token: z.string() }) });

/** A loopback server, as an attacker would run one inside the cluster. */
export type Listener = {
  port: number;
  /** PEM in base64, as the API server wants it in a `caBundle`. */
  caBundle: string;
  /** Resolves with the first request whose body contains this. */
  heard(text: string): Promise<{ body: string; user: string | undefined }>;
};

/** Somebody with one right, in a namespace of their own. */
export type Way = {
  stage: Stage;
  root: Caller;
  namespace: string;
  attacker: Caller;
  attackerName: string;
  nodeName: string;
  /** Takes away what the attacker was given. */
  disarm(): Promise<void>;
  /** Somebody who holds a client certificate for this, or a token of theirs. */
  withCertificate(o: { certificate: string; key: string }): Caller;
  withToken(token: string): Caller;
  /** The pod's ServiceAccount, as what runs in it: its place on a node is found, and its token mounted. */
  insideOf(pod: unknown): Promise<Caller>;
  /** Serves until the test ends; `answer` gets each request's body. */
  listen(answer: (body: string) => object): Promise<Listener>;
  /** Opens a stream; `said` resolves when it has said this. Cut when the test ends. */
  stream(path: string): Promise<{ said(text: string): Promise<void> }>;
};

export type Setting = {
  stage: Stage;
  way(route: EscalationRoute, at: number, namespace?: string): Promise<Way>;
  /** Ends what the last way opened. */
  endWay(): void;
  close(): Promise<void>;
};

/**
 * Takes a way to its end, and asserts what came of it; where that is somebody who may do everything, returns them, and it is
 * asserted for them.
 */
export type Trial = (way: Way) => Promise<Caller | undefined>;

/** What a call that has to succeed is answered with. */
export async function answered(by: Caller, call: Call): Promise<unknown> {
  const { code, message, body } = await by.call(call);
  expect(code, `${call.method} ${call.path}: ${message}`).to.be.within(200, 299);
  return body;
}

/** Whether somebody may do something, as the API server tells them. */
export async function mayDo(by: Caller, resourceAttributes: object): Promise<boolean> {
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const answer = await by.call({ method: 'POST', path, body });
  return reviewSchema.parse(answer.body).status.allowed;
}

/** Whether somebody may do everything, in a namespace or in all. */
export const mayDoEverything = (by: Caller, namespace?: string) =>
  mayDo(by, { namespace, verb: '*', group: '*', resource: '*' });

/** Resolves when something that arrives piece by piece contains a text. */
function awaitable() {
  let all = '';
  let wake = Promise.withResolvers<void>();
  return {
    push(text: string) {
      all += text;
      wake.resolve();
      wake = Promise.withResolvers();
    },
    async said(text: string) {
      while (!all.includes(text)) await wake.promise;
    },
  };
}

export async function openSetting(): Promise<Setting> {
  const stage = await openStage({
    apiServerFlags: ['--enable-bootstrap-token-auth'],
    controllerManagerFlags: [
      '--controllers=replicationcontroller-controller',
      '--controllers=persistentvolume-binder-controller',
      '--controllers=certificatesigningrequest-signing-controller',
    ],
  });
  const { playground } = stage;
  const { server, certificateAuthority } = playground;
  const root = caller(await playground.credentialsFor({ user: 'root', groups: ['system:masters'] }));
  const bind = (name: string, subject: object) => ({
    method: 'POST' as const,
    path: `${rbac}/clusterrolebindings`,
    body: {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [subject],
    },
  });
  await answered(root, bind(CAPTAIN, { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: CAPTAIN }));
  const node: BareNode = await startNode(playground);
  let toEnd: (() => void)[] = [];

  async function insideOf(object: unknown): Promise<Caller> {
    const { metadata, spec } = podSchema.parse(object);
    if (!spec.nodeName) {
      // What the scheduler does.
      const target = { apiVersion: 'v1', kind: 'Node', name: node.name };
      const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/binding`;
      await answered(root, { method: 'POST', path, body: { metadata: { name: metadata.name }, target } });
    }
    const token = await node.tokenFor({ ...metadata, serviceAccountName: spec.serviceAccountName });
    return caller({ server, certificateAuthority, token: async () => token });
  }

  async function listen(answer: (body: string) => object): Promise<Listener> {
    const authority = await createCertificateAuthority();
    const { certificate, key } = await authority.serving();
    const requests: { body: string; user: string | undefined }[] = [];
    const arrived = awaitable();
    const listening = createServer({ cert: certificate, key }, (incoming, response) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        body += chunk;
      });
      incoming.on('end', () => {
        requests.push({ body, user: [incoming.headers['x-remote-user']].flat()[0] });
        arrived.push(body);
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(answer(body)));
      });
    });
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    toEnd.push(() => {
      listening.close();
      listening.closeAllConnections();
    });
    return {
      port: (listening.address() as AddressInfo).port,
      caBundle: Buffer.from(authority.certificate).toString('base64'),
      async heard(text) {
        await arrived.said(text);
        const found = requests.find(({ body }) => body.includes(text));
        if (!found) throw new Error('unreachable');
        return found;
      },
    };
  }

  function streamAs(credentials: Credentials): Way['stream'] {
    return async (path) => {
      const sent = request(new URL(path, credentials.server), {
        agent: false,
        ca: credentials.certificateAuthority,
        cert: credentials.clientCertificate,
        key: credentials.clientKey,
      });
      toEnd.push(() => sent.destroy());
      sent.end();
      const [response] = await once(sent, 'response');
      if (response.statusCode !== 200) throw new Error(`GET ${path}: ${response.statusCode}`);
      const arrived = awaitable();
      response.setEncoding('utf8');
      response.on('data', arrived.push);
      // Cut by ourselves at the end of the test.
      response.on('error', () => {});
      sent.on('error', () => {});
      return { said: arrived.said };
    };
  }

  return {
    stage,
    async way({ permission, besides }, at, elsewhere) {
      const attackerName = `attacker-${at}`;
      const namespace = elsewhere ?? (await stage.namespace(`route-${at}`));
      if (!elsewhere) {
        const account = { method: 'POST', path: `/api/v1/namespaces/${namespace}/serviceaccounts` } as const;
        await answered(root, { ...account, body: { metadata: { name: BOSS } } });
        await answered(root, bind(`${BOSS}-${at}`, { kind: 'ServiceAccount', name: BOSS, namespace }));
      }
      const given: string[] = [];
      for (const [index, rule] of [permission, ...besides].entries()) {
        const wide = CLUSTER_WIDE.has(rule.resources[0] ?? '');
        const kind = wide ? 'ClusterRole' : 'Role';
        const path = wide ? rbac : `${rbac}/namespaces/${namespace}`;
        const metadata = { name: `${attackerName}-${index}` };
        const subject = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: attackerName };
        await answered(root, {
          method: 'POST',
          path: `${path}/${kind.toLowerCase()}s`,
          body: { metadata, rules: [rule] },
        });
        const bindings = `${path}/${kind.toLowerCase()}bindings`;
        const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name: metadata.name };
        await answered(root, { method: 'POST', path: bindings, body: { metadata, roleRef, subjects: [subject] } });
        given.push(`${bindings}/${metadata.name}`);
      }
      const credentials = await playground.credentialsFor({ user: attackerName, groups: [] });
      const attacker = caller(credentials);
      for (const { verbs, apiGroups, resources, resourceNames } of [permission, ...besides]) {
        const [resource, subresource] = (resources[0] ?? '').split('/');
        const attributes = { verb: verbs[0], group: apiGroups[0], resource, subresource, name: resourceNames?.[0] };
        await stage.poll(() => mayDo(attacker, { namespace, ...attributes }), Boolean);
      }
      return {
        stage,
        root,
        namespace,
        attacker,
        attackerName,
        nodeName: node.name,
        disarm: async () => {
          for (const path of given) await root.call({ method: 'DELETE', path });
        },
        withCertificate: ({ certificate, key }) =>
          caller({ server, certificateAuthority, clientCertificate: certificate, clientKey: key }),
        withToken: (token) => caller({ server, certificateAuthority, token: async () => token }),
        insideOf,
        listen,
        stream: streamAs(credentials),
      };
    },
    endWay() {
      for (const end of toEnd) end();
      toEnd = [];
    },
    close: () => stage.close(),
  };
}

/** Waits until an object is stored as wanted, and returns it. */
export async function stored<T>(root: Caller, path: string, schema: z.ZodType<T>): Promise<T> {
  const answer = await until(root, { method: 'GET', path }, ({ body }) => schema.safeParse(body).success);
  return schema.parse(answer.body);
}
