// The control plane that all integration tests stand on: complete, alone, and gone when its starter is.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { poll } from '../harness/poll.ts';

/** A process that has ended but was not waited for yet is gone, too. */
async function runs(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') R');
  return !/\) [ZX]/.test(state);
}

/** The processes that a process has started and that still run. */
async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-o', 'pid=,ppid=,stat=,comm=']);
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, state, command]) => Number(parent) === pid && !state?.startsWith('Z') && command !== 'ps')
    .map(([child]) => Number(child));
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('a control plane', () => {
  let first: ControlPlane;
  let second: ControlPlane;

  before(async () => {
    [first, second] = await Promise.all([startControlPlane(), startControlPlane()]);
  });
  after(() => Promise.all([first?.stop(), second?.stop()]));

  it('serves the version that hallpass is built for, and kubectl agrees with it', async () => {
    const { stdout, stderr, code } = await first.kubectl(['version', '--output=json']);
    expect(code, stderr).to.equal(0);
    const { serverVersion } = JSON.parse(stdout);
    expect(Number.parseInt(serverVersion.minor, 10)).to.be.at.least(36);
    expect(stderr).to.not.contain('version difference');
  });

  it('shows nothing of what is written to another one beside it', async () => {
    expect((await first.kubectl(['create', 'configmap', 'here'])).code).to.equal(0);
    expect((await first.kubectl(['get', 'configmap', 'here'])).code).to.equal(0);
    expect((await second.kubectl(['get', 'configmap', 'here'])).stderr).to.contain('NotFound');
    expect(second.server).to.not.equal(first.server);
  });

  it('refuses the certificates of another one', async () => {
    const theirs = await second.credentialsFor({ user: 'jane', groups: ['system:masters'] });
    expect(theirs.certificateAuthority).to.not.equal(first.certificateAuthority);
    const result = await first.kubectl(['get', 'nodes'], { kubeconfig: second.kubeconfig });
    expect(result.code, 'another one answers at its own address').to.equal(0);
    const confused = await first.kubectl(['get', 'nodes', `--server=${first.server}`], {
      kubeconfig: second.kubeconfig,
    });
    expect(confused.stderr).to.contain('certificate');
    expect(confused.code).to.not.equal(0);
  });

  it('knows a user and all groups by the client certificate', async () => {
    const kubeconfig = await first.kubeconfigFor({ user: 'jane', groups: ['team-a', 'team-b'] });
    const { stdout } = await first.kubectl(['auth', 'whoami', '--output=json'], { kubeconfig });
    const { userInfo } = JSON.parse(stdout).status;
    expect(userInfo.username).to.equal('jane');
    expect(userInfo.groups).to.have.members(['team-a', 'team-b', 'system:authenticated']);
    const refused = await first.kubectl(['get', 'pods'], { kubeconfig });
    expect(refused.stderr).to.contain('Forbidden');
  });

  it('makes service accounts, and signs tokens for them that it accepts', async () => {
    await first.serviceAccountReady();
    const { stdout: token, stderr } = await first.kubectl(['create', 'token', 'default']);
    expect(token.trim(), stderr).to.match(/^ey/);
    const kubeconfig = await first.kubeconfigFor({ token: token.trim() });
    const { stdout } = await first.kubectl(['auth', 'whoami', '--output=json'], { kubeconfig });
    expect(JSON.parse(stdout).status.userInfo.username).to.equal('system:serviceaccount:default:default');
  });

  it('comes back with its data at the same address after its API server was killed', async () => {
    await second.kubectl(['create', 'configmap', 'kept']);
    second.apiServer.kill('SIGKILL');
    await second.apiServer.stop();
    expect((await second.kubectl(['get', 'configmap', 'kept'])).stderr).to.contain('refused');
    await second.apiServer.start();
    expect((await second.kubectl(['get', 'configmap', 'kept'])).code).to.equal(0);
  });

  it('says why it cannot start, and leaves nothing behind', async () => {
    // Other tests of this run may hold a control plane open, too.
    const before = new Set(await childrenOf(process.pid));
    const error = await startControlPlane({ apiServerFlags: ['--no-such-flag'] }).catch((reason) => reason);
    expect(error).to.be.instanceOf(Error);
    expect(error.message).to.contain('kube-apiserver').and.to.contain('no-such-flag');
    expect((await childrenOf(process.pid)).filter((pid) => !before.has(pid))).to.deep.equal([]);
  });

  it('leaves neither processes nor state behind when it is stopped', async () => {
    const third = await startControlPlane();
    const pids = [third.apiServer.pid, third.controllerManager.pid, third.supervisor.pid];
    expect(await Promise.all(pids.map(runs))).to.deep.equal([true, true, true]);
    await third.stop();
    expect(await Promise.all(pids.map(runs))).to.deep.equal([false, false, false]);
    expect(await exists(third.directory)).to.equal(false);
  });

  it('leaves neither processes nor state behind when its starter is killed', async () => {
    const starter = startElsewhere();
    const [line] = await once(createInterface({ input: starter.stdout }), 'line');
    const { pids, directory } = JSON.parse(line);
    expect(pids).to.have.lengthOf(4);
    expect(await Promise.all(pids.map(runs))).to.deep.equal([true, true, true, true]);

    starter.kill('SIGKILL');
    await once(starter, 'exit');

    const left = async () => (await Promise.all(pids.map(runs))).includes(true) || (await exists(directory));
    await poll(left, (any) => !any, 10_000, { pause: 20 });
    expect(await Promise.all(pids.map(runs))).to.deep.equal([false, false, false, false]);
    expect(await exists(directory)).to.equal(false);
  });
});

