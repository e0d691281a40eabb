// A real control plane (etcd, kube-apiserver, kube-controller-manager) on loopback, for tests, demo and playground.
// It never outlives the process that started it.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Credentials } from '../../src/kube/credentials.ts';
import { controlPlaneBinaries, type Program } from './binaries.ts';
import { createCertificateAuthority, type Signed, signingKeys } from './certificates.ts';
import { clusterEntry, type KubeconfigUser, writeKubeconfig } from './kubeconfig.ts';
import { freePort } from './ports.ts';
import { answers } from './readiness.ts';
import { type Supervisor, startSupervisor } from './supervise.ts';

export type User = { user: string; groups?: readonly string[] };
export type KubectlResult = { stdout: string; stderr: string; code: number };

/** One program of the control plane, which a test may stop and start again with the same flags, port and data. */
export type Component = {
  readonly pid: number;
  readonly logFile: string;
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
  /** Resolves when it runs; the API server, when it is ready. */
  start(): Promise<void>;
};

export type ControlPlane = {
  /** `https://127.0.0.1:PORT` */
  server: string;
  /** Path of the admin's kubeconfig (group system:masters). */
  kubeconfig: string;
  /** PEM. */
  certificateAuthority: string;
  /** Everything the control plane writes is in here; free for the caller's files, too. */
  directory: string;
  apiServer: Component;
  controllerManager: Component;
  /** Starts a further process that ends with the control plane and its starter. */
  supervisor: Supervisor;
  /** Runs kubectl, as admin unless a kubeconfig is named. Never throws on a non-zero exit code. */
  kubectl(args: string[], o?: { input?: string; kubeconfig?: string; signal?: AbortSignal }): Promise<KubectlResult>;
  /** Runs kubectl as admin and returns what it printed; throws what it complained about. */
  admin(args: string[], o?: { input?: string }): Promise<string>;
  /** A client certificate for any user, signed by the control plane's authority. */
  credentialsFor(user: User): Promise<Credentials>;
  /** Writes a kubeconfig and returns its path. */
  kubeconfigFor(user: User | { token: string } | { tokenFile: string }): Promise<string>;
  /** Waits until the controller manager has made a namespace's ServiceAccount (`default` in `default`, unless named). */
  serviceAccountReady(o?: { namespace?: string; name?: string }): Promise<void>;
  /** Ends everything and removes the state. */
  stop(): Promise<void>;
};

/**
 * What acts on RBAC, namespaces, service accounts, owners, quotas and workloads. Every controller more delays the start by
 * 0.15 s, since each gets a ServiceAccount of its own under the client limits that the dead man's figures depend on; and
 * the node lifecycle's would evict tests' pods, whose nodes no kubelet renews.
 */
const controllers = [
  'clusterrole-aggregation-controller',
  'cronjob-controller',
  'daemonset-controller',
  'deployment-controller',
  'disruption-controller',
  'endpoints-controller',
  'garbage-collector-controller',
  'job-controller',
  'namespace-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
  'resourcequota-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'statefulset-controller',
  'ttl-after-finished-controller',
  'validatingadmissionpolicy-status-controller',
];

const admin: User = { user: 'hallpass-test-admin', groups: ['system:masters'] };

async function temporaryDirectory(): Promise<string> {
  try {
    await access('/dev/shm', constants.W_OK | constants.X_OK);
    return await mkdtemp('/dev/shm/hallpass-');
  } catch {
    return await mkdtemp(join(tmpdir(), 'hallpass-'));
  }
}

/**
 * Starts a control plane and resolves when the API server is ready (some 4 s; the first build of its programs takes
 * minutes and reports progress on stderr). Its state is in a temporary directory, on a RAM disk where there is one, and
 * removed at the end.
 */
export async function startControlPlane(
  o: { apiServerFlags?: string[]; controllerManagerFlags?: string[] } = {},
): Promise<ControlPlane> {
  const binaries = await controlPlaneBinaries();
  const directory = await temporaryDirectory();
  const supervisor = await startSupervisor(directory);
  try {
    return await startIn(directory, supervisor, binaries, o);
  } catch (error) {
    await supervisor.end();
    throw error;
  }
}

