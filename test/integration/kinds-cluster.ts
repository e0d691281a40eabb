// A control plane that serves our kinds and nothing else of ours: no hallpass, no guards.
import { resolve } from 'node:path';
import { expect } from 'chai';
import { Client } from '../../src/kube/client.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';

export type KindsCluster = { cluster: ControlPlane; client: Client; stop(): Promise<void> };

/** Starts it. The client is a cluster admin's. */
export async function startKindsCluster(): Promise<KindsCluster> {
  const cluster = await startControlPlane();
  const client = new Client({
    credentials: await cluster.credentialsFor({ user: 'admin', groups: ['system:masters'] }),
  });
  const stop = async () => {
    client.close();
    await cluster.stop();
  };
  try {
    const crds = resolve(import.meta.dirname, '../../crds');
    const installed = await cluster.kubectl(['apply', '--server-side', '-k', crds]);
    expect(installed.code, installed.stderr).to.equal(0);
    await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    return { cluster, client, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
