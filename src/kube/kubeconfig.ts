// Reads a kubeconfig, through the official client so that every way to authenticate in one works.
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { type Cluster, KubeConfig, type User } from '@kubernetes/client-node';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { printable } from '../text.ts';
import { type Credentials, CredentialsError, cachedToken, tokenFile } from './credentials.ts';

const named = z.array(z.looseObject({ name: z.string() })).nullish();
const kubeconfigSchema = z.looseObject({ clusters: named, users: named, contexts: named });
const withTokenFile = z.looseObject({ user: z.looseObject({ tokenFile: z.string().min(1) }) });

const REMEDIES: Partial<Record<string, string>> = {
  ENOENT: 'it does not exist; name an existing kubeconfig with --kubeconfig',
  EISDIR: 'it is a directory; name a file in it with --kubeconfig',
  EACCES: 'this user may not read it; change its mode or owner, or name another kubeconfig with --kubeconfig',
};

// Parse errors quote the text around them, which may be a key or a token: only the place is told.
async function checkKubeconfig(path: string): Promise<z.infer<typeof kubeconfigSchema>> {
  const notOne = (what: string): CredentialsError =>
    new CredentialsError(
      `${printable(path)} is not a kubeconfig: ${what}. Name one with --kubeconfig; \`kubectl config view --raw --flatten\` writes one.`,
    );
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const remedy = REMEDIES[code] ?? code;
    throw new CredentialsError(`the kubeconfig ${printable(path)} cannot be read: ${remedy}`);
  }
  let content: unknown;
  try {
    content = parse(text);
  } catch (error) {
    const line = error instanceof YAMLParseError ? error.linePos?.[0].line : undefined;
    throw notOne(`it is neither YAML nor JSON${line ? ` (line ${line})` : ''}`);
  }
  const result = kubeconfigSchema.safeParse(content);
  if (!result.success) {
    const at = result.error.issues[0]?.path.join('.') || 'the top';
    throw notOne(`what is at ${printable(at, 80)} does not have the form of one`);
  }
  if (!result.data.clusters?.length) throw notOne('it names no cluster');
  return result.data;
}

function selectedContext(config: KubeConfig, paths: string, context: string | undefined): Cluster {
  const name = context ?? config.getCurrentContext();
  const known = config.contexts.map((each) => printable(each.name, 120)).join(', ') || 'none';
  if (!name) {
    throw new CredentialsError(
      `the kubeconfig ${paths} has no current-context; choose one with --context (it has: ${known})`,
    );
  }
  if (!config.getContextObject(name)) {
    throw new CredentialsError(`the kubeconfig ${paths} has no context ${printable(name, 120)} (it has: ${known})`);
  }
  config.setCurrentContext(name);
  const cluster = config.getCurrentCluster();
  if (!cluster) {
    throw new CredentialsError(
      `context ${printable(name, 120)} of the kubeconfig ${paths} names a cluster that it does not define`,
    );
  }
  if (!URL.canParse(cluster.server) || !/^https?:$/.test(new URL(cluster.server).protocol)) {
    throw new CredentialsError(
      `cluster ${printable(cluster.name, 120)} of the kubeconfig ${paths} has no usable server address`,
    );
  }
  if (new URL(cluster.server).protocol === 'http:' && !cluster.skipTLSVerify) {
    throw new CredentialsError(
      `cluster ${printable(cluster.name, 120)} of the kubeconfig ${paths} has an http:// address, over which everybody on the way reads the credentials; use https://, or say insecure-skip-tls-verify: true if that is meant`,
    );
  }
  if (cluster.proxyUrl) {
    throw new CredentialsError(
      `cluster ${printable(cluster.name, 120)} of the kubeconfig ${paths} sets proxy-url, which is not supported`,
    );
  }
  return cluster;
}

