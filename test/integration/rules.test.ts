// The algebra of RBAC rules against a real API server: its authorizer (SubjectAccessReview) and its escalation check.

import { expect } from 'chai';
import fc from 'fast-check';
import { z } from 'zod';
import { ApiError, Client } from '../../src/kube/client.ts';
import {
  covers,
  type NonResourceRequest,
  type PolicyRule,
  type ResourceRequest,
  rulesAllow,
  uncoveredRules,
} from '../../src/policy/rules.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { poll } from '../harness/poll.ts';

type Asked = ResourceRequest | NonResourceRequest;
type Scope = 'Role' | 'ClusterRole in a namespace' | 'ClusterRole';
/** A user and all that it holds. */
type Holder = { user: string; scope: Scope; rules: PolicyRule[]; asked: Asked[]; servants: PolicyRule[][] };

const namespace = 'default';
const rbac = 'rbac.authorization.k8s.io';
/** By this right we see when the authorizer's caches know a role and its binding. */
const probe: PolicyRule = { verbs: ['probe'], apiGroups: ['rules.test'], resources: ['probes'] };
const roleMaker: PolicyRule = { verbs: ['create'], apiGroups: [rbac], resources: ['roles'] };

const verbs = ['get', 'list', 'create', '*'];
const groups = ['', 'apps', '*'];
const resources = ['pods', 'pods/log', 'pods/scale', 'deployments', 'deployments/*', '*/scale', '*/*', '*'];
const names = ['a', 'b', '*'];
const urls = ['/api', '/api/*', '/api*', '/api/**', '/a*i', '/x/*/y', '*'];

const some = (values: string[]) => fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const resourceRule: fc.Arbitrary<PolicyRule> = fc.record({
  verbs: some(verbs),
  apiGroups: some(groups),
  resources: some(resources),
  resourceNames: fc.oneof(fc.constant<string[]>([]), some(names)),
});
const urlRule: fc.Arbitrary<PolicyRule> = fc.record({ verbs: some(verbs), nonResourceURLs: some(urls) });
const resourceRequest: fc.Arbitrary<ResourceRequest> = fc.record({
  verb: fc.constantFrom(...verbs, 'delete'),
  apiGroup: fc.constantFrom(...groups, 'batch'),
  resource: fc.constantFrom('pods', 'deployments', 'services', '*'),
  subresource: fc.constantFrom('', '', 'log', 'scale', '*'),
  name: fc.constantFrom('', 'a', 'b', 'c', '*'),
});
const urlRequest: fc.Arbitrary<NonResourceRequest> = fc.record({
  verb: fc.constantFrom(...verbs),
  path: fc.constantFrom('/', '/api', '/api/', '/api/v1', '/apis', '/x/z/y', ...urls),
});

/** A request that this atom of a rule is about, so that not all requests are refused. */
function requestFor({
  verbs: [verb = ''],
  apiGroups,
  resources: of,
  resourceNames,
  nonResourceURLs,
}: PolicyRule): Asked {
  if (nonResourceURLs?.[0] !== undefined) {
    return { verb, path: nonResourceURLs[0] };
  }
  const [resource = '', subresource = ''] = (of?.[0] ?? '').split('/');
  return { verb, apiGroup: apiGroups?.[0], resource, subresource, name: resourceNames?.[0] };
}

const holdings = fc
  .record({
    scope: fc.constantFrom<Scope>('Role', 'ClusterRole in a namespace', 'ClusterRole'),
    ofResources: fc.array(resourceRule, { minLength: 1, maxLength: 3 }),
    ofUrls: fc.array(urlRule, { minLength: 1, maxLength: 2 }),
  })
  .chain(({ scope, ofResources, ofUrls }) => {
    const rules = scope === 'ClusterRole' ? [...ofResources, ...ofUrls] : ofResources;
    const asked = scope === 'ClusterRole' ? fc.oneof(resourceRequest, urlRequest) : resourceRequest;
    const atoms = [...uncoveredRules([], rules)];
    const owned = [...uncoveredRules([], ofResources)];
    return fc.record({
      scope: fc.constant(scope),
      rules: fc.constant(rules),
      asked: fc
        .tuple(
          fc.array(asked, { minLength: 6, maxLength: 6 }),
          fc.array(fc.constantFrom(...atoms).map(requestFor), { minLength: 6, maxLength: 6 }),
        )
        .map((both) => both.flat()),
      servants: fc.array(
        fc.oneof(
          fc.array(resourceRule, { minLength: 1, maxLength: 2 }),
          fc.array(fc.constantFrom(...owned), { minLength: 1, maxLength: 4 }),
        ),
        { minLength: 5, maxLength: 5 },
      ),
    });
  });

