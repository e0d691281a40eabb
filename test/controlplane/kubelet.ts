// Tokens as an agent gets them: a pod on a node asks through its kubelet, with the node's own certificate.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { ApiError, Client } from '../../src/kube/client.ts';
import { poll } from '../harness/poll.ts';
import type { ControlPlane } from './controlplane.ts';

const podSchema = z.object({ metadata: z.object({ name: z.string(), uid: z.string() }) });
const tokenSchema = z.object({ status: z.object({ token: z.string().min(1) }) });

export type AgentPod = {
  /** The pod's name. */
  name: string;
  token: string;
  /** Asks for a fresh token, as a kubelet does before the old one ends. */
  renew(): Promise<string>;
};

/** Repeats a call while it is answered with 403 or 404, as it is until the API server's caches have the pod. */
async function onceAllowed<T>(call: () => Promise<T>): Promise<T> {
  const attempt = async () => {
    try {
      return { result: await call() };
    } catch (error) {
      if (error instanceof ApiError && [403, 404].includes(error.status)) return { refusal: error };
      throw error;
    }
  };
  const last = await poll(attempt, (answer) => 'result' in answer, 10_000, {
    pause: 20,
    told: (answer) => ('refusal' in answer ? String(answer.refusal) : ''),
  });
  if ('refusal' in last) throw last.refusal;
  return last.result;
}

export type BareNode = {
  name: string;
  runAgent(o: { namespace: string; identity: string; pod?: object }): Promise<AgentPod>;
  /** The token that its kubelet would mount in a pod that is bound to it. */
  tokenFor(pod: { namespace: string; name: string; uid: string; serviceAccountName: string }): Promise<string>;
};

/**
 * A node without a kubelet, and what its kubelet would do: gets the token of 10 minutes of a pod that runs on it, by the
 * rights of a node; and for agents, the pod too, with the agent's label and ServiceAccount.
 */
export async function startNode(controlPlane: ControlPlane): Promise<BareNode> {
  const suffix = () => randomBytes(4).toString('hex');
  const nodeName = `node-${suffix()}`;
  const admin = new Client({
    credentials: await controlPlane.credentialsFor({ user: 'hallpass-test-admin', groups: ['system:masters'] }),
  });
  const node = new Client({
    credentials: await controlPlane.credentialsFor({ user: `system:node:${nodeName}`, groups: ['system:nodes'] }),
  });
  await admin.createRaw('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } });

  const tokenFor: BareNode['tokenFor'] = async ({ namespace, name, uid, serviceAccountName }) => {
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid } },
    };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`;
    return tokenSchema.parse(await onceAllowed(() => node.createRaw(path, request))).status.token;
  };

  return {
    name: nodeName,
    tokenFor,
    async runAgent({ namespace, identity, pod: extra }) {
      const serviceAccountName = `hallpass-${identity}`;
      const body = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `agent-${suffix()}`, namespace, labels: { 'hallpass.dev/agent': identity } },
        spec: { nodeName, serviceAccountName, containers: [{ name: 'agent', image: 'agent' }], ...extra },
      };
      // Refused, too, until the API server has seen the ServiceAccount.
      const created = await onceAllowed(() => admin.createRaw(`/api/v1/namespaces/${namespace}/pods`, body));
      const { metadata } = podSchema.parse(created);
      const renew = () => tokenFor({ namespace, serviceAccountName, ...metadata });
      return { name: metadata.name, token: await renew(), renew };
    },
  };
}