// Exec plugins must be told which version of the protocol is spoken; those that talk to a person must know that none is here.
function withExecInfo(user: User, cluster: Cluster): void {
  if (!user.exec) return;
  const info = {
    apiVersion: user.exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(user.exec.provideClusterInfo && {
        cluster: { server: cluster.server, 'certificate-authority-data': cluster.caData },
      }),
    },
  };
  const others = Array.isArray(user.exec.env) ? user.exec.env : [];
  user.exec.env = [...others, { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
}

async function applied(config: KubeConfig, paths: string): Promise<RequestOptions> {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const user = config.getCurrentUser();
    const command = user?.exec?.command ?? user?.authProvider?.name;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    // What a plugin wrote is not repeated: it may hold what it was to keep.
    throw new CredentialsError(
      command
        ? `the credential plugin ${printable(String(command), 200)} of the kubeconfig ${paths} failed${code}; run it by hand to see why`
        : `the certificates or keys that the kubeconfig ${paths} names cannot be read${code}`,
    );
  }
  return options;
}

function bearer(options: RequestOptions): string | undefined {
  const { headers } = options;
  if (!headers || !('Authorization' in headers) || typeof headers.Authorization !== 'string') return undefined;
  return headers.Authorization.replace(/^Bearer /, '');
}

const pem = z
  .union([z.string(), z.instanceof(Buffer)])
  .optional()
  .transform((value) => value?.toString());

async function loaded(paths: string[]): Promise<{ config: KubeConfig; tokenFiles: Map<string, string> }> {
  const config = new KubeConfig();
  // The official client drops a user's `tokenFile`.
  const tokenFiles = new Map<string, string>();
  for (const [position, path] of paths.entries()) {
    for (const entry of (await checkKubeconfig(path)).users ?? []) {
      const found = withTokenFile.safeParse(entry);
      if (!found.success || tokenFiles.has(entry.name)) continue;
      tokenFiles.set(entry.name, resolve(dirname(path), found.data.user.tokenFile));
    }
    try {
      const next = position === 0 ? config : new KubeConfig();
      next.loadFromFile(path);
      if (next !== config) config.mergeConfig(next, true);
    } catch {
      throw new CredentialsError(
        `${printable(path)} is not a kubeconfig: a cluster, user or context in it is incomplete`,
      );
    }
  }
  return { config, tokenFiles };
}

/** Credentials from one kubeconfig, or several of which the first to name something wins. Throws a CredentialsError. */
export async function kubeconfigCredentials(paths: string[], context: string | undefined): Promise<Credentials> {
  const shown = paths.map((path) => printable(path)).join(', ');
  const select = async () => {
    const { config, tokenFiles } = await loaded(paths);
    const cluster = selectedContext(config, shown, context);
    const user = config.getCurrentUser();
    if (user) withExecInfo(user, cluster);
    return { config, cluster, user, tokenFile: user && tokenFiles.get(user.name) };
  };
  const { config, cluster, user, tokenFile: namedFile } = await select();
  const first = await applied(config, shown);
  const inFile = z.looseObject({ config: z.looseObject({ tokenFile: z.string() }) }).safeParse(user?.authProvider);
  const path = inFile.success ? inFile.data.config.tokenFile : namedFile;
  let token: Credentials['token'];
  if (path) {
    token = tokenFile(path);
  } else if (bearer(first) !== undefined) {
    let current = config;
    token = cachedToken(async (refresh) => {
      // Read again from the start: the file may hold another token, and plugins' tokens are kept in here until they expire.
      if (refresh) current = (await select()).config;
      const renewed = bearer(await applied(current, shown));
      if (renewed === undefined) throw new CredentialsError(`the kubeconfig ${shown} no longer gives a token`);
      return renewed;
    });
  }
  return {
    server: cluster.server,
    certificateAuthority: pem.parse(first.ca),
    clientCertificate: pem.parse(first.cert),
    clientKey: pem.parse(first.key),
    token,
    serverName: cluster.tlsServerName,
    insecureSkipTlsVerify: cluster.skipTLSVerify,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
  };
}