function objectsOf({ user, scope, rules }: Holder): object[] {
  const roleKind = scope === 'Role' ? 'Role' : 'ClusterRole';
  const bindingKind = scope === 'ClusterRole' ? 'ClusterRoleBinding' : 'RoleBinding';
  const place = (kind: string) => (kind.startsWith('Cluster') ? { name: user } : { name: user, namespace });
  return [
    { apiVersion: `${rbac}/v1`, kind: roleKind, metadata: place(roleKind), rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: bindingKind,
      metadata: place(bindingKind),
      roleRef: { apiGroup: rbac, kind: roleKind, name: user },
      subjects: [{ apiGroup: rbac, kind: 'User', name: user }],
    },
  ];
}

const review = z.object({ status: z.object({ allowed: z.boolean(), evaluationError: z.string().optional() }) });

describe('the algebra of RBAC rules, beside a real API server', () => {
  let controlPlane: ControlPlane;
  let admin: Client;
  let holders: Holder[];

  const allowed = async ({ user, scope }: Holder, asked: Asked): Promise<boolean> => {
    const { verb } = asked;
    const attributes =
      asked.resource === undefined
        ? { nonResourceAttributes: { verb, path: asked.path } }
        : {
            resourceAttributes: {
              verb,
              group: asked.apiGroup,
              resource: asked.resource,
              subresource: asked.subresource,
              name: asked.name,
              ...(scope !== 'ClusterRole' && { namespace }),
            },
          };
    const answer = await admin.createRaw('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, ...attributes },
    });
    return review.parse(answer).status.allowed;
  };

  before(async function () {
    this.timeout(15 * 60_000);
    controlPlane = await startControlPlane();
    const credentials = await controlPlane.credentialsFor({ user: 'rules-test', groups: ['system:masters'] });
    admin = new Client({ credentials });
    holders = fc.sample(holdings, { numRuns: 36, seed: 20_260_721 }).map((holding, i) => ({
      ...holding,
      user: `rules-${i}`,
      rules: [...holding.rules, probe, roleMaker],
    }));
    const items = holders.flatMap(objectsOf);
    await controlPlane.admin(['create', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    });
    for (const holder of holders) {
      // The authorizer announces to nobody what its caches know: asking again is the only way.
      await poll(
        () => allowed(holder, { verb: 'probe', apiGroup: 'rules.test', resource: 'probes' }),
        (yes) => yes,
        30_000,
        { pause: 20, told: () => `${holder.user} has not got its role` },
      );
    }
  });

  after(async () => {
    admin?.close();
    await controlPlane?.stop();
  });

  it('allows what a SubjectAccessReview allows, and nothing else', async () => {
    const verdicts = { true: 0, false: 0 };
    for (const holder of holders) {
      await Promise.all(
        holder.asked.map(async (asked) => {
          const ours = rulesAllow(holder.rules, asked);
          verdicts[`${ours}`] += 1;
          const theirs = await allowed(holder, asked);
          expect(ours, JSON.stringify({ rules: holder.rules, asked })).to.equal(theirs);
        }),
      );
    }
    expect(verdicts.true).to.be.greaterThan(100);
    expect(verdicts.false).to.be.greaterThan(100);
  });

  it('covers what the API server lets a user put into a Role, and nothing else', async () => {
    const verdicts = { true: 0, false: 0 };
    for (const holder of holders) {
      const client = new Client({ credentials: await controlPlane.credentialsFor({ user: holder.user }) });
      try {
        for (const [i, rules] of holder.servants.entries()) {
          const made = { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: `${holder.user}-${i}` }, rules };
          const theirs = await client.createRaw(`/apis/${rbac}/v1/namespaces/${namespace}/roles?dryRun=All`, made).then(
            () => true,
            (error: unknown) => {
              if (error instanceof ApiError && error.status === 403 && error.message.includes('not currently held')) {
                return false;
              }
              throw error;
            },
          );
          const ours = covers(holder.rules, rules).covered;
          verdicts[`${ours}`] += 1;
          expect(ours, JSON.stringify({ owner: holder.rules, servant: rules })).to.equal(theirs);
        }
      } finally {
        client.close();
      }
    }
    expect(verdicts.true).to.be.greaterThan(40);
    expect(verdicts.false).to.be.greaterThan(40);
  });
});
