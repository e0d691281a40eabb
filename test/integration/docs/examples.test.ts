// The examples apply and work: the agent passes while its grant lasts, and is refused before and after.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { openStage, type Stage } from '../endings/stage.ts';

const root = join(import.meta.dirname, '..', '..', '..');

describe('the examples', function () {
  this.timeout(120_000);
  let stage: Stage;
  const apply = (example: string, ...more: string[]) =>
    stage.playground.admin(['apply', '-k', join(root, 'examples', example), ...more]);
  const deployments = '/apis/apps/v1/namespaces/shop/deployments';

  before(async () => {
    stage = await openStage();
    await stage.namespace('shop');
    await stage.namespace('reports');
  });
  after(() => stage.close());

  it('incident-triage reads while its incident is open', async () => {
    await apply('incident-triage');
    const ref = { namespace: 'shop', name: 'inc-4711' };
    await stage.phase(ref, 'Active');
    const agent = await stage.agent('shop', 'triage');
    await agent.until(deployments, 200);
    expect(await agent.asks('/api/v1/namespaces/shop/secrets')).to.equal(403);
    await stage.remove(agentGrants, ref);
    await agent.until(deployments, 403);
  });

  it('deploy-agent waits for the admin who raises the ceiling, and reaches two Deployments by name', async () => {
    await apply('deploy-agent');
    const ref = { namespace: 'shop', name: 'release-2026-11-24' };
    await stage.phase(ref, 'Pending', 'ExceedsCeiling');
    await stage.playground.admin(['apply', '-f', join(root, 'examples', 'deploy-agent', 'ceiling.yaml')]);
    await stage.phase(ref, 'Active');
    const agent = await stage.agent('shop', 'deployer');
    // 404: it may look, and there is none of that name.
    await agent.until(`${deployments}/checkout`, 404);
    expect(await agent.asks(`${deployments}/another`)).to.equal(403);
    await stage.remove(agentGrants, ref);
    await agent.until(`${deployments}/checkout`, 403);
  });

  it('nightly-report reads two namespaces once its window opens, by the consent of the other', async () => {
    await apply('nightly-report', '--server-side');
    const ref = { namespace: 'reports', name: 'night-2099-01-01' };
    await stage.phase(ref, 'Scheduled', 'NotYetStarted');
    const agent = await stage.agent('reports', 'nightly');
    expect(await agent.asks('/api/v1/namespaces/shop/pods')).to.equal(403);
    // The night comes now, and is short.
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 6_000).toISOString();
    await stage.admin.patch(agentGrants, ref, { spec: { validity: { notBefore: null, notAfter } } }, { type: 'merge' });
    await agent.until('/api/v1/namespaces/shop/pods', 200);
    await agent.until('/api/v1/namespaces/reports/pods', 200);
    await agent.until('/api/v1/namespaces/shop/pods', 403);
    await stage.phase(ref, 'Expired', 'EndPassed');
    const shop = await stage.admin.get(namespaces, { name: 'shop' });
    expect(shop.metadata.annotations).to.have.property('hallpass.dev/accepts-grants-from', 'reports');
    expect(stage.seen.identities.get({ namespace: 'reports', name: 'nightly' })?.metadata.name).to.equal('nightly');
  });

  it('leaves no metric undocumented, and documents none that is not there', async () => {
    const page = readFileSync(join(root, 'docs', 'operations.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, name]) => name ?? '').sort();
    const text = await (await fetch(`${stage.playground.hallpass[0]?.healthUrl}/metrics`)).text();
    const served = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name ?? '');
    const ours = served.filter((name) => !/^(process|nodejs)_/.test(name)).sort();
    expect(documented).to.deep.equal(ours);
  });
});
