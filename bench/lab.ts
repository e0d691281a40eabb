// A control plane with hallpass on it, and who acts there: an admin, hallpass's own account, and a person who asks for grants.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentGrants } from '../src/api/grant.ts';
import { agentIdentities } from '../src/api/identity.ts';
import {
  API_VERSION,
  GRANTABLE_ROLE,
  ISSUER_ROLE,
  OPERATOR_SERVICE_ACCOUNT,
  SYSTEM_NAMESPACE,
} from '../src/api/names.ts';
import { ApiError, Client } from '../src/kube/client.ts';
import { cachedToken } from '../src/kube/credentials.ts';
import { type HallpassProcess, type Playground, startPlayground } from '../test/controlplane/playground.ts';
import type { Progress } from './figure.ts';
import { conditionOf, Follower, phaseOf } from './follower.ts';
import { inFlight } from './in-flight.ts';
import { quiet } from './metrics.ts';
import { startAsInPod } from './pod.ts';
import { cpuSeconds } from './processes.ts';

export type Lab = {
  playground: Playground;
  hallpass: HallpassProcess;
  admin: Client;
  /** Acts as hallpass itself, for the bare client: nobody else may write what hallpass writes. */
  operator: Client;
  /** Asks for grants, and holds what they hand out; no admin. */
  requester: Client;
  stop(): Promise<void>;
};

const rbac = '/apis/rbac.authorization.k8s.io/v1';
export const REQUESTER = 'bench-requester';

/**
 * `fastControllers` lifts the controller manager's client limits, for figures that it has no part in but whose set-up
 * would wait for it for minutes.
 */
export async function openLab(progress: Progress, o: { fastControllers?: boolean } = {}): Promise<Lab> {
  progress('starting a control plane and hallpass');
  const fast = ['--kube-api-qps=1000', '--kube-api-burst=2000', '--concurrent-job-syncs=20'];
  const playground = await startPlayground({
    replicas: 0,
    controllerManagerFlags: o.fastControllers ? fast : [],
  });
  const hallpass = await startAsInPod(playground);
  const { server, certificateAuthority, directory } = playground;
  const token = cachedToken(async () => (await readFile(join(directory, 'hallpass.token'), 'utf8')).trim());
  const as = async (user: string, groups: string[] = []) =>
    new Client({ credentials: await playground.credentialsFor({ user, groups }), userAgent: 'bench' });
  const admin = await as('bench-admin', ['system:masters']);
  const requester = await as(REQUESTER);
  const operator = new Client({ credentials: { server, certificateAuthority, token }, userAgent: 'bench' });
  await admin.createRaw(`${rbac}/clusterroles`, {
    metadata: { name: REQUESTER },
    rules: [
      { apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['create', 'get', 'patch'] },
      { apiGroups: [''], resources: ['pods', 'configmaps'], verbs: ['get', 'list'] },
    ],
  });
  await admin.createRaw(`${rbac}/clusterrolebindings`, {
    metadata: { name: REQUESTER },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: REQUESTER },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: REQUESTER }],
  });
  return {
    playground,
    hallpass,
    admin,
    operator,
    requester,
    async stop() {
      for (const client of [admin, operator, requester]) client.close();
      await playground.stop();
    },
  };
}

/** Opens a lab, lets `act` use it, and closes it whatever happens. */
export async function withLab<T>(
  progress: Progress,
  act: (lab: Lab) => Promise<T>,
  o: { fastControllers?: boolean } = {},
): Promise<T> {
  const lab = await openLab(progress, o);
  try {
    return await act(lab);
  } finally {
    await lab.stop();
  }
}

/** Makes namespaces in which hallpass may issue, as `kubectl apply -k deploy/namespace` does. */
export async function makeNamespaces({ admin }: Lab, names: string[]): Promise<void> {
  const subjects = [{ kind: 'ServiceAccount', name: OPERATOR_SERVICE_ACCOUNT, namespace: SYSTEM_NAMESPACE }];
  await inFlight(names, async (name) => {
    await admin.createRaw('/api/v1/namespaces', { metadata: { name } });
    for (const role of [GRANTABLE_ROLE, ISSUER_ROLE]) {
      await admin.createRaw(`${rbac}/namespaces/${name}/rolebindings`, {
        metadata: { name: role },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
        subjects,
      });
    }
  });
}

