// The kinds on the real API server: installed, refusing what is wrong with a remedy, explained, and shown in tables.
import { expect } from 'chai';
import { customResourceDefinition } from '../../src/api/crd.ts';
import { agentGrantKind, agentGrants } from '../../src/api/grant.ts';
import { agentIdentityKind } from '../../src/api/identity.ts';
import { agentPolicyKind } from '../../src/api/policy.ts';
import { agentReceiptKind, agentReceipts } from '../../src/api/receipt.ts';
import { agentReviewKind } from '../../src/api/review.ts';
import { agentSignalKind } from '../../src/api/signal.ts';
import type { Client } from '../../src/kube/client.ts';
import type { ControlPlane, KubectlResult } from '../controlplane/controlplane.ts';
import { type KindsCluster, startKindsCluster } from './kinds-cluster.ts';

const apiVersion = 'hallpass.dev/v1alpha1';
const permission = { apiGroups: [''], resources: ['pods'], verbs: ['get'] };
const grantSpec = {
  agent: 'triage',
  task: { description: 'Find out why checkout is slow' },
  permissions: [permission],
  validity: { duration: '1h' },
};
const identitySpec = { purpose: 'Triage of incidents', owner: { kind: 'Group', name: 'sre' } };
const receiptSpec = {
  grant: { namespace: 'default', name: 'triage-1', uid: 'u-1' },
  specHash: 'v1-0',
  agent: { name: 'triage', uid: 'u-2' },
  creator: { username: 'jane' },
  requester: { username: 'jane' },
  task: { description: 'Find out why checkout is slow' },
  access: [{ namespace: 'default', rules: [permission] }],
  summary: 'get pods in default',
  startTime: '2026-03-01T09:00:00Z',
  expiresAt: '2026-03-01T10:00:00Z',
};

const object = (kind: string, name: string, spec: unknown, rest: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name, namespace: 'default' },
  spec,
  ...rest,
});

