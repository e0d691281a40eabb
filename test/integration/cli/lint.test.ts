// lint foretells what hallpass says: both decide about the same grant, and find the same.
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { grantManifest, useSharedStage } from '../endings/stage.ts';
import { runKubectl } from './person.ts';

describe('kubectl hallpass lint', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  it('says without a cluster what hallpass says of the grant once it is applied', async () => {
    const namespace = await stage().namespace('cli-lint');
    await stage().identity(namespace, { maxGrantDuration: '30m' });
    const manifest = grantManifest(
      { namespace, name: 'beyond' },
      { permissions: [{ resources: ['secrets'], verbs: ['get', 'watch'] }, { namespaces: ['demo'] }], duration: '2h' },
    );
    const kinds = 'agentpolicies,agentidentities,namespaces,clusterroles';
    const kubeconfig = await stage().playground.kubeconfigFor({ user: 'lint-root', groups: ['system:masters'] });
    const known = await runKubectl(kubeconfig, ['get', kinds, '-A', '-o', 'json']);
    const items = [...JSON.parse(known.out).items, manifest];
    const nowhere = join(dirname(kubeconfig), 'nowhere');
    const { code, out } = await runKubectl(
      nowhere,
      ['hallpass', 'lint', '-', '--report', 'json'],
      JSON.stringify({ kind: 'List', items }),
    );
    expect(code).to.equal(1);
    const judged: { object: string; findings: { level: string; rule: string; message: string }[] }[] = JSON.parse(out);
    const found = judged.find(({ object }) => object === 'AgentGrant cli-lint/beyond')?.findings ?? [];
    await stage().create(manifest);
    const grant = await stage().phase({ namespace, name: 'beyond' }, 'Pending');
    const foretold = found.filter(({ level }) => level === 'error').map(({ rule, message }) => ({ rule, message }));
    const said = grant.status.reasons?.map(({ reason, message }) => ({ rule: reason, message }));
    expect(foretold).to.deep.equal(said);
    expect(foretold.length).to.be.above(3);
    const missing = await runKubectl(nowhere, ['hallpass', 'lint', 'nowhere.yaml']);
    expect([missing.code, missing.err.slice(0, 36)]).to.deep.equal([2, 'error: nowhere.yaml cannot be read: ']);
  });

  it('waits for what comes through a pipe, however late', async () => {
    const { kubeconfig } = stage().playground;
    // One that is started later and has ended says that this one has been reading for a while.
    const late = Promise.withResolvers<string>();
    const waiting = runKubectl(kubeconfig, ['hallpass', 'lint', '-'], late.promise);
    await runKubectl(kubeconfig, ['hallpass', 'lint', 'nowhere.yaml']);
    late.resolve('kind: AgentPolicy\n---\n[');
    const { code, out } = await waiting;
    expect(code, out).to.equal(1);
    expect(out).to.include('Unreadable');
  });
});