/** A process that starts a control plane, says what runs, and waits for ever. */
function startElsewhere(): ChildProcess & { stdout: NodeJS.ReadableStream } {
  const module = join(dirname(import.meta.dirname), 'controlplane', 'controlplane.ts');
  const script = `
    import { startControlPlane } from ${JSON.stringify(module)};
    import { readFileSync } from 'node:fs';
    const cp = await startControlPlane();
    const sleeper = await cp.supervisor.start({ name: 'sleeper', command: 'sleep', arguments: ['600'], logFile: cp.directory + '/sleeper.log' });
    const pids = [cp.apiServer.pid, cp.controllerManager.pid, cp.supervisor.pid, sleeper.pid];
    console.log(JSON.stringify({ pids, directory: cp.directory }));
    setInterval(() => {}, 60_000);`;
  return spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

describe("a control plane's programs", () => {
  const module = join(dirname(import.meta.dirname), 'controlplane', 'binaries.ts');
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hallpass-binaries-'));
  });
  after(() => rm(directory, { recursive: true }));

  async function program(folder: string, name: string, version: string): Promise<string> {
    const path = join(directory, folder);
    await mkdir(path, { recursive: true });
    await writeFile(join(path, name), `#!/bin/sh\necho "Version: ${version}"\n`, { mode: 0o755 });
    return path;
  }

  /** Where a process with this environment finds etcd. */
  async function found(environment: NodeJS.ProcessEnv): Promise<string> {
    const script = `import { binary } from ${JSON.stringify(module)}; console.log(await binary('etcd'));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, KUBEBUILDER_ASSETS: '', ...environment },
    });
    return stdout.trim();
  }

  it('come from KUBEBUILDER_ASSETS first, then from PATH', async () => {
    const assets = await program('assets', 'etcd', '3.6.1');
    const path = `${await program('path', 'etcd', '3.6.2')}:${process.env.PATH}`;
    expect(await found({ KUBEBUILDER_ASSETS: assets, PATH: path })).to.equal(join(assets, 'etcd'));
    expect(await found({ PATH: path })).to.equal(join(directory, 'path', 'etcd'));
  });

  it('are built, or taken from the cache, where those are too old to serve', async () => {
    const old = await program('old', 'etcd', '3.4.9');
    const built = await found({ KUBEBUILDER_ASSETS: old, PATH: `${old}:${process.env.PATH}` });
    expect(built).to.match(/hallpass\/controlplane\/.*\/etcd$/);
  });
});
