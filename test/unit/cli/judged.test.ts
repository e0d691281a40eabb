// What lint finds, and the forms in which it tells it.

import { expect } from 'chai';
import { reported } from '../../../src/cli/findings.ts';
import { judge } from '../../../src/cli/judged.ts';
import type { Manifest } from '../../../src/cli/manifests.ts';
import { NOON, readPods } from '../policy/snapshots.ts';

const api = 'hallpass.dev/v1alpha1';

function manifest(object: Record<string, unknown>, line = 1): Manifest {
  return { file: 'team/grant.yaml', line, object };
}

const grant = (spec: object = {}) =>
  manifest({
    apiVersion: api,
    kind: 'AgentGrant',
    metadata: { name: 'incident', namespace: 'team-a' },
    spec: {
      agent: 'triage',
      task: { description: 'find out why' },
      permissions: [readPods],
      validity: { duration: '1h' },
      ...spec,
    },
  });
const identity = (spec: object = {}) =>
  manifest({
    apiVersion: api,
    kind: 'AgentIdentity',
    metadata: { name: 'triage', namespace: 'team-a' },
    spec: { purpose: 'triage', owner: { kind: 'Group', name: 'team-a' }, ...spec },
  });
const policy = (spec: object = {}, name = 'default') =>
  manifest({
    apiVersion: api,
    kind: 'AgentPolicy',
    metadata: { name },
    spec: { namespaceSelector: {}, credentials: ['Identity'], ...spec },
  });
const namespace = manifest({ kind: 'Namespace', metadata: { name: 'team-a' } });
const ceiling = manifest({
  kind: 'ClusterRole',
  metadata: { name: 'read', labels: { 'hallpass.dev/aggregate-to-grantable': 'true' } },
  rules: [readPods],
});

const shipped = [policy(), ceiling];
const judged = (...manifests: Manifest[]) => judge(manifests, { shipped, namespace: 'elsewhere', now: NOON });
const found = (...manifests: Manifest[]) =>
  judged(...manifests).flatMap(({ findings }) => findings.map(({ level, rule }) => `${level} ${rule}`));

describe('lint', () => {
  it('finds nothing wrong where all is in order, and says what it took for granted', () => {
    expect(found(grant(), identity(), namespace)).to.deep.equal(['note Assumed']);
    expect(found(grant())).to.deep.equal(['note Assumed', 'note Assumed', 'note Assumed']);
  });

  it('holds grants against the identities, policies and roles among the manifests, and those that ship', () => {
    expect(found(grant({ permissions: [{ ...readPods, resources: ['secrets'] }] }))).to.include('error ExceedsCeiling');
    expect(found(grant(), identity({ boundary: { maxGrantDuration: '5m' } }))).to.include(
      'error DurationExceedsBoundary',
    );
    expect(found(grant(), policy({ freeze: { reason: 'a test' } }, 'more'))).to.include('error Frozen');
    const wider = manifest({ ...ceiling.object, rules: [{ ...readPods, resources: ['secrets'] }] });
    expect(found(grant({ permissions: [{ ...readPods, resources: ['secrets'] }] }), wider)).to.not.include(
      'error ExceedsCeiling',
    );
  });

  it('lets a policy among the manifests take the place of the shipped one of its name', () => {
    const nowhere = policy({ namespaceSelector: { matchLabels: { nowhere: 'here' } } });
    expect(found(grant(), nowhere)).to.include('error NoPolicy');
  });

  it('finds broken rules of schemas, and fields that none knows', () => {
    expect(found(grant({ validity: {} }))).to.deep.equal(['error InvalidSpec']);
    const [one] = judged(grant({ validity: { duration: '1h', notafter: '2026-03-01T17:00:00Z' } }));
    expect(one?.findings[0]).to.deep.include({ level: 'error', rule: 'UnknownField' });
    expect(one?.findings[0]?.message).to.contain('spec.validity.notafter is no field of AgentGrant');
  });

  it('takes what people or time bring about for no error, and what only warns for a warning', () => {
    const approvals = policy({ approvals: [{ why: 'a test', count: 1 }] }, 'people');
    expect(found(grant({ validity: { duration: '1h', notBefore: '2027-01-01T00:00:00Z' } }), approvals))
      .to.include('note ApprovalMissing')
      .and.include('note NotYetStarted');
    const warns = policy({ freeze: { reason: 'a test' }, enforcement: 'Warn' }, 'warns');
    expect(found(grant(), warns)).to.include('warning Frozen');
  });

  it('finds expressions that do not compile, of grants and of policies, with their place, and evaluates none', () => {
    const typo = 'grant.nmae == "x"';
    const reads = '!signals.exists(s, s.severity == "High" && s.trusted)';
    const bomb = '[1].all(a, [1].all(b, 1 / 0 == a + b))';
    const conditions = [reads, typo, bomb].map((expression) => ({ name: 'so', why: 'a test', expression }));
    const approvals = [
      { why: 'a test', count: 1 },
      { why: 'a test', count: 1, when: 'signals.exists(s, s.message == "x")' },
    ];
    const of = (manifest: Manifest) =>
      judged(manifest, identity(), namespace)[0]?.findings.flatMap(({ level, rule, message }) =>
        level === 'error' ? [`${rule} ${message.split(';')[0]}`] : [],
      );
    expect(of(policy({ conditions, approvals }, 'more'))).to.deep.equal([
      'PolicyInvalid spec.conditions[1].expression column 6: grant has no field nmae',
      'PolicyInvalid spec.approvals[1].when column 20: signal has no field message',
    ]);
    const own = conditions.map(({ name, expression }) => ({ name, expression }));
    expect(of(grant({ conditions: own }))).to.deep.equal([
      'ConditionInvalid spec.conditions[1].expression column 6: grant has no field nmae',
    ]);
  });

  it('places what names no namespace, and passes over what is none of ours', () => {
    const { namespace: _, ...metadata } = { name: 'incident', namespace: '' };
    const [one] = judged(manifest({ ...grant().object, metadata }), manifest({ kind: 'ConfigMap' }));
    expect(one?.object).to.equal('AgentGrant elsewhere/incident');
  });

  it('survives whatever is in a file', () => {
    for (const object of [{}, { kind: 'AgentGrant' }, { kind: 'AgentGrant', metadata: 7, spec: [] }, { kind: ['x'] }]) {
      expect(() => judged(manifest(object), manifest({ kind: 'ClusterRole', metadata: null }))).to.not.throw();
    }
  });
});

