// zod and the CRDs say the same: what one accepts the other accepts, tried on generated specs against the real API server.
import { expect } from 'chai';
import fc from 'fast-check';
import { agentGrants } from '../../src/api/grant.ts';
import { agentIdentities, parseIdentity } from '../../src/api/identity.ts';
import { API_VERSION } from '../../src/api/names.ts';
import { agentPolicies } from '../../src/api/policy.ts';
import { ApiError, type Client, pathOf } from '../../src/kube/client.ts';
import type { KubeObject, Resource } from '../../src/kube/object.ts';
import { type KindsCluster, startKindsCluster } from './kinds-cluster.ts';

const seldom = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 50, arbitrary: usual }, { weight: 1, arbitrary: odd });
const odd = fc.oneof(
  fc.string({ maxLength: 40, unit: 'grapheme' }),
  fc.constantFrom(
    '',
    '*',
    'Pods',
    'a b',
    '-a',
    'a/',
    'a//b',
    'a.',
    '..',
    'a\u001bb',
    'a\u202eb',
    'a\u009bb',
    'a\u2028b',
    'a b c',
    ' ',
    '\u3000',
    '🙂',
    'pods/*',
    '*/scale',
    'x'.repeat(64),
    'x'.repeat(254),
  ),
);
const word = seldom(fc.constantFrom('a', 'demo', 'team-1', 'x'.repeat(52)), odd);
const duration = seldom(
  fc.constantFrom('90s', '1h30m', '2160h', '1m'),
  fc.oneof(
    odd,
    fc.stringMatching(/^[0-9]{0,5}[hms]?[0-9]{0,5}[hms]?$/),
    fc.constantFrom('0s', '2160h1s', '1.5h', '-1h', '1d'),
  ),
);
const two = fc.constantFrom('00', '01', '02', '09', '12', '13', '23', '24', '28', '29', '30', '31', '59', '60', '99');
const time = seldom(
  fc.constantFrom(
    '2026-03-01T09:00:00Z',
    '2026-03-01T09:00:00.5Z',
    '2026-03-01T09:00:00+01:00',
    '2027-01-01T00:00:00Z',
  ),
  fc.oneof(
    odd,
    fc
      .tuple(fc.constantFrom('2026', '2028', '1900', '2000', '0000', '9999', '26'), two, two, two, two, two)
      .chain(([year, month, day, hour, minute, second]) =>
        fc
          .constantFrom(
            'Z',
            'z',
            '',
            '.5Z',
            '.Z',
            'x5Z',
            ',5Z',
            '.1234567891Z',
            '+01:00',
            '-23:59',
            '+24:00',
            '+1:00',
            ' Z',
          )
          .map((zone) => `${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`),
      ),
    fc.constantFrom('2026-03-01t09:00:00Z', '2026-03-01 09:00:00Z', '2026-03-01'),
  ),
);
const list = <T>(item: fc.Arbitrary<T>, max: number) =>
  seldom(
    fc.array(item, { minLength: 1, maxLength: 3 }),
    fc.oneof(fc.constant([]), fc.array(item, { minLength: max, maxLength: max + 1, size: 'max' })),
  );
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const present = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 80 });

