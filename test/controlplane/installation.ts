// Installs hallpass into a control plane, all but the Deployment: hallpass itself runs as a process, with the rights of
// its own ServiceAccount and nothing else.
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from '../../src/kube/client.ts';
import { poll } from '../harness/poll.ts';
import type { ControlPlane } from './controlplane.ts';

const root = join(import.meta.dirname, '..', '..');
const deploy = (part: string) => join(root, 'deploy', part);
const tokenLifetime = '1h';
const renewalMs = 10 * 60_000;

const namespaces = `
apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: v1
kind: Namespace
metadata:
  name: demo-other
  annotations:
    hallpass.dev/accepts-grants-from: demo
`;

/** Waits until the API server acts on the guards: it takes them up some time after they were stored. */
async function guardsAct(controlPlane: ControlPlane): Promise<void> {
  const credentials = await controlPlane.credentialsFor({ user: 'hallpass-test-admin', groups: ['system:masters'] });
  const client = new Client({ credentials });
  const probe = {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentIdentity',
    metadata: { name: 'probe' },
    spec: { purpose: 'Never stored.', owner: { kind: 'Group', name: 'nobody' } },
  };
  const path = '/apis/hallpass.dev/v1alpha1/namespaces/demo/agentidentities?dryRun=All';
  try {
    await poll(
      () => client.createRaw(path, probe).then(JSON.stringify, String),
      (answer) => answer.includes('hallpass.dev/cleanup'),
      30_000,
    );
  } finally {
    client.close();
  }
}

/** Creates the policy that is shipped; as for whoever upgrades, one that is there is left as it is. */
async function createPolicy({ kubectl }: ControlPlane): Promise<void> {
  const { code, stderr } = await kubectl(['create', '-k', deploy('policy')]);
  if (code !== 0 && !stderr.includes('already exists')) throw new Error(`deploy/policy: ${stderr.trim()}`);
}

/** Applies deploy/cluster, creates the policy that is shipped, and enables the namespaces `demo` and `demo-other`, which accepts grants from `demo`. */
export async function installHallpass(controlPlane: ControlPlane): Promise<void> {
  const { admin } = controlPlane;
  await admin(['apply', '--validate=false', '-k', deploy('cluster')]);
  await admin(['apply', '-f', '-'], { input: namespaces });
  await Promise.all([
    admin(['wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all']),
    admin(['apply', '-n', 'demo', '-k', deploy('namespace')]),
    admin(['apply', '-n', 'demo-other', '-k', deploy('namespace')]),
  ]);
  await createPolicy(controlPlane);
  await guardsAct(controlPlane);
}

/**
 * Keeps a token of hallpass's ServiceAccount in a file, by `kubectl` as admin, renewed long before its end until `stop`
 * is called. The token is never printed.
 */
export async function keepToken(kubectl: ControlPlane['kubectl'], path: string): Promise<{ stop(): void }> {
  const renew = async () => {
    const args = ['create', 'token', 'hallpass', '--namespace=hallpass-system', `--duration=${tokenLifetime}`];
    const result = await kubectl(args);
    if (result.code !== 0) throw new Error(`no token for hallpass-system/hallpass: ${result.stderr.trim()}`);
    // Renamed into place: whoever reads it never sees half a token.
    await writeFile(`${path}.new`, result.stdout.trim(), { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  await renew();
  const timer = setInterval(() => {
    renew().catch((error) => console.error(`renewing hallpass's token: ${error.message}`));
  }, renewalMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