describe('what lint found', () => {
  const hostile = manifest(
    { ...grant({ agent: 'UP' }).object, metadata: { name: 'a"<b>&\u001b[2J', namespace: 'team-a' } },
    7,
  );

  it('is told as text, with its place and a sum', () => {
    const lines = reported(judged(grant({ validity: {} })), 'text', 100);
    expect(lines[0]).to.equal('team/grant.yaml:1: AgentGrant team-a/incident');
    expect(lines[1]).to.match(/^ {2}error InvalidSpec: spec\.validity/);
    expect(lines.at(-1)).to.equal('1 object of hallpass: 1 error, 0 warnings, 0 notes');
  });

  it('is told as SARIF, which says where each is and what its rule means', () => {
    const [run] = JSON.parse(reported(judged(hostile), 'sarif', 100).join('\n')).runs;
    expect(run.results[0]).to.deep.include({ ruleId: 'InvalidSpec', level: 'error' });
    expect(run.results[0].locations[0].physicalLocation).to.deep.equal({
      artifactLocation: { uri: 'team/grant.yaml' },
      region: { startLine: 7 },
    });
    expect(run.tool.driver.rules[0].shortDescription.text).to.contain('breaks a rule of its schema');
  });

  it('says as SARIF and as JUnit, too, which policy decided, what helps, and who can do that', () => {
    const refused = judged(grant(), identity(), namespace, policy({ freeze: { reason: 'a test' } }, 'more'));
    const [run] = JSON.parse(reported(refused, 'sarif', 100).join('\n')).runs;
    const result = run.results.find(({ ruleId }: { ruleId: string }) => ruleId === 'Frozen');
    expect(result.properties).to.deep.equal({
      policy: 'more',
      line: 'spec.freeze',
      remedy: 'it comes back when spec.freeze is taken out',
      by: ['PolicyAdmin'],
    });
    const failure = reported(refused, 'junit', 100).find((line) => line.includes('<failure '));
    expect(failure).to.contain(
      '>decided by: AgentPolicy more, spec.freeze; what helps: it comes back when spec.freeze is taken out; who can change it: whoever maintains AgentPolicies (ClusterRole hallpass-policies-edit)</failure>',
    );
  });

  it('is told as JUnit, a case an object, with nothing that ends an element early', () => {
    const lines = reported(judged(hostile, identity()), 'junit', 100);
    expect(lines[2]).to.equal('  <testsuite name="kubectl hallpass lint" tests="2" failures="1">');
    expect(lines[3]).to.contain('name="AgentGrant team-a/a&quot;&lt;b&gt;&amp;\\u{1b}[2J"');
    expect(lines.filter((line) => line.includes('<failure '))).to.have.length(1);
  });
});
