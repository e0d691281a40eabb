// What the tests of endings share: one playground, what it holds as something that can be waited for, and agents that ask.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { conditionProblems } from '../../../src/api/consistency.ts';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { LABELS, LEASE_NAME, SYSTEM_NAMESPACE } from '../../../src/api/names.ts';
import { agentReceipts, type ParsedReceipt } from '../../../src/api/receipt.ts';
import { agentSignals } from '../../../src/api/signal.ts';
import { Cache } from '../../../src/kube/cache.ts';
import { ApiError, Client, isNotFound } from '../../../src/kube/client.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  jobs,
  leases,
  namespaces,
  roleBindings,
  roles,
  serviceAccounts,
  services,
} from '../../../src/kube/kinds.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { type KubeObject, keyOf, type ObjectRef, type Resource } from '../../../src/kube/object.ts';
import { startPlayground } from '../../controlplane/playground.ts';
import { poll } from '../../harness/poll.ts';

/** What the docs promise from the deadline to the refusal, with every replica dead, in milliseconds. */
export const PROMISED = 15_000;

export const guardsDirectory = join(import.meta.dirname, '..', '..', '..', 'deploy', 'guards');

/**
 * Sooner than any dead-man Job, which leaves hallpass 4 s: it was hallpass, in milliseconds. How soon it is takes a machine that
 * does nothing else, and `make bench`.
 */
export const BY_HALLPASS = 4_000;

/** How long anything may take that is not told otherwise, in milliseconds. */
const BOUND = 20_000;

const enabling: unknown[] = readFileSync(
  join(import.meta.dirname, '..', '..', '..', 'deploy', 'namespace', 'rolebindings.yaml'),
  'utf8',
)
  .split(/^---$/m)
  .map((document) => parse(document));

export type Permission = {
  scope?: 'Namespace' | 'Cluster';
  namespaces?: string[];
  apiGroups?: string[];
  resources?: string[];
  verbs?: string[];
  resourceNames?: string[];
};

/** A grant of the agent `triage`, as it stands in Git. Without permissions: listing pods in its own namespace. */
export function grantManifest(
  ref: { namespace: string; name: string },
  o: {
    permissions?: Permission[];
    duration?: string;
    notAfter?: string;
    endsWith?: { kind: 'Job' | 'Pod'; name: string };
    task?: string;
  } = {},
) {
  const permissions = (o.permissions ?? [{}]).map((permission) => ({
    apiGroups: [''],
    resources: ['pods'],
    verbs: ['list'],
    ...permission,
  }));
  const end = o.notAfter ? { notAfter: o.notAfter } : { duration: o.duration ?? '1h' };
  const validity = { ...end, ...(o.endsWith ? { endsWith: o.endsWith } : {}) };
  const task = { description: 'Find out why.', ...(o.task ? { ref: o.task } : {}) };
  return {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentGrant',
    metadata: { ...ref },
    spec: { agent: 'triage', task, permissions, validity },
  };
}

export function identityManifest(namespace: string, boundary?: object, name = 'triage') {
  return {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentIdentity',
    metadata: { namespace, name },
    spec: {
      purpose: 'Looks into incidents.',
      owner: { kind: 'Group', name: 'oncall' },
      ...(boundary ? { boundary } : {}),
    },
  };
}