describe('the kinds on the API server', () => {
  let kinds: KindsCluster;
  let cluster: ControlPlane;
  let client: Client;

  before(async () => {
    kinds = await startKindsCluster();
    ({ cluster, client } = kinds);
  });
  after(() => kinds?.stop());

  const send = (verb: 'create' | 'apply', value: object): Promise<KubectlResult> =>
    cluster.kubectl([verb, '-f', '-'], { input: JSON.stringify(value) });
  const refusal = async (value: object): Promise<string> => {
    const { code, stderr } = await send('create', value);
    expect(code, 'it was accepted').to.not.equal(0);
    return stderr;
  };

  it('are established, structural, and within the cost that CEL may have', async () => {
    const { stdout } = await cluster.kubectl(['get', 'crd', '-o', 'json']);
    const crds: { metadata: { name: string }; status: { conditions: { type: string; status: string }[] } }[] =
      JSON.parse(stdout).items;
    expect(crds.map((crd) => crd.metadata.name)).to.have.members(
      [agentGrantKind, agentIdentityKind, agentPolicyKind, agentReceiptKind, agentReviewKind, agentSignalKind].map(
        (kind) => customResourceDefinition(kind).metadata.name,
      ),
    );
    for (const crd of crds) {
      const status = Object.fromEntries(crd.status.conditions.map(({ type, status }) => [type, status]));
      expect(status.Established, crd.metadata.name).to.equal('True');
      expect(status.NonStructuralSchema ?? 'False', crd.metadata.name).to.equal('False');
    }
  });

  it('have short names and one category, which no other product uses', async () => {
    const { stdout } = await cluster.kubectl(['api-resources', '--categories=hallpass', '--no-headers']);
    for (const word of ['agentid', 'aggrant', 'agpol', 'agrec', 'agreview', 'agsig']) expect(stdout).to.contain(word);
    expect(stdout.trim().split('\n')).to.have.length(6);
  });

  describe('refuse, naming field and remedy,', () => {
    const grant = (change: object, name = 'bad') => object('AgentGrant', name, { ...grantSpec, ...change });
    const identity = (change: object) => object('AgentIdentity', 'bad', { ...identitySpec, ...change });
    const policy = (change: object) => ({
      apiVersion,
      kind: 'AgentPolicy',
      metadata: { name: 'bad' },
      spec: { namespaceSelector: {}, ...change },
    });
    const notADuration =
      'spec.validity.duration: Invalid value: .*: must be a whole number of seconds above 0 .* like 90s';
    const end = 'spec.validity: Required value: access needs an end in time: set validity.duration';
    const cases: [string, object, string][] = [
      [
        'an identity without an owner',
        identity({ owner: undefined }),
        'spec.owner: Required value: .*set spec.owner.kind',
      ],
      [
        'an identity without a purpose',
        identity({ purpose: undefined }),
        'spec.purpose: Required value: say what the agent is for',
      ],
      [
        'an object without a spec',
        object('AgentIdentity', 'bad', undefined),
        'spec: Required value: say what is wanted: set spec; kubectl explain',
      ],
      [
        'an identity with an empty purpose',
        identity({ purpose: '' }),
        'spec.purpose: .*say what the agent is for, in one',
      ],
      [
        'a blank purpose',
        identity({ purpose: '  ' }),
        'spec.purpose: .*say what the agent is for, in one line of text',
      ],
      ['a purpose of several lines', identity({ purpose: 'a\nb' }), 'spec.purpose: .*in YAML, >- in place of'],
      [
        'an owner that says nothing',
        identity({ owner: {} }),
        'spec.owner.kind: Required value: say whether [^]*spec.owner.name: Required value: name the user or group',
      ],
      [
        'an owner without a name',
        identity({ owner: { kind: 'User', name: '' } }),
        'spec.owner.name: .*name the user or group',
      ],
      [
        'a right-to-left mark',
        identity({ owner: { kind: 'User', name: 'a\u202eb' } }),
        'spec.owner.name: .*change direction',
      ],
      ['a C1 control', identity({ owner: { kind: 'User', name: 'a\u009bb' } }), 'spec.owner.name: .*no escapes'],
      [
        'a boundary of every namespace',
        identity({ boundary: { namespaces: ['*'] } }),
        'spec.boundary.namespaces\\[0\\]: .*such as demo.*no wildcard',
      ],
      ['a grant without an agent', grant({ agent: '' }), 'spec.agent: .*must be the name of an AgentIdentity'],
      ['an agent that is no name', grant({ agent: 'The One' }), 'spec.agent: .*lower-case letters'],
      [
        'a task without a description',
        grant({ task: {} }),
        'spec.task.description: Required value: say what the access',
      ],
      [
        'an empty description',
        grant({ task: { description: '' } }),
        'spec.task.description: .*say what the agent is to do',
      ],
      [
        'a permission without anything',
        grant({ permissions: [{}] }),
        'permissions\\[0\\].apiGroups: Required value: name[^]*\\[0\\].resources: Required value: name[^]*\\[0\\].verbs: Required value: name',
      ],
      [
        'a resource that is none',
        grant({ permissions: [{ ...permission, resources: ['Pods'] }] }),
        'permissions\\[0\\].resources\\[0\\]: .*lower-case plural',
      ],
      [
        'a group that is none',
        grant({ permissions: [{ ...permission, apiGroups: ['apps/v1'] }] }),
        'permissions\\[0\\].apiGroups\\[0\\]: .*such as apps',
      ],
      [
        'a name that is a path',
        grant({ permissions: [{ ...permission, resourceNames: ['a/b'] }] }),
        'permissions\\[0\\].resourceNames\\[0\\]: .*without spaces',
      ],
      [
        'a boundary of no time',
        identity({ boundary: { maxGrantDuration: '0s' } }),
        'spec.boundary.maxGrantDuration: .*like 90s',
      ],
      ['a grant without validity', grant({ validity: undefined }), end],
      ['a grant without an end in time', grant({ validity: { notBefore: '2026-03-01T09:00:00Z' } }), end],
      [
        'an end before its beginning',
        grant({ validity: { notBefore: '2026-03-01T09:00:00Z', notAfter: '2026-03-01T08:00:00Z' } }),
        'spec.validity.notAfter: Invalid value: .*move validity.notAfter after validity.notBefore',
      ],
      ['a duration of 0s', grant({ validity: { duration: '0s' } }), notADuration],
      ['a duration of -1h', grant({ validity: { duration: '-1h' } }), notADuration],
      ['a duration of 10y', grant({ validity: { duration: '10y' } }), notADuration],
      ['a duration of soon', grant({ validity: { duration: 'soon' } }), notADuration],
      [
        'an end that is no time',
        grant({ validity: { notAfter: 'tomorrow' } }),
        'spec.validity.notAfter: .*such as 2026-03-01T09:00:00Z',
      ],
      [
        'a beginning on a day that does not exist',
        grant({ validity: { notBefore: '2026-02-30T09:00:00Z', notAfter: '2026-03-01T09:00:00Z' } }),
        'spec.validity.notBefore: .*such as 2026-03-01T09:00:00Z',
      ],
      ['an expiry that is no time', identity({ expiresAt: 'never' }), 'spec.expiresAt: .*such as 2026-03-01T09:00:00Z'],
      [
        'an empty list of verbs',
        grant({ permissions: [{ ...permission, verbs: [] }] }),
        'spec.permissions\\[0\\].verbs: Required value: name at least one verb',
      ],
      [
        'an empty list of resources',
        grant({ permissions: [{ ...permission, resources: [] }] }),
        'spec.permissions\\[0\\].resources: Required value: name at least one resource',
      ],
      [
        'no permission',
        grant({ permissions: [] }),
        'spec.permissions: Required value: ask for at least one permission',
      ],
      [
        '10,000 permissions',
        grant({ permissions: Array(10_000).fill(permission) }),
        'spec.permissions: Too many: 10000: must have at most 32',
      ],
      [
        'a name over 52 characters',
        grant({}, 'x'.repeat(53)),
        'metadata.name: .*at most 52 characters.*choose a shorter name',
      ],
      [
        'a verb with a terminal escape',
        grant({ permissions: [{ ...permission, verbs: ['get\u001b[2J'] }] }),
        'spec.permissions\\[0\\].verbs\\[0\\]',
      ],
      [
        'unknown fields',
        grant({ permisions: [], windws: [] }),
        'unknown field "spec.permisions", unknown field "spec.windws"',
      ],
      ['an unknown field in an identity', identity({ tools: [] }), 'unknown field "spec.tools"'],
      [
        'a policy that selects nothing in particular',
        policy({ namespaceSelector: undefined }),
        'spec.namespaceSelector: Required value: .*\\{\\} selects every namespace',
      ],
      [
        'a line of a policy that says not why',
        policy({ deny: [permission] }),
        'spec.deny\\[0\\].why: Required value: say why',
      ],
      [
        'a line of a policy without verbs',
        policy({ allow: [{ ...permission, why: 'a test', verbs: [] }] }),
        'spec.allow\\[0\\].verbs: Required value: name at least one verb',
      ],
      [
        'namespaces beside the whole cluster',
        grant({ permissions: [{ ...permission, scope: 'Cluster', namespaces: ['demo'] }] }),
        'spec.permissions\\[0\\].namespaces: .*a permission of scope Cluster holds in every namespace: leave namespaces out',
      ],
      [
        'a scope that is none',
        grant({ permissions: [{ ...permission, scope: 'World' }] }),
        'spec.permissions\\[0\\].scope: Unsupported value: "World": supported values: "Namespace", "Cluster"',
      ],
      [
        'a scope of what is denied, which is everywhere',
        policy({ deny: [{ ...permission, why: 'a test', scope: 'Cluster' }] }),
        'unknown field "spec.deny\\[0\\].scope"',
      ],
      ['a freeze without a reason', policy({ freeze: {} }), 'spec.freeze.reason: Required value: say why'],
      [
        'a selector by values that has none',
        policy({ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In' }] } }),
        'matchExpressions\\[0\\].values: Invalid value: .*In and NotIn need values',
      ],
      [
        'a selector by presence that has values',
        policy({ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'Exists', values: ['a'] }] } }),
        'matchExpressions\\[0\\].values: Invalid value: .*add or remove values',
      ],
      [
        'a limit of no time',
        policy({ limits: { maxGrantDuration: '0s' } }),
        'spec.limits.maxGrantDuration: .*like 90s',
      ],
      [
        'a list of credentials without any',
        policy({ credentials: [] }),
        'spec.credentials: Required value: name a credential that grants may use, such as Identity',
      ],
      [
        'a credential that is listed twice',
        policy({ credentials: ['Identity', 'Identity'] }),
        'spec.credentials: Invalid value: .*take out of credentials what is there twice',
      ],
      ['an unknown field in a policy', policy({ denny: [] }), 'unknown field "spec.denny"'],
    ];
    for (const [what, value, expected] of cases) {
      it(what, async () => {
        const said = await refusal(value);
        expect(said).to.match(new RegExp(expected));
        // Of a list that is too long, or a value that is none of those there are, the API server says only that, and checks no rule of ours.
        const plain = /Too many|Unsupported value/.test(said) ? '' : said;
        expect(plain, 'a bare pattern, or a rule not evaluated').to.not.match(/should match|<nil>|no such/);
      });
    }

    it('everything that is missing from an empty spec at once', async () => {
      const message = await refusal(object('AgentGrant', 'bad', {}));
      for (const field of ['agent', 'task', 'permissions', 'validity']) {
        expect(message).to.match(new RegExp(`spec.${field}: Required value: .+`));
      }
    });
  });

  it('accept an end that has passed, so that an old manifest can be applied again', async () => {
    const spec = { ...grantSpec, validity: { notAfter: '2020-01-01T00:00:00Z' } };
    expect((await send('create', object('AgentGrant', 'long-ago', spec))).code).to.equal(0);
  });

  it('never let a receipt change, and let its status say how it ended', async () => {
    expect((await send('create', object('AgentReceipt', 'r-1', receiptSpec))).stderr).to.equal('');
    const changed = { ...receiptSpec, requester: { username: 'mallory' } };
    expect((await send('apply', object('AgentReceipt', 'r-1', changed))).stderr).to.match(
      /spec: .*a receipt is a record/,
    );
    const patch = { status: { outcome: 'Expired', endedAt: '2026-03-01T10:00:00Z' } };
    const receipt = await client.patch(agentReceipts, { namespace: 'default', name: 'r-1' }, patch, {
      type: 'merge',
      subresource: 'status',
    });
    expect(receipt.status.outcome).to.equal('Expired');
    const { stdout } = await cluster.kubectl(['get', 'agrec']);
    expect(stdout).to.match(/NAME +GRANT +NAMESPACE +AGENT +REQUESTER +START +END +OUTCOME +ENDED +ACCESS/);
    expect(stdout).to.match(
      /r-1 +triage-1 +default +triage +jane +2026-03-01T09:00:00Z +2026-03-01T10:00:00Z +Expired +2026-03-01T10:00:00Z +get pods in default/,
    );
  });

  it('keep status apart from spec, and show in a table what an admin wants to know', async () => {
    const ahead = '2999-01-01T00:00:00Z';
    const forged = { status: { phase: 'Active', expiresAt: ahead } };
    await send('create', object('AgentGrant', 'shown', grantSpec, forged));
    const ref = { namespace: 'default', name: 'shown' };
    expect((await client.get(agentGrants, ref)).status, 'a status in a manifest is dropped').to.deep.equal({});
    const granted = {
      type: 'Granted',
      status: 'True',
      reason: 'Granted',
      message: 'The agent has access',
      lastTransitionTime: '2026-03-01T09:00:00Z',
    };
    const status = { phase: 'Active', expiresAt: ahead, conditions: [granted] };
    await client.patch(agentGrants, ref, { status }, { type: 'merge', subresource: 'status' });
    const { stdout } = await cluster.kubectl(['get', 'aggrant', 'shown']);
    expect(stdout).to.match(/^NAME +AGENT +PHASE +EXPIRES +REASON +AGE\n/);
    expect(stdout, 'a date column would print <invalid>').to.match(
      /shown +triage +Active +2999-01-01T00:00:00Z +Granted +\d+s/,
    );
    const waited = await cluster.kubectl(['wait', '--for=condition=Granted', 'aggrant/shown', '--timeout=5s']);
    expect(waited.code, waited.stderr).to.equal(0);
  });

  it('are unchanged when the same manifest is applied again', async () => {
    const value = object('AgentIdentity', 'same', identitySpec);
    await send('apply', value);
    const { stdout } = await send('apply', value);
    expect(stdout).to.contain('unchanged');
    const diff = await cluster.kubectl(['diff', '-f', '-'], { input: JSON.stringify(value) });
    expect(diff.code, diff.stdout).to.equal(0);
  });

  it('are explained by kubectl as documentation would', async () => {
    const explain = async (path: string) => (await cluster.kubectl(['explain', path])).stdout.replace(/\s+/g, ' ');
    expect(await explain('aggrant')).to.contain('An AgentGrant asks for access for one agent');
    const validity = await explain('aggrant.spec.validity');
    for (const words of [
      'It must have an end: notAfter, duration or both',
      'such as 90s, 45m or 1h30m',
      'Left out: at once',
    ]) {
      expect(validity).to.contain(words);
    }
    expect(await explain('agentid.spec.owner')).to.contain('Required. The user or group that answers');
    expect(await explain('agpol.spec.deny')).to.contain('It is shown to whoever is refused');
    expect(await explain('agrec.spec')).to.contain('It never changes');
  });
});
