// A control plane on which hallpass is started, killed and frozen by the tests themselves, and what they see of it.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { agentGrants, type ParsedGrant } from '../../src/api/grant.ts';
import { agentIdentities } from '../../src/api/identity.ts';
import { LEASE_NAME, SYSTEM_NAMESPACE } from '../../src/api/names.ts';
import { agentReceipts } from '../../src/api/receipt.ts';
import { Cache } from '../../src/kube/cache.ts';
import { Client } from '../../src/kube/client.ts';
import { cachedToken } from '../../src/kube/credentials.ts';
import { events, jobs, leases, roleBindings, roles } from '../../src/kube/kinds.ts';
import { silentLog } from '../../src/kube/log.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { installHallpass, keepToken } from '../controlplane/installation.ts';
import { clusterEntry, writeKubeconfig } from '../controlplane/kubeconfig.ts';
import { startNode } from '../controlplane/kubelet.ts';
import { type HallpassProcess, startHallpass } from '../controlplane/playground.ts';
import { type History, keepHistory } from '../harness/history.ts';
import { poll } from '../harness/poll.ts';
import { startWriteProxy, type WriteProxy } from './write-proxy.ts';

/** The namespaces that grants of the tests reach into; the first is their own. */
export const HOME = 'demo';
export const OTHER = 'demo-other';
export const AGENT = 'chaos';

/**
 * A whole second by which all grants of a test have been Active for a while, also on a machine that is busy with others. Requests that
 * are held until then must not have been given up, after 30 s.
 */
export const soon = () => new Date(Math.ceil(Date.now() / 1000 + 28) * 1000).toISOString();

export type Setting = {
  controlPlane: ControlPlane;
  admin: Client;
  proxy: WriteProxy;
  caches: ReturnType<typeof openCaches>;
  history: History;
  /** Starts a process of hallpass, behind the proxy if asked; it isn't ready yet. */
  start(o?: { proxied?: boolean }): Promise<HallpassProcess>;
  /** Resolves when the process holds the lease and works. */
  leads(hallpass: HallpassProcess): Promise<void>;
  /** Asks for access to the ConfigMap of the grant's own name. */
  grant(name: string, validity: Validity, namespaces?: string[], agent?: string): Promise<void>;
  remove(name: string): Promise<unknown>;
  /** Takes the status off a grant, as hallpass, which alone may. */
  wipe(name: string): Promise<unknown>;
  find(name: string): ParsedGrant | undefined;
  /** Whether the grant is Active and nothing more is to be written about it. */
  isSettled(name: string): boolean;
  /** Waits, without polling, for what the caches show. */
  until(what: string, holds: () => boolean, timeoutMs?: number): Promise<void>;
  /** Whether the API server lets the agent pass, by its own token. */
  access(name: string, namespace?: string): Promise<boolean>;
  /** Resolves with the time of it when the agent passes or is refused everywhere, as asked. */
  accessIs(wanted: boolean, name: string, namespaces?: string[]): Promise<number>;
  log(hallpass: HallpassProcess): Promise<string>;
  /** Removes the lease of a process that was killed, for the next one would have to wait until it has run out. */
  vacate(): Promise<unknown>;
  /** Tells every process of hallpass to stop, and waits until they have. */
  stopAll(): Promise<void>;
  stop(): Promise<void>;
};

export type Validity = { duration: string } | { notAfter: string };

function openCaches(admin: Client) {
  const o = { client: admin, log: silentLog };
  return {
    grants: new Cache({ ...o, resource: agentGrants }),
    identities: new Cache({ ...o, resource: agentIdentities }),
    receipts: new Cache({ ...o, resource: agentReceipts, namespace: SYSTEM_NAMESPACE }),
    bindings: new Cache({ ...o, resource: roleBindings }),
    roles: new Cache({ ...o, resource: roles }),
    jobs: new Cache({ ...o, resource: jobs }),
    leases: new Cache({ ...o, resource: leases, namespace: SYSTEM_NAMESPACE }),
    events: new Cache({ ...o, resource: events }),
  };
}

