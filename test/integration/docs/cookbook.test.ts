// The policy cookbook does what it says: each policy as it stands there, with a grant that passes and one that doesn't.
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { agentSignals } from '../../../src/api/signal.ts';
import { isForbidden } from '../../../src/kube/client.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { configMapsOf, grantManifest, openStage, type Permission, podsOf, type Stage } from '../endings/stage.ts';
import { fences, page } from './pages.ts';

const api = '/apis/hallpass.dev/v1alpha1';
const recipe = z.looseObject({ kind: z.literal('AgentPolicy'), metadata: z.object({ name: z.string() }) });

/** The recipes of the page, in its order. */
const recipes = fences(page('docs/policy-cookbook.md'))
  .filter(({ language }) => language === 'yaml')
  .map(({ text }) => recipe.parse(parse(text)));

const configMaps: Permission = { resources: ['configmaps'] };

describe('the policy cookbook', function () {
  this.timeout(60_000);
  let stage: Stage;

  before(async () => {
    stage = await openStage();
  });
  after(() => stage?.close());

  /** Applies the recipe, in a namespace of the name that it selects. */
  async function apply(name: string, namespace?: string): Promise<void> {
    const policy = recipes.find(({ metadata }) => metadata.name === name);
    if (!policy) throw new Error(`the page has no policy ${name}`);
    await stage.admin.createRaw(`${api}/agentpolicies`, policy);
    if (namespace === undefined) return;
    await stage.namespace(namespace);
    await stage.identity(namespace);
  }
  const grant = (namespace: string, name: string, o: Parameters<typeof grantManifest>[1] = {}) =>
    grantManifest({ namespace, name }, o);
  const given = async (...[namespace, name, o]: Parameters<typeof grant>) =>
    void (await stage.give(grant(namespace, name, o)));
  /** Asks for a grant, waits until it is refused, and returns all that stands against it. */
  async function refused(phase: string, ...[namespace, name, o]: Parameters<typeof grant>) {
    const manifest = grant(namespace, name, o);
    await stage.create(manifest);
    const { status } = await stage.phase(manifest.metadata, phase);
    return status.reasons ?? [];
  }
  const reasonsOf = (found: { reason: string }[]) => found.map(({ reason }) => reason);

  /** Does what a binding allows, which counts some milliseconds after it was made. */
  const onceAllowed = (act: () => Promise<unknown>) =>
    stage.poll(
      async () => {
        try {
          await act();
          return true;
        } catch (error) {
          if (isForbidden(error)) return false;
          throw error;
        }
      },
      (done) => done,
    );
  /** Somebody who may review there approves the grant as it stands. */
  async function approved(
    { namespace, name }: { namespace: string; name: string },
    user: string,
    groups: string[] = [],
  ) {
    const reviewer = await stage.person(user, groups);
    await stage.bind(namespace, user, 'hallpass-reviewer');
    const grant = stage.seen.grants.get({ namespace, name });
    if (!grant) throw new Error(`${name} is gone`);
    const { uid, generation } = grant.metadata;
    const target = { kind: 'AgentGrant', name, uid, generation, specHash: grant.hash };
    const review = {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { name: `${name}-${user}` },
      spec: { target, decision: 'Approve', comment: 'a test' },
    };
    await onceAllowed(() => reviewer.createRaw(`${api}/namespaces/${namespace}/agentreviews`, review));
  }

  it('has ten situations', () => {
    const titles = page('docs/policy-cookbook.md').text.match(/^## \d+\. .*$/gm) ?? [];
    expect([titles.length, recipes.length]).to.deep.equal([10, 10]);
  });

  it("keeps agents out of the system's namespaces, and of no other", async () => {
    await apply('system-namespaces');
    await stage.namespace('operations');
    await stage.identity('operations', { namespaces: ['operations', 'kube-system'] });
    const found = await refused('Pending', 'operations', 'system', { permissions: [{ namespaces: ['kube-system'] }] });
    expect(found.find(({ reason }) => reason === 'DeniedByPolicy')?.message).to.include(
      'AgentPolicy system-namespaces refuses list pods (core) (spec.deny[0]: what runs the cluster is looked at by people)',
    );
    await given('operations', 'own');
  });

  it('refuses configuration alone', async () => {
    await apply('payments-configuration', 'payments');
    const agent = await stage.agent('payments');
    await given('payments', 'pods');
    await agent.until(podsOf('payments'), 200);
    const both: Permission = { resources: ['pods', 'configmaps'] };
    expect(reasonsOf(await refused('Pending', 'payments', 'both', { permissions: [both] }))).to.deep.equal([
      'DeniedByPolicy',
    ]);
    expect(await agent.asks(configMapsOf('payments'))).to.equal(403);
  });

  it('lets a dashboard watch Pods, and nothing else', async () => {
    const watch = { permissions: [{ verbs: ['list', 'watch'] }] };
    await stage.namespace('elsewhere');
    await stage.identity('elsewhere');
    expect(reasonsOf(await refused('Pending', 'elsewhere', 'watches', watch))).to.deep.equal(['DeniedByPolicy']);
    await apply('dashboard-watches', 'dashboard');
    await given('dashboard', 'watches', watch);
    const others = { permissions: [{ ...configMaps, verbs: ['watch'] }] };
    expect(reasonsOf(await refused('Pending', 'dashboard', 'others', others))).to.deep.equal(['DeniedByPolicy']);
  });

  it('keeps grants short and few', async () => {
    await apply('production-limits', 'production');
    expect(reasonsOf(await refused('Pending', 'production', 'long', { duration: '31m' }))).to.deep.equal([
      'ExceedsPolicyLimit',
    ]);
    await given('production', 'first', { duration: '30m' });
    await given('production', 'second', { duration: '30m' });
    const [waits] = await refused('Pending', 'production', 'third', { duration: '30m' });
    expect(waits?.message).to.include('maxActiveGrants');
    await stage.remove(agentGrants, { namespace: 'production', name: 'first' });
    await stage.phase({ namespace: 'production', name: 'third' }, 'Active');
  });

  it('has two people agree', async () => {
    await apply('ledger-four-eyes', 'ledger');
    const [waits] = await refused('AwaitingApproval', 'ledger', 'waits');
    expect(waits?.reason).to.equal('ApprovalMissing');
    expect(waits?.message).to.include('what the ledger says is looked at by two people');
    const ref = { namespace: 'ledger', name: 'waits' };
    await approved(ref, 'rita');
    const one = await stage.until(stage.seen.grants, ref, (now) => now?.status.approvals?.length === 1);
    expect(one?.status.phase).to.equal('AwaitingApproval');
    await approved(ref, 'sam');
    await stage.phase(ref, 'Active');
  });

  it('asks privacy where it is concerned', async () => {
    await apply('customers-privacy', 'customers');
    await given('customers', 'pods');
    const [waits] = await refused('AwaitingApproval', 'customers', 'names', { permissions: [configMaps] });
    expect(waits?.message).to.include('privacy');
    const ref = { namespace: 'customers', name: 'names' };
    await approved(ref, 'paul', ['privacy']);
    await stage.phase(ref, 'Active');
  });

  it('keeps agents out of what nobody has labelled', async () => {
    await apply('tenants-label', 'tenant-a');
    expect(reasonsOf(await refused('Pending', 'tenant-a', 'waits'))).to.deep.equal(['TooSensitive']);
    const labels = { 'hallpass.dev/data-sensitivity': 'internal' };
    await stage.admin.patch(namespaces, { name: 'tenant-a' }, { metadata: { labels } }, { type: 'merge' });
    await stage.phase({ namespace: 'tenant-a', name: 'waits' }, 'Active');
  });

  it('wants a ticket', async () => {
    await apply('oncall-tickets', 'oncall');
    const [waits] = await refused('Pending', 'oncall', 'without');
    expect(waits?.reason).to.equal('ConditionFalse');
    expect(waits?.message).to.include('set spec.task.ref to the incident, such as INC-4711');
    await given('oncall', 'with', { task: 'INC-4711' });
  });

  it('has an incident stop agents until somebody on call deletes it', async () => {
    await apply('checkout-incidents', 'checkout');
    const agent = await stage.agent('checkout');
    await given('checkout', 'looks');
    await agent.until(podsOf('checkout'), 200);
    const signal = (name: string, severity: string) =>
      stage.admin.createRaw(`${api}/namespaces/checkout/agentsignals`, {
        apiVersion: 'hallpass.dev/v1alpha1',
        kind: 'AgentSignal',
        metadata: { name },
        spec: { signal: 'Incident', severity, message: 'a test', expiresAt: '2999-01-01T00:00:00Z' },
      });
    await signal('medium', 'Medium');
    const told = await stage.until(
      stage.seen.signals,
      { namespace: 'checkout', name: 'medium' },
      (now) => now?.status.effect !== undefined,
    );
    expect(told?.status.effect).to.equal('None');
    expect(await agent.asks(podsOf('checkout'))).to.equal(200);
    await signal('high', 'High');
    await stage.phase({ namespace: 'checkout', name: 'looks' }, 'Suspended', 'SuspendedBySignal');
    await agent.until(podsOf('checkout'), 403);
    const oncall = await stage.person('rita', ['oncall']);
    await stage.bind('checkout', 'oncall', 'hallpass-reporter', { kind: 'Group' });
    await onceAllowed(() => oncall.delete(agentSignals, { namespace: 'checkout', name: 'high' }));
    const ref = { namespace: 'checkout', name: 'looks' };
    await stage.until(stage.seen.grants, ref, (now) => now?.status.phase === 'Active', 45_000);
    await agent.until(podsOf('checkout'), 200);
  });

  it('warns before it refuses', async () => {
    await apply('search-limits', 'search');
    const manifest = grant('search', 'long');
    await stage.give(manifest);
    const warned = await stage.until(stage.seen.grants, manifest.metadata, (now) => !!now?.status.warnings?.length);
    expect(reasonsOf(warned?.status.warnings ?? [])).to.deep.equal(['ExceedsPolicyLimit']);
    const enforced = { spec: { enforcement: 'Enforce' } };
    await stage.admin.patch(agentPolicies, { name: 'search-limits' }, enforced, { type: 'merge' });
    await stage.phase(manifest.metadata, 'Suspended', 'ExceedsPolicyLimit');
  });
});
