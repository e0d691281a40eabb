// What a newcomer meets first: no cluster, a cluster without hallpass, credentials that are none. Each says what to do.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { freePort } from '../../controlplane/ports.ts';
import { runKubectl } from './person.ts';

describe('kubectl hallpass, used for the first time', function () {
  this.timeout(60_000);
  let bare: ControlPlane;
  let kubeconfig: string;

  before(async () => {
    bare = await startControlPlane();
    kubeconfig = await bare.kubeconfigFor({ user: 'newcomer', groups: ['system:masters'] });
  });
  after(() => bare?.stop());

  const sure = ['--yes', '--comment', 'a test'];
  const hallpass = async (...words: string[]) => {
    const { code, out, err } = await runKubectl(kubeconfig, ['hallpass', ...words]);
    expect(out).to.equal('');
    return { code, err: err.trimEnd().replaceAll('\n', ' ') };
  };

  for (const words of [
    ['list'],
    ['why', 'something'],
    ['can', 'triage', 'list', 'pods'],
    ['approve', 'something', ...sure],
    ['suspend', 'agentidentity/triage', ...sure],
    ['request', '--agent', 'triage', '--task', 'a test', '--allow', 'list pods', '--for', '5m', '--yes'],
    ['verify'],
  ]) {
    it(`says on a cluster without hallpass how to install it, asked to ${words[0]}`, async () => {
      expect(await hallpass(...words)).to.deep.equal({
        code: 3,
        err: `error: hallpass is not installed on ${bare.server}: it serves no kinds of hallpass.dev. If this is the wrong cluster, choose another with --context; otherwise a cluster admin installs it by: kubectl apply -k deploy`,
      });
    });
  }

  it('says where it looked when there is no kubeconfig, and which contexts there are when the one named is none', async () => {
    const nowhere = await hallpass('list', '--kubeconfig', 'nowhere.yaml');
    expect(nowhere).to.deep.equal({
      code: 3,
      err: 'error: no cluster: the kubeconfig nowhere.yaml cannot be read: it does not exist; name an existing kubeconfig with --kubeconfig',
    });
    const { code, err } = await hallpass('list', '--context', 'prod');
    expect(code).to.equal(3);
    expect(err).to.match(/^error: no cluster: .* has no context prod \(it has: hallpass\)$/);
  });

  it('says that nothing listens, and that nobody knows these credentials', async () => {
    const stored = readFileSync(kubeconfig, 'utf8');
    const dead = `https://127.0.0.1:${await freePort()}`;
    const path = join(bare.directory, 'dead.kubeconfig');
    writeFileSync(path, stored.replace(bare.server, dead));
    const gone = await hallpass('list', '--kubeconfig', path);
    expect(gone.code).to.equal(3);
    expect(gone.err)
      .to.match(/^error: no cluster: /)
      .and.contain(`${dead}: nothing listens there`);
    const stranger = await bare.kubeconfigFor({ token: 'not-a-token' });
    const unknown = await hallpass('list', '--kubeconfig', stranger);
    expect(unknown.code).to.equal(3);
    expect(unknown.err).to.contain(`${bare.server} does not know you`);
  });

  it('takes what it does not know for a mistake in typing, and says what was meant', async () => {
    expect(await hallpass('aprove', 'x')).to.deep.equal({
      code: 2,
      err: "error: unknown command 'aprove' (Did you mean approve?)",
    });
    expect((await hallpass('list', '-o', 'xml')).code).to.equal(2);
    expect((await hallpass('approve', 'a/b/c', ...sure)).err).to.contain('names no grant and no identity');
  });

  it('keeps what it compiled for the next time, where nobody else writes', async () => {
    await hallpass('list', '--context', 'prod');
    // The control plane's directory is their home.
    const kept = join(bare.directory, '.cache', 'hallpass', 'node');
    expect(readdirSync(kept, { recursive: true })).to.have.length.above(100);
    expect(statSync(kept).mode & 0o022).to.equal(0);
  });
});
