// The playground: hallpass under its own rights, and agents with tokens as a kubelet gets them.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { binary } from '../controlplane/binaries.ts';
import { oneLeads, type Playground, startPlayground } from '../controlplane/playground.ts';

const run = promisify(execFile);

const identity = `
apiVersion: hallpass.dev/v1alpha1
kind: AgentIdentity
metadata: { name: triage, namespace: demo }
spec:
  purpose: Looks into incidents.
  owner: { kind: Group, name: oncall }
`;

describe('a playground', () => {
  let playground: Playground;

  before(async () => {
    playground = await startPlayground({ replicas: 2 });
  });
  after(() => playground?.stop());

  const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

  it('runs every replica of hallpass, ready, under a pid of its own', async () => {
    expect(playground.hallpass).to.have.lengthOf(2);
    expect(new Set(playground.hallpass.map((each) => each.pid)).size).to.equal(2);
    for (const each of playground.hallpass) expect((await fetch(`${each.healthUrl}/readyz`)).status).to.equal(200);
  });

  it('gives hallpass the rights of its ServiceAccount and not those of an admin', async () => {
    const can = async (...what: string[]) => {
      const as = '--as=system:serviceaccount:hallpass-system:hallpass';
      return (await playground.kubectl(['auth', 'can-i', ...what, as])).stdout.trim();
    };
    expect(await can('list', 'agentgrants.hallpass.dev', '--all-namespaces')).to.equal('yes');
    expect(await can('get', 'secrets', '-n', 'demo')).to.equal('no');
    const token = (await readFile(join(playground.directory, 'hallpass.token'), 'utf8')).trim();
    expect(claimsOf(token).sub).to.equal('system:serviceaccount:hallpass-system:hallpass');
    const log = await readFile(playground.hallpass[0]?.logFile ?? '', 'utf8');
    expect(log, 'the log of hallpass').to.not.contain(token);
  });

  it('enables demo and demo-other, and the latter accepts grants from the former', async () => {
    for (const namespace of ['demo', 'demo-other']) {
      const bindings = await playground.admin(['get', 'rolebindings', '-n', namespace, '--output=name']);
      expect(bindings.trim().split('\n')).to.include.members([
        'rolebinding.rbac.authorization.k8s.io/hallpass-grantable',
        'rolebinding.rbac.authorization.k8s.io/hallpass-issuer',
      ]);
    }
    const annotations = await playground.admin([
      'get',
      'namespace',
      'demo-other',
      '-o=jsonpath={.metadata.annotations}',
    ]);
    expect(JSON.parse(annotations)).to.include({ 'hallpass.dev/accepts-grants-from': 'demo' });
  });

  it('lets its ceiling cover reading pods, configmaps, services and deployments', async () => {
    const as = '--as=system:serviceaccount:hallpass-system:hallpass';
    for (const what of ['pods', 'configmaps', 'services', 'deployments.apps']) {
      const answer = await playground.kubectl(['auth', 'can-i', 'get', what, '-n', 'demo-other', as]);
      expect(answer.stdout.trim(), what).to.equal('yes');
    }
  });

  it("gets an agent's token as a kubelet does: of ten minutes, bound to a pod on a node", async () => {
    await playground.admin(['apply', '-f', '-'], { input: identity });
    await playground.admin(['wait', '--for=condition=Ready', '--timeout=30s', '-n', 'demo', 'agentid/triage']);
    const pod = await playground.agentPod({ namespace: 'demo', identity: 'triage' });
    const claims = claimsOf(pod.token);
    expect(claims.sub).to.equal('system:serviceaccount:demo:hallpass-triage');
    expect(claims.exp - claims.iat).to.equal(600);
    expect(claims['kubernetes.io'].pod.name).to.equal(pod.name);
    expect(claims['kubernetes.io'].node.name).to.match(/^node-/);
    const kubeconfig = await playground.kubeconfigFor({ token: pod.token });
    expect((await playground.kubectl(['get', 'pods', '-n', 'demo'], { kubeconfig })).stderr).to.contain('Forbidden');
  });

  it('starts a killed replica again on demand', async () => {
    const [first] = playground.hallpass;
    if (!first) throw new Error('no replica');
    const pid = first.pid;
    first.kill('SIGKILL');
    expect((await first.exited).signal).to.equal('SIGKILL');
    await first.restart();
    expect(first.pid).to.not.equal(pid);
    expect((await fetch(`${first.healthUrl}/readyz`)).status).to.equal(200);
  });
});

