// Who we are to the API server, and where it is: from the pod's ServiceAccount, or from a kubeconfig.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { printable } from '../text.ts';

/**
 * An address and how to authenticate there. Certificates and key are PEM. `token` is asked before each request and caches
 * by itself; `refresh` asks it not to, after a 401.
 */
export type Credentials = {
  server: string;
  certificateAuthority?: string;
  clientCertificate?: string;
  clientKey?: string;
  token?: (options?: { refresh?: boolean }) => Promise<string>;
  serverName?: string;
  insecureSkipTlsVerify?: boolean;
  /** The namespace that the kubeconfig's context, or the pod, is in. */
  namespace?: string;
};

/** No usable credentials were found. The message says what was tried and what to do. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
}

const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
const rereadMs = 60_000;

/**
 * A token that is kept for a minute, unless asked to `refresh`, which `read` is told. One call of `read` is in flight at a time. While `read` fails the last token is
 * used on: it may still be good, and the API server says when it isn't.
 */
export function cachedToken(
  read: (refresh: boolean) => Promise<string>,
  options: { now?: () => number; maxAgeMs?: number } = {},
): (options?: { refresh?: boolean }) => Promise<string> {
  const now = options.now ?? (() => performance.now());
  const maxAgeMs = options.maxAgeMs ?? rereadMs;
  let current: Promise<string> | undefined;
  let readAt = 0;
  let reading: Promise<string> | undefined;
  return ({ refresh = false } = {}) => {
    if (current && !refresh && now() - readAt < maxAgeMs) return current;
    if (reading) return reading;
    const previous = current;
    reading = read(refresh)
      .catch((error) => {
        if (previous) return previous;
        throw error;
      })
      .then((token) => {
        current = Promise.resolve(token);
        readAt = now();
        return token;
      })
      .finally(() => {
        reading = undefined;
      });
    return reading;
  };
}

/** A token in a file that someone else renews, as kubelets do. */
export function tokenFile(path: string): (options?: { refresh?: boolean }) => Promise<string> {
  return cachedToken(async () => {
    const token = (await readFile(path, 'utf8').catch(unreadable(path))).trim();
    if (token === '') throw new CredentialsError(`the token file ${path} is empty`);
    return token;
  });
}

const unreadable = (path: string) => (error: NodeJS.ErrnoException) => {
  throw new CredentialsError(`${path} cannot be read (${error.code ?? 'unknown error'})`);
};

async function inClusterCredentials(host: string, port: string, directory: string): Promise<Credentials> {
  const token = tokenFile(join(directory, 'token'));
  await token();
  const caPath = join(directory, 'ca.crt');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    certificateAuthority: await readFile(caPath, 'utf8').catch(unreadable(caPath)),
    token,
    namespace: (await readFile(join(directory, 'namespace'), 'utf8').catch(() => '')).trim() || undefined,
  };
}

/**
 * Finds credentials: the kubeconfig that is named by `kubeconfig`, else by the environment's KUBECONFIG, else the pod's
 * ServiceAccount, else `~/.kube/config`. `context` names one of the kubeconfig's contexts; left out, its current one.
 * Throws a CredentialsError. `environment`, `home` and `serviceAccountPath` are for tests.
 */
export async function loadCredentials(
  options: {
    kubeconfig?: string;
    context?: string;
    environment?: NodeJS.ProcessEnv;
    home?: string;
    serviceAccountPath?: string;
  } = {},
): Promise<Credentials> {
  const environment = options.environment ?? process.env;
  // Loaded only here: in a pod, what reads a kubeconfig would cost 400 ms and 75 MB for nothing.
  const fromFiles = async (paths: string[]): Promise<Credentials> =>
    (await import('./kubeconfig.ts')).kubeconfigCredentials(paths, options.context);

  if (options.kubeconfig) return fromFiles([options.kubeconfig]);
  if (environment.KUBECONFIG) {
    const named = environment.KUBECONFIG.split(delimiter).filter((path) => path !== '');
    const present = named.filter((path) => existsSync(path));
    if (present.length === 0) {
      throw new CredentialsError(
        `KUBECONFIG names ${named.map((path) => printable(path)).join(', ')}, which does not exist; correct or unset it`,
      );
    }
    return fromFiles(present);
  }
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host && port) return inClusterCredentials(host, port, options.serviceAccountPath ?? serviceAccountDirectory);
  const standard = join(options.home ?? homedir(), '.kube', 'config');
  if (existsSync(standard)) return fromFiles([standard]);
  throw new CredentialsError(
    'no credentials for an API server: no --kubeconfig was given, KUBECONFIG is not set, this is not a pod ' +
      `(KUBERNETES_SERVICE_HOST is not set), and ${standard} does not exist. Name a kubeconfig with --kubeconfig.`,
  );
}