/** Makes the identity `agent` in each namespace, and waits until hallpass has made its ServiceAccount. */
export async function makeIdentities({ admin }: Lab, namespaces: string[]): Promise<void> {
  const ready = await Follower.start(admin, agentIdentities, { stateOf: conditionOf('Ready') });
  const wanted = ready.count('True') + namespaces.length;
  await inFlight(namespaces, (namespace) =>
    admin.createRaw(`/apis/${API_VERSION}/namespaces/${namespace}/agentidentities`, {
      apiVersion: API_VERSION,
      kind: 'AgentIdentity',
      metadata: { name: 'agent' },
      spec: { purpose: 'Is measured.', owner: { kind: 'Group', name: 'bench' } },
    }),
  );
  await ready.until(() => ready.count('True') >= wanted, 'identities to be ready');
  ready.stop();
}

export type GrantRequest = {
  namespace: string;
  name: string;
  validity: { duration?: string; notAfter?: string };
  /** Limits the grant to this ConfigMap; left out: it may list pods and ConfigMaps. */
  configMap?: string;
};

/** The grant as its requester writes it. */
export function grantBody({ namespace, name, validity, configMap }: GrantRequest) {
  const permission = configMap
    ? { apiGroups: [''], resources: ['configmaps'], resourceNames: [configMap], verbs: ['get'] }
    : { apiGroups: [''], resources: ['pods', 'configmaps'], verbs: ['get', 'list'] };
  return {
    apiVersion: API_VERSION,
    kind: 'AgentGrant',
    metadata: { name, namespace },
    spec: {
      agent: 'agent',
      task: { description: 'Is measured, which takes a sentence as people write them.', ref: 'BENCH-1' },
      permissions: [permission],
      validity,
    },
  };
}

export function grantPath(namespace: string): string {
  return `/apis/${API_VERSION}/namespaces/${namespace}/agentgrants`;
}

/** Creates grants as their requester, so many at a time. */
export async function requestGrants({ requester }: Lab, requests: GrantRequest[], limit?: number): Promise<void> {
  await inFlight(requests, (each) => requester.createRaw(grantPath(each.namespace), grantBody(each)), limit);
}

/**
 * How long this machine will take to make so many grants Active now, in ms, with room to spare: by a hundred in these
 * namespaces, whose end is waited for. hallpass has warmed up on them, as it has where it runs for longer than a minute.
 */
export async function timeToIssue(lab: Lab, namespaces: string[], grants: number): Promise<number> {
  const phases = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
  const sample = 100;
  const from = performance.now();
  const requests = names('warm', sample).map((name, index) => ({
    namespace: namespaces[index % namespaces.length] ?? '',
    name,
    configMap: name,
    validity: { duration: '15s' },
  }));
  await requestGrants(lab, requests);
  const ended = () => phases.count('Active') + phases.count('Expired');
  const last = await phases.until(() => ended() >= sample, 'the first grants to be Active');
  await phases.until(() => phases.count('Expired') >= sample, 'the first grants to be Expired');
  phases.stop();
  await quiet(lab.hallpass.healthUrl, 1_000);
  return ((last - from) / sample) * grants * 1.4 + 15_000;
}

/** So many names, `prefix-0` and on. */
export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** A client with the token of the agent in a namespace, got as a kubelet gets it. */
export async function agentClient({ playground }: Lab, namespace: string): Promise<Client> {
  const { server, certificateAuthority } = playground;
  const token = await playground.agentToken({ namespace, identity: 'agent' });
  return new Client({ credentials: { server, certificateAuthority, token: async () => token }, userAgent: 'bench' });
}

/** Whether the agent may read a ConfigMap, by asking for it: one that doesn't exist is answered with 404 to who may. */
export async function passes(agent: Client, namespace: string, configMap: string): Promise<boolean> {
  try {
    await agent.getRaw(`/api/v1/namespaces/${namespace}/configmaps/${configMap}`);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return true;
    if (error instanceof ApiError && error.status === 403) return false;
    throw error;
  }
}

/** The next whole second that is at least so far away, in ms since the epoch. */
export function wholeSecondIn(ms: number): number {
  return Math.ceil((Date.now() + ms) / 1000) * 1000;
}

/** CPU time that hallpass and the API server use while something is done, in seconds. */
export async function cpuDuring<T>({ playground, hallpass }: Lab, act: () => Promise<T>) {
  const pids = { hallpass: hallpass.pid, apiServer: playground.apiServer.pid, bench: process.pid };
  const read = async () => ({
    hallpass: await cpuSeconds(pids.hallpass).catch(() => 0),
    apiServer: await cpuSeconds(pids.apiServer),
    bench: await cpuSeconds(pids.bench),
  });
  const before = await read();
  const result = await act();
  const after = await read();
  const used = {
    hallpass: after.hallpass - before.hallpass,
    apiServer: after.apiServer - before.apiServer,
    bench: after.bench - before.bench,
  };
  const text = `hallpass ${used.hallpass.toFixed(1)} s, API server ${used.apiServer.toFixed(1)} s, bench ${used.bench.toFixed(1)} s`;
  return { result, used, text };
}
