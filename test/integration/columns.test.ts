// What `kubectl get` prints of our kinds: byte for byte nothing that a terminal would act on, whatever was stored.
import { expect } from 'chai';
import { agentGrants } from '../../src/api/grant.ts';
import { agentIdentities } from '../../src/api/identity.ts';
import { API_VERSION } from '../../src/api/names.ts';
import { agentReceipts } from '../../src/api/receipt.ts';
import { agentSignals } from '../../src/api/signal.ts';
import { ApiError, type Client, pathOf } from '../../src/kube/client.ts';
import type { KubeObject, Resource } from '../../src/kube/object.ts';
import type { ControlPlane } from '../controlplane/controlplane.ts';
import { type KindsCluster, startKindsCluster } from './kinds-cluster.ts';

const HOSTILE = [
  '\u001b[2J',
  '\u009b31m',
  '\u202egnp',
  '\u2066',
  '\u200b',
  '\u2028',
  '\u2029',
  '\r',
  '\t',
  '\n',
  '\u007f',
];
const FORBIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const AT = '2026-03-01T09:00:00Z';
const permission = {
  apiGroups: ['apps'],
  resources: ['deployments'],
  resourceNames: ['web'],
  verbs: ['get'],
};
const condition = (type: string) => ({ type, status: 'True', reason: 'Word', message: 'word', lastTransitionTime: AT });
const user = { username: 'word', uid: 'word', groups: ['word'] };
const task = { description: 'word', ref: 'word' };
const created = [{ kind: 'Job', namespace: 'word', name: 'word', uid: 'word' }];

const kinds: { resource: Resource<KubeObject>; object: object; status: object }[] = [
  {
    resource: agentIdentities,
    object: {
      spec: {
        purpose: 'word',
        owner: { kind: 'User', name: 'word', contact: 'word' },
        boundary: { namespaces: ['word'], maxGrantDuration: '1h' },
        expiresAt: AT,
      },
    },
    status: {
      conditions: [condition('Ready'), condition('StandingAccess')],
      serviceAccount: { name: 'word', uid: 'word' },
      standingAccess: [{ binding: 'RoleBinding', namespace: 'word', name: 'word', role: 'word', subject: 'word' }],
    },
  },
  {
    resource: agentGrants,
    object: {
      spec: {
        agent: 'word',
        task,
        permissions: [{ ...permission, namespaces: ['word'] }],
        validity: { notBefore: AT, notAfter: '2026-03-01T10:00:00Z', duration: '1h' },
        credential: 'Identity',
      },
      stamps: { creator: user, requester: user },
    },
    status: {
      phase: 'Active',
      message: 'word',
      reasons: [{ reason: 'word', message: 'word' }],
      requester: 'word',
      requestedAt: AT,
      startTime: AT,
      expiresAt: AT,
      endedAt: AT,
      passingSince: AT,
      specHash: 'word',
      receipt: 'word',
      created,
      conditions: [condition('Granted')],
    },
  },
  {
    resource: agentReceipts,
    object: {
      spec: {
        grant: { namespace: 'word', name: 'word', uid: 'word' },
        specHash: 'word',
        agent: { name: 'word', uid: 'word' },
        creator: { username: 'word', uid: 'word' },
        requester: { username: 'word', uid: 'word' },
        task,
        access: [{ namespace: 'word', rules: [permission] }],
        summary: 'word',
        startTime: AT,
        expiresAt: AT,
      },
    },
    status: { outcome: 'Expired', endedAt: AT, reason: 'word', message: 'word' },
  },
  {
    resource: agentSignals,
    object: {
      spec: { signal: 'Incident', severity: 'High', agent: 'word', message: 'word', expiresAt: AT },
      stamps: { reporter: user },
    },
    status: {
      effect: 'Suspend',
      responses: [{ policy: 'word', line: 0, action: 'Suspend', users: ['word'], groups: ['word'] }],
    },
  },
];

/** The value once for each string in it, with that string changed. */
function variants(value: unknown, change: (text: string) => string): unknown[] {
  if (typeof value === 'string') return [change(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item, at) => variants(item, change).map((variant) => value.with(at, variant)));
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) =>
    variants(item, change).map((variant) => ({ ...value, [key]: variant })),
  );
}

describe('the columns of kubectl get', () => {
  let installed: KindsCluster;
  let cluster: ControlPlane;
  let client: Client;

  before(async () => {
    installed = await startKindsCluster();
    ({ cluster, client } = installed);
  });
  after(() => installed?.stop());

  /** Whether the API server took it; no guards are installed here, so that stamps and receipts can be written, too. */
  async function taken(write: Promise<unknown>): Promise<boolean> {
    try {
      await write;
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 422) return false;
      throw error;
    }
  }

  for (const { resource, object, status } of kinds) {
    it(`hold nothing that a terminal would act on, whichever field of an ${resource.kind} is hostile`, async () => {
      const { kind, plural } = resource;
      const counts = { taken: 0, refused: 0 };
      const store = async (parts: object, itsStatus: object) => {
        const name = `n${counts.taken + counts.refused}`;
        const value = { apiVersion: API_VERSION, kind, metadata: { name, namespace: 'default' }, ...parts };
        const options = { type: 'merge', subresource: 'status' } as const;
        const whole =
          (await taken(client.createRaw(pathOf(resource, 'default'), value))) &&
          (await taken(client.patch(resource, { namespace: 'default', name }, { status: itsStatus }, options)));
        counts[whole ? 'taken' : 'refused']++;
        return whole;
      };
      expect(await store(object, status), 'harmless, it is accepted').to.equal(true);
      for (const bad of HOSTILE) {
        for (const parts of variants(object, (text) => `${text}${bad}x`)) await store(Object(parts), status);
        for (const itsStatus of variants(status, (text) => `${text}${bad}x`)) await store(object, Object(itsStatus));
      }
      expect(counts.refused, 'refused').to.be.above(HOSTILE.length);
      expect(counts.taken, 'accepted, since no column shows it').to.be.above(HOSTILE.length);
      for (const output of [[], ['-o', 'wide']]) {
        const { stdout } = await cluster.kubectl(['get', plural, '-n', 'default', ...output]);
        const rows = stdout.trimEnd().split('\n');
        expect(rows.length, 'a row an object').to.be.above(counts.taken);
        for (const row of rows) expect(row).to.not.match(FORBIDDEN);
      }
    });
  }
});