/** Where pods of a namespace are listed. */
export const podsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`;
export const configMapsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;

export type Agent = {
  /** The status that the API server answers with. */
  asks(path: string): Promise<number>;
  /** Asks until it is answered so, and returns when that was. */
  until(path: string, status: number, bound?: number): Promise<number>;
};

export type Stage = Awaited<ReturnType<typeof openStage>>;

async function openStage(o: Parameters<typeof startPlayground>[0] = {}) {
  const playground = await startPlayground(o);
  const admin = new Client({
    credentials: await playground.credentialsFor({ user: 'hallpass-test-admin', groups: ['system:masters'] }),
  });
  const closing = new AbortController();
  const clients: Client[] = [admin];
  const open = <T extends KubeObject>(resource: Resource<T>, labelSelector?: string) => {
    const cache = new Cache({ client: admin, resource, labelSelector, log: silentLog });
    cache.start(closing.signal);
    return cache;
  };
  const seen = {
    grants: open(agentGrants),
    identities: open(agentIdentities),
    receipts: open(agentReceipts),
    jobs: open(jobs, LABELS.grant),
    roles: open(roles, LABELS.grant),
    roleBindings: open(roleBindings, LABELS.grant),
    serviceAccounts: open(serviceAccounts, LABELS.identityUid),
    namespaces: open(namespaces),
    signals: open(agentSignals),
  };
  await Promise.all(Object.values(seen).map((cache) => cache.synced()));

  /** What was wrong with any status that was ever stored. */
  const problems: string[] = [];
  for (const cache of [seen.grants, seen.identities]) {
    cache.subscribe(({ object, type }) => {
      if (type === 'deleted') return;
      const found = conditionProblems(object.status).map((problem) => `${keyOf(object.metadata)}: ${problem}`);
      problems.push(...found);
    });
  }

  /** Waits for an object to be as wanted, or (for a predicate that takes undefined) gone. */
  async function until<T extends KubeObject>(
    cache: Cache<T>,
    ref: ObjectRef,
    wanted: (object: T | undefined) => boolean,
    bound = BOUND,
  ): Promise<T | undefined> {
    const found = Promise.withResolvers<void>();
    const look = () => {
      if (wanted(cache.get(ref))) found.resolve();
    };
    cache.subscribe(look);
    look();
    const late = setTimeout(() => {
      const now = JSON.stringify(cache.get(ref));
      found.reject(new Error(`${cache.resource.kind} ${keyOf(ref)} is not as wanted after ${bound} ms: ${now}`));
    }, bound);
    await found.promise.finally(() => clearTimeout(late));
    return cache.get(ref);
  }

  const stage = {
    playground,
    admin,
    seen,
    problems,
    until,
    poll,

    /** Somebody with credentials of their own. */
    async person(user: string, groups: string[] = []): Promise<Client> {
      const client = new Client({ credentials: await playground.credentialsFor({ user, groups }) });
      clients.push(client);
      return client;
    },
    /** Whoever this token is of. */
    withToken(token: string): Client {
      const { server, certificateAuthority } = playground;
      const client = new Client({ credentials: { server, certificateAuthority, token: async () => token } });
      clients.push(client);
      return client;
    },
    /** Binds a role to a user in a namespace; `kind` and `roleKind` name a group, or a Role of the namespace. */
    async bind(
      namespace: string,
      name: string,
      role: string,
      { kind = 'User', roleKind = 'ClusterRole' }: { kind?: 'User' | 'Group'; roleKind?: 'ClusterRole' | 'Role' } = {},
    ): Promise<void> {
      const apiGroup = 'rbac.authorization.k8s.io';
      await admin.createRaw(`/apis/${apiGroup}/v1/namespaces/${namespace}/rolebindings`, {
        apiVersion: `${apiGroup}/v1`,
        kind: 'RoleBinding',
        metadata: { name: `${name}-${role}` },
        roleRef: { apiGroup, kind: roleKind, name: role },
        subjects: [{ apiGroup, kind, name }],
      });
    },

    /** A namespace of its own for a test, enabled unless told otherwise. */
    async namespace(name: string, { enabled = true, accepts = '' } = {}): Promise<string> {
      await admin.createRaw('/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name, annotations: accepts ? { 'hallpass.dev/accepts-grants-from': accepts } : {} },
      });
      const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/rolebindings`;
      if (enabled) for (const binding of enabling) await admin.createRaw(path, Object(binding));
      return name;
    },
    /** The agent `triage` of a namespace, ready. */
    async identity(namespace: string, boundary?: object): Promise<void> {
      const path = `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentidentities`;
      await admin.createRaw(path, identityManifest(namespace, boundary));
      await until(seen.identities, { namespace, name: 'triage' }, (identity) => !!identity?.status.serviceAccount);
    },
    /** Creates a grant as admin. */
    async create(manifest: ReturnType<typeof grantManifest>): Promise<void> {
      await admin.createRaw(
        `/apis/hallpass.dev/v1alpha1/namespaces/${manifest.metadata.namespace}/agentgrants`,
        manifest,
      );
    },
    /** Waits until a grant is in a phase, for a reason if one is named, and returns it. */
    async phase(ref: { namespace: string; name: string }, phase: string, reason?: string): Promise<ParsedGrant> {
      const grant = await until(seen.grants, ref, (now) => {
        const granted = now?.status.conditions?.find(({ type }) => type === 'Granted');
        const ready = now?.status.conditions?.find(({ type }) => type === 'Ready');
        // An Active grant is written once more when all is made.
        const done = phase !== 'Active' || ready?.status === 'True';
        const settled = now?.status.observedGeneration === now?.metadata.generation && done;
        return settled && now?.status.phase === phase && (reason === undefined || granted?.reason === reason);
      });
      if (!grant) throw new Error(`${keyOf(ref)} is gone`);
      return grant;
    },
    /** Creates a grant and waits until it is settled as Active. */
    async give(manifest: ReturnType<typeof grantManifest>): Promise<ParsedGrant> {
      await stage.create(manifest);
      await stage.phase(manifest.metadata, 'Active');
      return stage.deadMan(manifest.metadata, 'True');
    },
    /** Waits until the condition DeadMan is so, for a reason if one is named. */
    async deadMan(ref: { namespace: string; name: string }, status: string, reason?: string): Promise<ParsedGrant> {
      const grant = await until(seen.grants, ref, (now) => {
        const found = now?.status.conditions?.find(({ type }) => type === 'DeadMan');
        return found?.status === status && (reason === undefined || found.reason === reason);
      });
      if (!grant) throw new Error(`${keyOf(ref)} is gone`);
      return grant;
    },
    /** The receipts of a grant, whether it still exists or not. */
    receiptsOf: (ref: { namespace: string; name: string }): ParsedReceipt[] =>
      seen.receipts
        .list()
        .filter(({ spec }) => spec?.grant.name === ref.name && spec.grant.namespace === ref.namespace),
    /** The first receipt of a grant, once it says how the grant ended. */
    async closed(ref: { namespace: string; name: string }): Promise<ParsedReceipt['status'] | undefined> {
      const [receipt] = stage.receiptsOf(ref);
      const name = receipt?.metadata.name ?? '';
      const closed = await until(seen.receipts, { namespace: SYSTEM_NAMESPACE, name }, (now) => !!now?.status.outcome);
      return closed?.status;
    },
    /** Every object, as `Kind namespace/name`, that was made for a grant and is stored now. */
    async objectsOf(uid: string): Promise<string[]> {
      const labelSelector = `${LABELS.grant}=${uid}`;
      const lists = await Promise.all(
        [jobs, services, roles, roleBindings, clusterRoles, clusterRoleBindings].map(
          async (resource: Resource<KubeObject>) => {
            const { items } = await admin.list(resource, { labelSelector });
            return items.map(({ metadata }) => `${resource.kind} ${keyOf(metadata)}`);
          },
        ),
      );
      return lists.flat().sort();
    },
    /** Waits until nothing is left of a grant. */
    async nothingLeft(uid: string, bound = BOUND): Promise<void> {
      await stage.poll(
        () => stage.objectsOf(uid),
        (left) => left.length === 0,
        bound,
      );
    },

    /** An agent with a token of its own, as its pod gets one. */
    async agent(namespace: string, identity = 'triage'): Promise<Agent> {
      const client = stage.withToken(await playground.agentToken({ namespace, identity }));
      const asks = async (path: string) => {
        try {
          await client.getRaw(path);
          return 200;
        } catch (error) {
          if (error instanceof ApiError) return error.status;
          throw error;
        }
      };
      return {
        asks,
        async until(path, status, bound = BOUND) {
          const told = (answer: number) => `GET ${path} answers ${answer}, not ${status}`;
          await poll(
            () => asks(path),
            (answer) => answer === status,
            bound,
            { pause: 5, told },
          );
          return Date.now();
        },
      };
    },

    /** Kills every replica the hard way; `revive` starts them again, sparing them the wait for their lease. */
    async kill(): Promise<void> {
      for (const each of playground.hallpass) each.kill('SIGKILL');
      await Promise.all(playground.hallpass.map((each) => each.exited));
    },
    async revive(): Promise<void> {
      await stage.remove(leases, { namespace: SYSTEM_NAMESPACE, name: LEASE_NAME });
      await Promise.all(playground.hallpass.map((each) => each.restart()));
    },
    /** The sum of a metric of the replica that runs, of the series that have this label if one is named. */
    async metric(name: string, label = ''): Promise<number> {
      const [replica] = playground.hallpass;
      const text = await (await fetch(`${replica?.healthUrl}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
      return lines
        .filter((line) => line.includes(label))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
    /** Deletes an object; what is gone already is fine. */
    async remove<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): Promise<void> {
      try {
        await admin.delete(resource, ref, { propagationPolicy: 'Background' });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
    async close(): Promise<void> {
      closing.abort();
      await Promise.all(Object.values(seen).map((cache) => cache.stopped));
      for (const client of clients) client.close();
      await playground.stop();
    },
  };
  return stage;
}

let opened: Promise<Stage> | undefined;
let users = 0;
/** Mocha's workers are given file after file: there the stage stays for those to come, and ends with its process. */
const isWorker = process.env.MOCHA_WORKER_ID !== undefined;

/**
 * The stage that files of endings, access and lifecycle share, within a `describe`; it closes after the last of them.
 * Whatever they store as a status must be consistent.
 */
export function useSharedStage(): () => Stage {
  let stage: Stage | undefined;
  users += 1;
  before(async function () {
    this.timeout(120_000);
    opened ??= openStage();
    stage = await opened;
  });
  afterEach(() => {
    expect(stage?.problems, 'inconsistent statuses').to.deep.equal([]);
  });
  after(async function () {
    this.timeout(60_000);
    users -= 1;
    if (users === 0 && !isWorker) await stage?.close();
  });
  return () => {
    if (!stage) throw new Error('the stage is not open yet');
    return stage;
  };
}

/** A stage of its own, for what leaves a cluster in pieces. */
export { openStage, SYSTEM_NAMESPACE };