describe('a replica of hallpass', () => {
  it('is not up when it ends between being ready and leading', async () => {
    const exited = Promise.withResolvers<{ code: number; signal: null }>();
    let asked = 0;
    const server = createServer((_, response) => {
      response.end('ok\nfollows another replica, ready to take over\n');
      if (++asked === 3) exited.resolve({ code: 1, signal: null });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const replica = { pid: 7, healthUrl: `http://127.0.0.1:${port}`, logFile: 'hallpass.log', exited: exited.promise };
    try {
      const error = await oneLeads([replica]).catch((error) => error);
      expect(error?.message).to.equal('hallpass 7 ended (1) before any replica led: see hallpass.log');
    } finally {
      server.close();
    }
  });
});

describe('make up', () => {
  const command = join(import.meta.dirname, '..', 'controlplane', 'playground-command.ts');
  let directory: string;
  const make = (...args: string[]) => run(process.execPath, [command, ...args], { cwd: directory });
  const logged = () => readFile(join(directory, '.playground', 'hallpass.log'), 'utf8');

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hallpass-up-'));
  });
  after(async () => {
    await make('down');
    await rm(directory, { recursive: true });
  });

  it('returns with hallpass ready, and leaves kubeconfig and log behind it', async () => {
    const from = performance.now();
    const { stdout } = await make('up', '1');
    console.log(`      returned after ${((performance.now() - from) / 1000).toFixed(1)} s`);
    const kubeconfig = join(directory, '.playground', 'kubeconfig');
    expect(stdout).to.contain(kubeconfig);
    expect(await logged()).to.not.equal('');
    const { stdout: user } = await run(await binary('kubectl'), [
      `--kubeconfig=${kubeconfig}`,
      'auth',
      'whoami',
      '--output=jsonpath={.status.userInfo.groups}',
    ]);
    expect(user).to.contain('system:masters');
  });

  it('is one playground when two ask for it at once, also where one was killed before', async () => {
    await make('down');
    await mkdir(join(directory, '.playground'), { recursive: true });
    // What a playground that was killed leaves behind: a name at which nobody listens.
    const listen = `require('node:net').createServer().listen('.playground/control.sock', () => process.kill(process.pid, 'SIGKILL'))`;
    await run(process.execPath, ['-e', listen], { cwd: directory }).catch(() => {});
    const answers = await Promise.all([make('up', '1'), make('up', '1'), make('up', '1')]);
    const already = answers.filter(({ stdout }) => stdout.includes('It is up already'));
    expect(already).to.have.lengthOf(2);
    for (const { stdout } of answers) expect(stdout).to.contain('The playground is up');
    expect((await logged()).match(/hallpass starts/g)).to.have.lengthOf(1);
  });

  it('says so when it is up already, and refuses to be up in another size', async () => {
    expect((await make('up', '1')).stdout).to.contain('up already');
    const refused = await make('up', '2').catch((error) => error);
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.contain('make down');
  });

  it('says so when hallpass in it has ended', async () => {
    const lease = ['-n', 'hallpass-system', 'patch', 'lease', 'hallpass', '--type=merge'];
    const another = { spec: { holderIdentity: 'another', renewTime: '2100-01-01T00:00:00.000000Z' } };
    const kubeconfig = `--kubeconfig=${join(directory, '.playground', 'kubeconfig')}`;
    // One that loses the lease ends at once.
    await run(await binary('kubectl'), [kubeconfig, ...lease, '-p', JSON.stringify(another)]);
    const told = async () => (await make('up', '1').catch((error) => error)).stderr ?? '';
    const until = performance.now() + 20_000;
    let answer = await told();
    while (answer === '' && performance.now() < until) answer = await told();
    expect(answer).to.match(/hallpass \d+ ended: 1[\s\S]*make down/);
  });

  it('is ended by make down, which keeps the log', async () => {
    expect((await make('down')).stdout).to.contain('is down');
    expect(await readdir(join(directory, '.playground'))).to.have.members(['hallpass.log', 'playground.log']);
    expect((await make('down')).stdout).to.contain('not up');
  });
});
