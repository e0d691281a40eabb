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

/** Writes a kubeconfig that only its owner can read. */
export async function writeKubeconfig(
  path: string,
  o: { server: string; certificateAuthority: string; user: KubeconfigUser; namespace?: string },
): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'hallpass',
        cluster: { server: o.server, 'certificate-authority-data': encode(o.certificateAuthority) },
      },
    ],
    users: [{ name: 'user', user: userEntry(o.user) }],
    contexts: [
      { name: 'hallpass', context: { cluster: 'hallpass', user: 'user', namespace: o.namespace ?? 'default' } },
    ],
    'current-context': 'hallpass',
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}
