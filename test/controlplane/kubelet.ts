// Tokens as an agent gets them: a pod on a node asks through its kubelet, with the node's own certificate.
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { ApiError, Client } from '../../src/kube/client.ts';
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
  const until = performance.now() + 10_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApiError && [403, 404].includes(error.status)) || performance.now() > until) throw error;
      await delay(20);
    }
  }
}

/**
 * A node without a kubelet, and what its kubelet would do for agents: runs a pod with the agent's label and ServiceAccount
 * and gets its token of 10 minutes, by the rights of a node.
 */
export async function startNode(
  controlPlane: ControlPlane,
): Promise<{ runAgent(o: { namespace: string; identity: string; pod?: object }): Promise<AgentPod> }> {
  const suffix = () => randomBytes(4).toString('hex');
  const nodeName = `node-${suffix()}`;
  const admin = new Client({
    credentials: await controlPlane.credentialsFor({ user: 'hallpass-test-admin', groups: ['system:masters'] }),
  });
  const node = new Client({
    credentials: await controlPlane.credentialsFor({ user: `system:node:${nodeName}`, groups: ['system:nodes'] }),
  });
  await admin.createRaw('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } });

  return {
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
      const request = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: 600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...metadata } },
      };
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccountName}/token`;
      const renew = async () => tokenSchema.parse(await onceAllowed(() => node.createRaw(path, request))).status.token;
      return { name: metadata.name, token: await renew(), renew };
    },
  };
}
