// Rights in the whole cluster, one rule a line: what it takes, and what of any one namespace stands against them.

import { expect } from 'chai';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { ClusterView, Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, identity, live, namespace, policy, readPods, receipt, signal, snapshot } from './snapshots.ts';

type Fields = Record<string, unknown>;

const everything = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
const reading = { why: 'a test', scope: 'Cluster', ...readPods };
const allowing = (...allow: Fields[]) => policy({ allow });

const asking = (...permissions: Fields[]) =>
  grant({ spec: { permissions: permissions.map((each) => ({ scope: 'Cluster', ...readPods, ...each })) } });
const cluster = (o: Partial<ClusterView> = {}): ClusterView => ({
  ceiling: everything,
  policies: [allowing(reading)],
  namespaces: new Map([['team-a', { labels: {}, dataSensitivity: undefined, policies: [] }]]),
  ...o,
});
const triage = (boundary: Fields = {}) => identity({ spec: { boundary: { clusterScope: true, ...boundary } } });

/** The policies of these that select every namespace, and with that the grant's own. */
const selectingAll = (policies: ParsedPolicy[]) =>
  policies.filter(({ spec }) => spec === undefined || spec.namespaceSelector.matchLabels === undefined);

/** Everything in order: reading pods in the whole cluster would be given now. */
const everywhere = (o: Partial<Snapshot> = {}) => {
  const view = 'cluster' in o ? o.cluster : cluster();
  const home = namespace({ policies: selectingAll(view?.policies ?? []) });
  return snapshot({
    grant: asking({}),
    identity: triage(),
    cluster: view,
    namespaces: new Map([['team-a', home]]),
    ...o,
  });
};

const reasons = (input: Snapshot) => {
  const { phase, reasons } = decide(input);
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};
const message = (input: Snapshot) => decide(input).reasons[0]?.message ?? '';