const grant = fc.record({
  agent: present(word),
  task: present(
    fc.record({
      description: present(
        seldom(fc.constant('why'), fc.constantFrom('', ' ', 'a\nb', '🙂'.repeat(1024), 'x'.repeat(1025))),
      ),
      ref: optional(word),
    }),
  ),
  permissions: present(
    list(
      fc.record({
        scope: seldom(fc.constantFrom(undefined, undefined, undefined, 'Namespace', 'Cluster'), odd),
        namespaces: optional(list(word, 16)),
        apiGroups: present(list(seldom(fc.constantFrom('', 'apps', 'rbac.authorization.k8s.io', '*'), odd), 16)),
        resources: present(list(seldom(fc.constantFrom('pods', 'pods/log', '*/scale', 'deployments/*', '*'), odd), 16)),
        resourceNames: optional(list(seldom(fc.constantFrom('web', 'system:node', 'A.b_c'), odd), 32)),
        verbs: present(list(seldom(fc.constantFrom('get', 'list', '*', 'impersonate-on:user-info:list'), odd), 16)),
      }),
      32,
    ),
  ),
  validity: present(fc.record({ notBefore: optional(time), notAfter: optional(time), duration: present(duration) })),
  windows: optional(
    list(
      fc.record({
        days: optional(list(seldom(fc.constantFrom('Mon', 'Sun'), fc.constantFrom('mon', 'Monday')), 7)),
        from: present(seldom(fc.constantFrom('00:00', '23:59'), fc.constantFrom('24:00', '9:00', '09:60', ''))),
        to: present(seldom(fc.constantFrom('17:00', '24:00', '00:00'), fc.constantFrom('24:01', '1700'))),
        timeZone: present(
          seldom(
            fc.constantFrom('UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5', 'US/Pacific'),
            fc.constantFrom('Europe/Berln', '+02:00', 'GMT+2', '', ' UTC', '../UTC'),
          ),
        ),
      }),
      8,
    ),
  ),
  conditions: optional(
    list(
      fc.record({
        name: present(seldom(fc.constantFrom('so', 'in-production'), odd)),
        expression: present(seldom(fc.constantFrom('true', 'a\n&& b'), fc.constantFrom('', 'x'.repeat(2049)))),
        onFalse: optional(fc.constantFrom('Suspend', 'Revoke', 'Revoke', 'Ignore')),
      }),
      8,
    ),
  ),
  credential: optional(fc.constantFrom('Identity', 'Identity', 'Gateway')),
});
const identity = fc.record({
  purpose: present(seldom(fc.constant('Triage'), fc.constantFrom('', 'x'.repeat(513), '🙂'.repeat(512), 'a\nb'))),
  owner: present(
    fc.record({
      kind: present(fc.constantFrom('User', 'Group', 'Group', 'Robot')),
      name: present(word),
      contact: optional(word),
    }),
  ),
  boundary: optional(
    fc.record({
      namespaces: optional(list(word, 64)),
      clusterScope: optional(fc.boolean()),
      maxGrantDuration: optional(duration),
      maxActiveGrants: optional(seldom(fc.constantFrom(1, 10, 1000), fc.constantFrom(0, -1, 1001, 2 ** 31, 2 ** 53))),
    }),
  ),
  expiresAt: optional(time),
});
const policy = fc.record({
  namespaceSelector: present(
    fc.record({
      matchExpressions: optional(
        list(
          fc.record({
            key: present(seldom(fc.constantFrom('team', 'kubernetes.io/metadata.name'), odd)),
            operator: present(fc.constantFrom('In', 'NotIn', 'Exists', 'DoesNotExist')),
            values: optional(list(seldom(fc.constantFrom('a', 'demo'), odd), 32)),
          }),
          16,
        ),
      ),
    }),
  ),
  limits: optional(fc.record({ maxGrantDuration: optional(duration) })),
  // Each good list is short: what has two of them has one of them twice.
  credentials: optional(
    fc.oneof(fc.constant(['Identity']), list(fc.constantFrom('Identity', 'Identity', 'Gateway'), 8)),
  ),
  requesterCheck: optional(fc.constantFrom('Continuous', 'AtIssue', 'Off', 'Off', 'Never')),
  freeze: optional(fc.record({ reason: present(seldom(fc.constant('an incident'), odd)) })),
});

describe('the schema on the API server accepts exactly what zod accepts', () => {
  let kinds: KindsCluster;
  let client: Client;

  before(async () => {
    kinds = await startKindsCluster();
    ({ client } = kinds);
  });
  after(() => kinds?.stop());

  /** Undefined when the API server would store the object, else its refusal. */
  async function verdict(collection: string, value: object): Promise<string | undefined> {
    try {
      await client.createRaw(`${collection}?dryRun=All`, value);
      return undefined;
    } catch (error) {
      if (error instanceof ApiError && [400, 422].includes(error.status)) return error.message;
      throw error;
    }
  }

  function agree(resource: Resource<KubeObject & { invalid?: string }>, arbitrary: fc.Arbitrary<unknown>) {
    const { kind, namespaced } = resource;
    const namespace = namespaced ? 'default' : undefined;
    return async () => {
      const counts = { accepted: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(arbitrary, async (spec) => {
          const value = JSON.parse(
            JSON.stringify({ apiVersion: API_VERSION, kind, metadata: { name: 'random', namespace }, spec }),
          );
          const server = await verdict(pathOf(resource, namespace), value);
          const zod = resource.parse(value).invalid;
          if (server === undefined) counts.accepted++;
          else counts.refused++;
          expect(server === undefined, `server: ${server ?? 'accepted'}; zod: ${zod ?? 'accepted'}`).to.equal(
            zod === undefined,
          );
        }),
        { numRuns: 600 },
      );
      // Some 40 grants of 600 are good all through.
      expect(counts.accepted, 'enough that is accepted').to.be.above(10);
      expect(counts.refused, 'enough that is refused').to.be.above(10);
    };
  }

  it('for every control, format and separator character there is, and for their neighbours', async () => {
    const special = /[\p{Cc}\p{Cf}\p{Z}]/u;
    const characters = Array.from({ length: 0x10ffff }, (_, code) => code)
      .filter((code) => code < 0xd800 || code > 0xdfff)
      .filter((code) =>
        [code - 1, code, code + 1].some((near) => special.test(String.fromCodePoint(Math.max(0, near)))),
      )
      .map((code) => String.fromCodePoint(code));
    expect(characters.length).to.be.above(250);
    for (const character of characters) {
      for (const contact of [character, `${character}b`]) {
        const metadata = { name: 'one', namespace: 'default' };
        const value = {
          apiVersion: API_VERSION,
          kind: 'AgentIdentity',
          metadata,
          spec: { purpose: 'Triage', owner: { kind: 'Group', name: 'sre', contact } },
        };
        const server = await verdict(pathOf(agentIdentities, 'default'), value);
        const code = `U+${character.codePointAt(0)?.toString(16)}`;
        expect(server === undefined, `${code}: ${server}`).to.equal(parseIdentity(value).invalid === undefined);
      }
    }
  });

  it('for grants', agree(agentGrants, grant));
  it('for identities', agree(agentIdentities, identity));
  it('for policies', agree(agentPolicies, policy));
});
