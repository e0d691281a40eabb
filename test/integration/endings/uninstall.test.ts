// Taking hallpass away: in the documented order, out of order, with it gone already, and `hallpass release` for what is left.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { installHallpass, keepToken } from '../../controlplane/installation.ts';
import { paste } from '../docs/shell.ts';
import { grantManifest, identityManifest, openStage, podsOf, type Stage } from './stage.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const deploy = (part: string) => join(root, 'deploy', part);
const run = promisify(execFile);

describe('taking hallpass away', function () {
  this.timeout(120_000);
  let stage: Stage;
  const ref = { namespace: 'demo', name: 'live' };
  const permissions = [{}, { namespaces: ['demo-other'] }];
  const admin = (...args: string[]) => stage.playground.admin(args);

  /** Runs the command as an admin does, and returns what it printed and how it ended. */
  async function release(...flags: string[]): Promise<{ output: string; code: number }> {
    const args = [join(root, 'src', 'main.ts'), 'release', `--kubeconfig=${stage.playground.kubeconfig}`, ...flags];
    try {
      const { stdout, stderr } = await run(process.execPath, args);
      return { output: stdout + stderr, code: 0 };
    } catch (error) {
      const { code, stdout = '', stderr = '' } = Object(error);
      return { output: stdout + stderr, code };
    }
  }
  /** Installs hallpass once more, after it was taken away, and starts it. */
  async function installAgain(): Promise<void> {
    await installHallpass(stage.playground);
    const token = await keepToken(stage.playground.kubectl, join(stage.playground.directory, 'hallpass.token'));
    token.stop();
    await stage.revive();
  }
  // By kubectl, since a watch of ours would have to find the kinds again once they were taken away.
  async function live(name: string): Promise<string> {
    const grant = grantManifest({ ...ref, name }, { permissions });
    for (const [manifest, condition] of [
      [identityManifest('demo', { namespaces: ['demo', 'demo-other'] }), 'Ready'],
      [grant, 'Granted'],
    ] as const) {
      await stage.playground.admin(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
      const what = `${manifest.kind}/${manifest.metadata.name}`;
      await admin('wait', `--for=condition=${condition}`, '--timeout=30s', '-n', 'demo', what);
    }
    return (await stage.admin.get(agentGrants, grant.metadata)).metadata.uid;
  }
  /** Everything in the cluster that hallpass or its manifests made. */
  async function traces(): Promise<string[]> {
    const names = await Promise.all([
      admin('get', 'roles,rolebindings,jobs', '-A', '-l', 'hallpass.dev/grant', '--no-headers', '--ignore-not-found'),
      admin('get', 'serviceaccounts', '-A', '-l', 'app.kubernetes.io/managed-by=hallpass', '-o=name'),
      admin('get', 'rolebindings', '-A', '-o=name'),
      admin('get', 'clusterroles,clusterrolebindings,crds,namespaces', '-o=name'),
      admin('get', 'validatingadmissionpolicies,validatingadmissionpolicybindings', '-o=name'),
      admin('get', 'mutatingadmissionpolicies,mutatingadmissionpolicybindings', '-o=name'),
    ]);
    return names.flatMap((text) => text.split('\n')).filter((line) => line.includes('hallpass'));
  }

  before(async () => {
    stage = await openStage();
  });
  after(() => stage?.close());

  it('is refused to release while a replica runs, and told why; a dry run only tells', async () => {
    const uid = await live(ref.name);
    const refused = await release();
    expect(refused.code, refused.output).to.equal(1);
    expect(refused.output).to.match(/hallpass runs: replica \S+ holds Lease hallpass-system\/hallpass/);
    const told = await release('--dry-run');
    expect(told.output).to.contain('Would release: 1 agentgrants.hallpass.dev');
    expect(told.output).to.contain('Would release: 1 agentidentities.hallpass.dev');
    expect(told.output).to.match(/demo-other +demo\/triage +demo\/live +\d{4}-\S+Z/);
    expect(told.code).to.equal(0);
    expect((await stage.admin.get(agentGrants, ref)).metadata).to.deep.include({
      uid,
      finalizers: ['hallpass.dev/cleanup'],
    });
  });

  it('ends all access by one command when hallpass is gone', async () => {
    const agent = await stage.agent('demo');
    await agent.until(podsOf('demo-other'), 200);
    await stage.kill();
    try {
      await admin('delete', 'rolebindings', '-A', '-l', 'hallpass.dev/grant');
      for (const namespace of ['demo', 'demo-other']) await agent.until(podsOf(namespace), 403);
    } finally {
      await stage.revive();
    }
  });

  it('lets hallpass-system go with live grants, and ends their access before it goes itself', async () => {
    const agent = await stage.agent('demo');
    await agent.until(podsOf('demo-other'), 200);
    const { uid } = (await stage.admin.get(agentGrants, ref)).metadata;
    await admin('delete', 'namespace', 'hallpass-system', '--timeout=60s');
    for (const namespace of ['demo', 'demo-other']) await agent.until(podsOf(namespace), 403);
    await stage.nothingLeft(uid);
    const { status } = await stage.admin.get(agentGrants, ref);
    expect(status).to.include({ phase: 'Revoked' });
    // The deletion of its namespace is enough: by that of its receipt hallpass's own rights may be gone.
    expect(status.message).to.contain('namespace hallpass-system is being deleted');
    expect(status.message).to.contain('without its record no access may last');
    await Promise.all(stage.playground.hallpass.map((each) => each.exited));
  });

  it('frees a namespace by release when no replica is left', async () => {
    // Without a kubelet the agents' pods would keep it.
    await admin('delete', 'pods', '--all', '-n', 'demo', '--force', '--grace-period=0');
    await admin('delete', 'namespace', 'demo', '--wait=false');
    await stage.poll(
      async () => (await stage.admin.get(agentGrants, ref)).metadata.deletionTimestamp,
      (deleted) => deleted !== undefined,
    );
    const { code, output } = await release();
    expect(code, output).to.equal(0);
    expect(output).to.contain('Released: 1 agentgrants.hallpass.dev');
    expect(output).to.contain('Released: 1 agentidentities.hallpass.dev');
    expect(output).to.contain('No access is left behind.');
    await admin('wait', '--for=delete', 'namespace/demo', '--timeout=60s');
  });

  it('leaves nothing, in the documented order', async () => {
    await installAgain();
    await live('in-order');
    await admin('delete', 'agentgrants', '--all', '-A');
    await admin('delete', 'agentidentities', '--all', '-A');
    for (const namespace of ['demo', 'demo-other']) await admin('delete', '-n', namespace, '-k', deploy('namespace'));
    await admin('delete', '-k', deploy('cluster'));
    expect(await traces()).to.deep.equal([]);
    await stage.kill();
  });

  it('out of order, hangs on its finalizer until release, which says what to delete besides', async () => {
    await installAgain();
    const uid = await live('out-of-order');
    await stage.kill();
    const first = await stage.playground.kubectl(['delete', '-k', deploy('cluster'), '--timeout=6s']);
    expect(first.code, 'of kubectl delete').to.not.equal(0);
    expect(first.stderr).to.match(/timed out waiting.*customresourcedefinitions\/agentgrants.hallpass.dev/);
    expect(await stage.objectsOf(uid)).to.have.lengthOf(6);

    const { code, output } = await release();
    console.log(output.trimEnd().replace(/^/gm, '      '));
    expect(code, output).to.equal(0);
    expect(output).to.match(/2 bindings still give access/);
    await admin('delete', '-k', deploy('cluster'), '--ignore-not-found');
    for (const [line] of output.matchAll(/^ {2}kubectl .+$/gm)) await paste(stage.playground.kubeconfig, line);
    expect(await stage.objectsOf(uid)).to.deep.equal([]);
    for (const namespace of ['demo', 'demo-other']) await admin('delete', '-n', namespace, '-k', deploy('namespace'));
    expect(await traces()).to.deep.equal([]);
  });
});