describe('rights in the whole cluster', () => {
  it('are given where boundary, policy, requester and ceiling agree', () => {
    const { phase, access } = decide(everywhere());
    expect(phase).to.equal('Active');
    expect(access).to.deep.equal([{ rules: [readPods] }]);
  });

  const onlyWeb = policy({ namespaceSelector: { matchLabels: { team: 'web' } } }, 'web');
  const other = (spec: Fields) => policy({ ...spec, namespaceSelector: { matchLabels: { team: 'web' } } }, 'web');
  const guarded = (...policies: ReturnType<typeof policy>[]) => cluster({ policies: [allowing(reading), ...policies] });
  const cases: [string, Snapshot, string][] = [
    ['need the boundary of the identity', everywhere({ identity: identity() }), 'OutsideBoundary'],
    [
      'are not in a boundary that lists namespaces alone',
      everywhere({ identity: identity({ spec: { boundary: { namespaces: ['team-a'] } } }) }),
      'OutsideBoundary',
    ],
    [
      'are not refused by a boundary that lists namespaces beside them',
      everywhere({ identity: triage({ namespaces: ['team-b'] }) }),
      'Granted',
    ],
    ['need deploy/cluster-scope', everywhere({ cluster: cluster({ ceiling: undefined }) }), 'ClusterScopeNotEnabled'],
    ['are held to a ceiling of their own', everywhere({ cluster: cluster({ ceiling: [] }) }), 'ExceedsCeiling'],
    [
      'are not in the ceiling of a namespace',
      everywhere({
        cluster: cluster({ ceiling: [] }),
        namespaces: new Map([['team-a', namespace({ ceiling: everything, policies: [allowing(reading)] })]]),
      }),
      'ExceedsCeiling',
    ],
    [
      'need a policy that allows them',
      everywhere({ cluster: cluster({ policies: [policy()] }) }),
      'ClusterScopeRefused',
    ],
    [
      'are not allowed by a line for namespaces',
      everywhere({ cluster: cluster({ policies: [allowing({ ...reading, scope: 'Namespace' })] }) }),
      'ClusterScopeRefused',
    ],
    [
      'are not allowed by a policy that only warns',
      everywhere({
        cluster: cluster({ policies: [policy(), policy({ allow: [reading], enforcement: 'Warn' }, 'w')] }),
      }),
      'ClusterScopeRefused',
    ],
    [
      'are allowed only where all of them is',
      everywhere({ grant: asking({ resources: ['pods', 'services'] }) }),
      'ClusterScopeRefused',
    ],
    [
      'are allowed by several lines of several policies together',
      everywhere({
        grant: asking({ resources: ['pods', 'services'] }),
        cluster: guarded(policy({ allow: [{ ...reading, resources: ['services'] }] }, 'more')),
      }),
      'Granted',
    ],
    [
      'include no writing by a wildcard, which stands for reading',
      everywhere({
        grant: asking({ verbs: ['delete'] }),
        cluster: cluster({ policies: [allowing({ ...reading, verbs: ['*'] })] }),
      }),
      'ClusterScopeRefused',
    ],
    [
      'include reading by a wildcard',
      everywhere({ cluster: cluster({ policies: [allowing({ ...reading, verbs: ['*'] })] }) }),
      'Granted',
    ],
    [
      'include writing that a line names, beside a wildcard too',
      everywhere({
        grant: asking({ verbs: ['delete', 'list'] }),
        cluster: cluster({ policies: [allowing({ ...reading, verbs: ['*', 'delete'] })] }),
      }),
      'Granted',
    ],
    [
      'never include every verb',
      everywhere({
        grant: asking({ verbs: ['*'] }),
        cluster: cluster({ policies: [allowing({ ...reading, verbs: ['*'] })] }),
      }),
      'ClusterScopeRefused WildcardRefused',
    ],
    [
      'include every resource where a line does',
      everywhere({
        grant: asking({ resources: ['*'], apiGroups: ['apps'] }),
        cluster: cluster({ policies: [allowing({ ...reading, resources: ['*'], apiGroups: ['apps'] })] }),
      }),
      'Granted',
    ],
    [
      'lift a line that gives way',
      everywhere({ cluster: guarded(policy({ deny: [{ ...readPods, why: 'a test', unlessAllowed: true }] }, 'more')) }),
      'Granted',
    ],
    [
      'are refused by a line of any policy, though it selects one namespace',
      everywhere({ cluster: guarded(other({ deny: [{ ...readPods, why: 'a test' }] })) }),
      'DeniedByPolicy',
    ],
    ['pass policies that refuse nothing of them', everywhere({ cluster: guarded(onlyWeb) }), 'Granted'],
    ['are stopped by any freeze', everywhere({ cluster: guarded(other({ freeze: { reason: 'x' } })) }), 'Frozen'],
    [
      'last no longer than any policy allows',
      everywhere({ cluster: guarded(other({ limits: { maxGrantDuration: '10m' } })) }),
      'ExceedsPolicyLimit',
    ],
    [
      'wait beside a policy that cannot be read',
      everywhere({ cluster: guarded(policy({ deny: 'x' }, 'y')) }),
      'PolicyInvalid',
    ],
    [
      'reach no RBAC objects, whatever all say',
      everywhere({
        grant: asking({ apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] }),
        cluster: cluster({ policies: [allowing({ ...reading, apiGroups: ['*'], resources: ['*'] })] }),
      }),
      'ForbiddenPermission',
    ],
    [
      'need the rights of their authors',
      everywhere({ authorsLack: { creator: ['list pods in the whole cluster'], requester: [] } }),
      'CreatorLacksPermission',
    ],
    [
      'are refused where nothing is known of the cluster',
      everywhere({ cluster: undefined }),
      'NoPolicy ClusterScopeRefused ClusterScopeNotEnabled',
    ],
  ];
  for (const [what, input, expected] of cases) {
    it(what, () => expect(reasons(input)).to.equal(`${expected === 'Granted' ? 'Active' : 'Pending'} ${expected}`));
  }

  it('are stopped by a signal about any namespace, by what a policy of that one responds', () => {
    const responding = other({ responses: [{ signal: 'Incident', severity: 'High', action: 'Suspend' }] });
    const namespaces = new Map([['web', { labels: {}, dataSensitivity: undefined, policies: [responding] }]]);
    const about = signal({ metadata: { namespace: 'web' } });
    const stopped = everywhere({ cluster: cluster({ namespaces }), signals: [about] });
    expect(reasons(stopped)).to.match(/^Pending .*Signal/);
    expect(reasons({ ...stopped, signals: [] })).to.equal('Active Granted');
  });

  it('need the approvals that any policy wants', () => {
    const wanting = other({ approvals: [{ why: 'a test', count: 1 }] });
    expect(reasons(everywhere({ cluster: guarded(wanting) }))).to.equal('AwaitingApproval ApprovalMissing');
  });

  it('reach the most sensitive data of all namespaces', () => {
    const namespaces = new Map([
      ['a', { labels: {}, dataSensitivity: 'public' as const, policies: [] }],
      ['b', { labels: {}, dataSensitivity: 'restricted' as const, policies: [] }],
      [
        'c',
        { labels: {}, dataSensitivity: undefined, policies: [policy({ unlabelledDataSensitivity: 'confidential' })] },
      ],
    ]);
    const limited = (limit: string) =>
      everywhere({ identity: triage({ maxDataSensitivity: limit }), cluster: cluster({ namespaces }) });
    expect(message(limited('internal'))).to.contain('the data of namespace b is restricted (by its label)');
    expect(reasons(limited('confidential'))).to.equal('Pending TooSensitive');
    expect(reasons(limited('restricted'))).to.equal('Active Granted');
    namespaces.delete('b');
    expect(message(limited('internal'))).to.contain('the data of namespace c is confidential');
    expect(reasons(limited('confidential'))).to.equal('Active Granted');
  });

  it('are withdrawn when anything of that goes', () => {
    const of = asking({});
    const held = (o: Partial<Snapshot>) => {
      const status = { phase: 'Active', specHash: of.hash, startTime: '2026-03-01T12:00:00Z' };
      const issued = { ...of, status: { ...grant({ status }).status, specHash: of.hash } };
      const open = receipt(of, { spec: { access: [{ rules: [readPods] }] } });
      const { namespaces, cluster: view } = everywhere(o);
      return live({ grant: issued, receipt: open, identity: triage(), ...o, namespaces, cluster: view });
    };
    expect(reasons(held({}))).to.equal('Active Granted');
    expect(reasons(held({ cluster: cluster({ ceiling: undefined }) }))).to.equal('Suspended ClusterScopeNotEnabled');
    expect(reasons(held({ cluster: cluster({ policies: [policy()] }) }))).to.equal('Suspended ClusterScopeRefused');
    expect(reasons(held({ identity: identity() }))).to.equal('Suspended OutsideBoundary');
  });

  it('are another request than the same in namespaces, in either direction', () => {
    const inNamespace = grant({
      spec: { permissions: [{ ...readPods, resources: ['pods'] }], task: { description: 'y' } },
    });
    const narrowed = snapshot({
      grant: inNamespace,
      superseded: [receipt(asking({}), { spec: { access: [{ rules: [readPods] }] } })],
    });
    expect(decide(narrowed).narrows).to.equal(false);
    const widened = everywhere({ superseded: [receipt(inNamespace)] });
    expect(decide(widened).narrows).to.equal(false);
  });

  it('say what would let them pass, and by whom', () => {
    expect(message(everywhere({ identity: identity() }))).to.equal(
      'the whole cluster is outside the boundary of AgentIdentity triage; ask for access in namespaces, or have its owner set spec.boundary.clusterScope to true',
    );
    expect(message(everywhere({ cluster: cluster({ ceiling: undefined }) }))).to.contain(
      'have a cluster admin run: kubectl apply -k deploy/cluster-scope',
    );
    expect(message(everywhere({ cluster: cluster({ ceiling: [] }) }))).to.match(
      /in the whole cluster ClusterRole hallpass-grantable-cluster does not cover get pods \(core\).*"hallpass.dev\/aggregate-to-grantable-cluster":"true"/,
    );
  });

  it('are asked for without namespaces', () => {
    const both = grant({ spec: { permissions: [{ scope: 'Cluster', namespaces: ['team-a'], ...readPods }] } });
    expect(both.invalid).to.contain('a permission of scope Cluster holds in every namespace: leave namespaces out');
  });

  it('are allowed only by a policy of the namespace in which the grant lives', () => {
    const policies = [policy(), other({ allow: [reading] })];
    const elsewhere = everywhere({ cluster: cluster({ policies }) });
    expect(reasons(elsewhere)).to.equal('Pending ClusterScopeRefused');
    expect(message(elsewhere)).to.contain('add it to spec.allow, with scope: Cluster, of one that selects team-a');
    expect(reasons({ ...elsewhere, namespaces: new Map([['team-a', namespace({ policies })]]) })).to.equal(
      'Active Granted',
    );
  });
});

describe('a grant that reaches namespaces alone', () => {
  it('has nothing to do with what stands against the whole cluster, and nothing from what allows there', () => {
    const frozen = cluster({ ceiling: undefined, policies: [policy({ freeze: { reason: 'x' } }, 'elsewhere')] });
    expect(reasons(snapshot({ cluster: frozen }))).to.equal('Active Granted');
    const deny = [{ ...readPods, why: 'a test', unlessAllowed: true }];
    const policies = [policy({ deny, allow: [reading] })];
    expect(reasons(snapshot({ namespaces: new Map([['team-a', namespace({ policies })]]) }))).to.equal(
      'Pending DeniedByPolicy',
    );
  });
});