async function startIn(
  directory: string,
  supervisor: Supervisor,
  binaries: Record<Program, string>,
  flags: { apiServerFlags?: string[]; controllerManagerFlags?: string[] },
): Promise<ControlPlane> {
  const file = (name: string) => join(directory, name);
  const put = (name: string, text: string) => writeFile(file(name), text, { mode: 0o600 });

  // etcd listens on a socket in the directory: no port to race for, and nobody else can reach it.
  const socket = `unix://${file('etcd.sock')}`;
  const peerSocket = `unix://${file('peer.sock')}`;
  const etcd = await supervisor.start({
    name: 'etcd',
    command: binaries.etcd,
    arguments: [
      `--data-dir=${file('etcd')}`,
      `--listen-client-urls=${socket}`,
      `--advertise-client-urls=${socket}`,
      `--listen-peer-urls=${peerSocket}`,
      `--initial-advertise-peer-urls=${peerSocket}`,
      `--initial-cluster=default=${peerSocket}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    logFile: file('etcd.log'),
  });

  const authority = await createCertificateAuthority();
  const [serving, signing, adminCertificate, controllerManagerCertificate] = await Promise.all([
    authority.serving(),
    signingKeys(),
    authority.client(admin.user, admin.groups ?? []),
    authority.client('system:kube-controller-manager', []),
  ]);
  await Promise.all([
    put('ca.crt', authority.certificate),
    put('ca.key', authority.key),
    put('serving.crt', serving.certificate),
    put('serving.key', serving.key),
    put('service-accounts.pub', signing.publicKey),
    put('service-accounts.key', signing.key),
  ]);

  const startApiServer = (port: number) =>
    supervisor.start({
      name: 'kube-apiserver',
      command: binaries['kube-apiserver'],
      arguments: [
        `--etcd-servers=${socket}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        // Nobody finds the server by its Endpoints here, and a loopback address isn't accepted in them.
        '--endpoint-reconciler-type=none',
        `--tls-cert-file=${file('serving.crt')}`,
        `--tls-private-key-file=${file('serving.key')}`,
        `--client-ca-file=${file('ca.crt')}`,
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${file('service-accounts.pub')}`,
        `--service-account-signing-key-file=${file('service-accounts.key')}`,
        '--service-cluster-ip-range=10.0.0.0/24',
        '--authorization-mode=Node,RBAC',
        '--enable-admission-plugins=NodeRestriction',
        '--profiling=false',
        ...(flags.apiServerFlags ?? []),
      ],
      logFile: file('kube-apiserver.log'),
    });
  const credentialsOf = (server: string, signed: Signed): Credentials => ({
    server,
    certificateAuthority: authority.certificate,
    clientCertificate: signed.certificate,
    clientKey: signed.key,
  });

  // Another process may take the port between its choice and its use: then another is tried.
  let port = await freePort();
  let apiServer = await startApiServer(port);
  for (let attempt = 1; ; attempt += 1) {
    const ready = credentialsOf(`https://127.0.0.1:${port}`, adminCertificate);
    try {
      await answers(ready, '/livez', (status) => status !== 0, apiServer);
      break;
    } catch (error) {
      const taken = /address already in use/.test(await apiServer.tail());
      if (!taken || attempt === 5) throw error;
      port = await freePort();
      apiServer = await startApiServer(port);
    }
  }
  const server = `https://127.0.0.1:${port}`;
  const adminCredentials = credentialsOf(server, adminCertificate);
  const apiServerReady = () => answers(adminCredentials, '/readyz', (status) => status === 200, apiServer);

  const kubeconfig = file('admin.kubeconfig');
  const configuration = (path: string, user: KubeconfigUser) =>
    writeKubeconfig(path, clusterEntry(server, authority.certificate), user);
  await Promise.all([
    configuration(kubeconfig, adminCertificate),
    configuration(file('kube-controller-manager.kubeconfig'), controllerManagerCertificate),
  ]);

  const startControllerManager = () =>
    supervisor.start({
      name: 'kube-controller-manager',
      command: binaries['kube-controller-manager'],
      arguments: [
        `--kubeconfig=${file('kube-controller-manager.kubeconfig')}`,
        '--secure-port=0',
        '--leader-elect=false',
        '--use-service-account-credentials=true',
        `--service-account-private-key-file=${file('service-accounts.key')}`,
        `--root-ca-file=${file('ca.crt')}`,
        // For the tests that run the controller which signs.
        `--cluster-signing-cert-file=${file('ca.crt')}`,
        `--cluster-signing-key-file=${file('ca.key')}`,
        `--controllers=${controllers.join()}`,
        '--profiling=false',
        ...(flags.controllerManagerFlags ?? []),
      ],
      logFile: file('kube-controller-manager.log'),
    });
  // It gives up on an API server that is not healthy within 10 s (WaitForAPIServer in cmd/kube-controller-manager/app).
  await apiServerReady();
  let controllerManager = await startControllerManager();

  const stop = async () => {
    await Promise.all([controllerManager.stop(), apiServer.stop(2_000)]);
    await etcd.stop();
    await supervisor.end();
  };

  const kubectl: ControlPlane['kubectl'] = (args, { input, kubeconfig: other, signal } = {}) =>
    new Promise((resolve) => {
      const environment = { ...process.env, KUBECACHEDIR: file('kubectl-cache'), HOME: directory };
      const child = execFile(
        binaries.kubectl,
        [`--kubeconfig=${other ?? kubeconfig}`, ...args],
        { env: environment, maxBuffer: 256 * 1024 * 1024, signal },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
          resolve({ stdout, stderr: stderr || (error?.message ?? ''), code });
        },
      );
      child.stdin?.on('error', () => {});
      child.stdin?.end(input ?? '');
    });

  return {
    server,
    kubeconfig,
    certificateAuthority: authority.certificate,
    directory,
    supervisor,
    apiServer: {
      get pid() {
        return apiServer.pid;
      },
      logFile: apiServer.logFile,
      kill: (signal) => apiServer.kill(signal),
      stop: async () => void (await apiServer.stop()),
      start: async () => {
        apiServer = await startApiServer(port);
        await apiServerReady();
      },
    },
    controllerManager: {
      get pid() {
        return controllerManager.pid;
      },
      logFile: controllerManager.logFile,
      kill: (signal) => controllerManager.kill(signal),
      stop: async () => void (await controllerManager.stop()),
      start: async () => {
        controllerManager = await startControllerManager();
      },
    },
    kubectl,
    async admin(args, o) {
      const result = await kubectl(args, o);
      if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr.trim()}`);
      return result.stdout;
    },
    credentialsFor: async ({ user, groups }) => credentialsOf(server, await authority.client(user, groups ?? [])),
    async kubeconfigFor(user) {
      const path = file(`${randomUUID()}.kubeconfig`);
      await configuration(path, 'user' in user ? await authority.client(user.user, user.groups ?? []) : user);
      return path;
    },
    serviceAccountReady: async ({ namespace = 'default', name = 'default' } = {}) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}`;
      await answers(adminCredentials, path, (status) => status === 200, controllerManager);
    },
    stop,
  };
}
