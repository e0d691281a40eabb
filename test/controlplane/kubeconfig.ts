// Kubeconfig files for one server, with everything embedded.
import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';

export type KubeconfigUser = { certificate: string; key: string } | { token: string } | { tokenFile: string };

const encode = (pem: string) => Buffer.from(pem).toString('base64');

function userEntry(user: KubeconfigUser): Record<string, string> {
  if ('token' in user) return { token: user.token };
  if ('tokenFile' in user) return { tokenFile: user.tokenFile };
  return { 'client-certificate-data': encode(user.certificate), 'client-key-data': encode(user.key) };
}

/** A cluster as a kubeconfig has it; what others wrote into theirs is kept. */
export type KubeconfigCluster = { server: string; [field: string]: unknown };

export function clusterEntry(server: string, certificateAuthority: string): KubeconfigCluster {
  return { server, 'certificate-authority-data': encode(certificateAuthority) };
}

/** Writes a kubeconfig that only its owner can read. */
export async function writeKubeconfig(path: string, cluster: KubeconfigCluster, user: KubeconfigUser): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'hallpass', cluster }],
    users: [{ name: 'user', user: userEntry(user) }],
    contexts: [{ name: 'hallpass', context: { cluster: 'hallpass', user: 'user', namespace: 'default' } }],
    'current-context': 'hallpass',
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}