/** Starts it, without hallpass. */
export async function startSetting(): Promise<Setting> {
  // Dozens of grants at once take their dead men: at 20 requests a second that takes longer than what is tried here.
  const controllerManagerFlags = ['--kube-api-qps=100', '--kube-api-burst=200'];
  const controlPlane = await startControlPlane({ controllerManagerFlags });
  try {
    return await settingOn(controlPlane);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

async function settingOn(controlPlane: ControlPlane): Promise<Setting> {
  await installHallpass(controlPlane);
  const { directory, server, certificateAuthority } = controlPlane;
  const tokenFile = join(directory, 'hallpass.token');
  const keeper = await keepToken(controlPlane.kubectl, tokenFile);
  const proxy = await startWriteProxy({ url: server, certificateAuthority });
  const direct = join(directory, 'direct.kubeconfig');
  const proxied = join(directory, 'proxied.kubeconfig');
  await writeKubeconfig(direct, clusterEntry(server, certificateAuthority), { tokenFile });
  await writeKubeconfig(proxied, { server: proxy.url, 'insecure-skip-tls-verify': true }, { tokenFile });

  const admin = new Client({
    credentials: await controlPlane.credentialsFor({ user: 'hallpass-test-admin', groups: ['system:masters'] }),
  });
  const token = cachedToken(async () => (await readFile(tokenFile, 'utf8')).trim());
  const operator = new Client({ credentials: { server, certificateAuthority, token } });
  const caches = openCaches(admin);
  const history = keepHistory(caches.grants, caches.bindings);
  const checks = new Set<() => void>();
  const stopping = new AbortController();
  for (const cache of Object.values<Observed>(caches)) {
    cache.subscribe(() => {
      for (const check of checks) check();
    });
    cache.start(stopping.signal);
  }
  await Promise.all(Object.values<Observed>(caches).map((cache) => cache.synced()));

  await admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${HOME}/agentidentities`, {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentIdentity',
    metadata: { name: AGENT, namespace: HOME },
    spec: {
      purpose: 'Is interrupted.',
      owner: { kind: 'Group', name: 'testers' },
      boundary: { namespaces: [HOME, OTHER] },
    },
  });

  const until: Setting['until'] = (what, holds, timeoutMs = 60_000) =>
    new Promise((resolve, reject) => {
      const check = () => {
        if (!holds()) return;
        clearTimeout(timer);
        checks.delete(check);
        resolve();
      };
      const timer = setTimeout(() => {
        checks.delete(check);
        reject(new Error(`waited ${timeoutMs / 1000} s for ${what}`));
      }, timeoutMs);
      checks.add(check);
      check();
    });

  let started = 0;
  const running = new Set<HallpassProcess>();
  let ofAgent: Promise<string> | undefined;
  const agentToken = async () => {
    const node = await startNode(controlPlane);
    return (await node.runAgent({ namespace: HOME, identity: AGENT })).token;
  };
  const access: Setting['access'] = async (name, namespace = HOME) => {
    ofAgent ??= agentToken();
    const path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
    const status = await statusOf(new URL(path, server), certificateAuthority, await ofAgent);
    if (status !== 403 && status !== 404) throw new Error(`GET ${path} as the agent: ${status}`);
    return status === 404;
  };

  return {
    controlPlane,
    admin,
    proxy,
    caches,
    history,
    until,
    access,
    async start({ proxied: through = false } = {}) {
      started += 1;
      const hallpass = await startHallpass(controlPlane, {
        name: `hallpass-${started}`,
        kubeconfig: through ? proxied : direct,
        logFile: join(directory, `hallpass-${started}.log`),
        flags: [],
      });
      running.add(hallpass);
      return hallpass;
    },
    async leads(hallpass) {
      await hallpass.ready();
      const told = () => `it doesn't lead: ${hallpass.logFile}`;
      await poll(() => saysThatItLeads(hallpass), Boolean, 30_000, { pause: 20, told });
      await until('the agent to be ready', () => {
        return caches.identities.get({ namespace: HOME, name: AGENT })?.status.serviceAccount !== undefined;
      });
    },
    async grant(name, validity, namespaces = [HOME], agent = AGENT) {
      await admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${HOME}/agentgrants`, {
        apiVersion: 'hallpass.dev/v1alpha1',
        kind: 'AgentGrant',
        metadata: { name, namespace: HOME },
        spec: {
          agent,
          task: { description: 'Reads its own ConfigMap.' },
          permissions: [
            { namespaces, apiGroups: [''], resources: ['configmaps'], resourceNames: [name], verbs: ['get'] },
          ],
          validity,
        },
      });
    },
    remove: (name) => admin.delete(agentGrants, { namespace: HOME, name }),
    async wipe(name) {
      const grant = await operator.get(agentGrants, { namespace: HOME, name });
      return operator.replace(agentGrants, { ...grant, status: {} }, { subresource: 'status' });
    },
    isSettled(name) {
      const status = caches.grants.get({ namespace: HOME, name })?.status;
      const deadMan = status?.conditions?.find(({ type }) => type === 'DeadMan');
      return status?.phase === 'Active' && deadMan?.status === 'True';
    },
    find: (name) => caches.grants.get({ namespace: HOME, name }),
    async accessIs(wanted, name, namespaces = [HOME]) {
      const end = performance.now() + 10_000;
      for (const namespace of namespaces) {
        await poll(
          () => access(name, namespace),
          (passes) => passes === wanted,
          end - performance.now(),
          {
            pause: 10,
            told: (passes) => `the agent is ${passes ? 'let through' : 'refused'} for ${name} in ${namespace}`,
          },
        );
      }
      return Date.now();
    },
    log: ({ logFile }) => readFile(logFile, 'utf8'),
    vacate: () => admin.delete(leases, { namespace: SYSTEM_NAMESPACE, name: LEASE_NAME }),
    async stopAll() {
      await Promise.all([...running].map((hallpass) => hallpass.stop()));
      running.clear();
    },
    async stop() {
      stopping.abort();
      for (const hallpass of running) hallpass.kill('SIGKILL');
      keeper.stop();
      await proxy.close();
      for (const client of [admin, operator]) client.close();
      await controlPlane.stop();
    },
  };
}

async function saysThatItLeads({ healthUrl }: HallpassProcess): Promise<boolean> {
  try {
    return (await (await fetch(`${healthUrl}/readyz`)).text()).includes('leads');
  } catch {
    return false;
  }
}

/** What all caches have in common, whatever they hold. */
type Observed = { subscribe(handler: () => void): void; start(signal: AbortSignal): void; synced(): Promise<void> };

function statusOf(url: URL, certificateAuthority: string, token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { ca: certificateAuthority, headers: { Authorization: `Bearer ${token}` }, timeout: 10_000 };
    const call = request(url, options, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject);
    call.end();
  });
}
