// hallpass started where it can't work: what it says about that, and whether it waits or gives up.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { installHallpass, keepToken } from '../controlplane/installation.ts';
import { writeKubeconfig } from '../controlplane/kubeconfig.ts';
import { type HallpassProcess, startHallpass } from '../controlplane/playground.ts';
import { freePort } from '../controlplane/ports.ts';
import { logged } from './logged.ts';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'src', 'main.ts');

type Ended = { code: number; stdout: string; stderr: string };

/** Runs hallpass to its end, which must come by itself. */
function run(...args: string[]): Promise<Ended> {
  const { KUBECONFIG: _, KUBERNETES_SERVICE_HOST: __, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env, timeout: 20_000 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

describe('the command line of hallpass', () => {
  it('explains every flag on --help', async () => {
    const { code, stdout } = await run('--help');
    expect(code).to.equal(0);
    const flags = ['kubeconfig', 'context', 'health-address', 'log-format', 'log-level', 'receipt-retention'];
    for (const flag of [...flags, 'dead-man-image']) expect(stdout).to.match(new RegExp(`--${flag} <.*>\\s+\\S+`));
    for (const line of stdout.split('\n')) expect(line.length, line).to.be.at.most(120);
  });

  const wrong: [string[], RegExp][] = [
    [['--kubeconfg=x'], /unknown option '--kubeconfg=x'/],
    [['--log-level=loud'], /'loud' is invalid. Allowed choices are debug, info, warn, error/],
    [['--receipt-retention=10y'], /'10y' is invalid.*90s/],
    [['--health-address=8080'], /8080 is no address to listen on: write HOST:PORT/],
    [['surprise'], /surprise|arguments/],
  ];
  for (const [args, says] of wrong) {
    it(`refuses ${args.join(' ')} and says what would be right`, async () => {
      const { code, stderr } = await run(...args);
      expect(code).to.equal(1);
      expect(stderr).to.match(says).and.contain('--help');
      expect(stderr).to.not.match(/^\s+at /m);
    });
  }
});

describe('hallpass started', function () {
  this.timeout(90_000);
  let controlPlane: ControlPlane;
  let count = 0;
  const path = (name: string) => join(controlPlane.directory, name);

  before(async () => {
    controlPlane = await startControlPlane();
  });
  after(() => controlPlane?.stop());

  async function start(kubeconfig: string): Promise<HallpassProcess> {
    count += 1;
    const logFile = path(`start-${count}.log`);
    return startHallpass(controlPlane, { name: `start-${count}`, kubeconfig, logFile, flags: [] });
  }
  const readiness = async ({ healthUrl }: HallpassProcess) => {
    const response = await fetch(`${healthUrl}/readyz`);
    return { status: response.status, text: await response.text() };
  };
  /** It waits, says why on /readyz, too, and ends when it is told to. */
  async function waits(hallpass: HallpassProcess, says: RegExp): Promise<void> {
    const text = await logged(hallpass, says);
    expect(text).to.not.match(/^\s+at /m);
    const { status, text: notes } = await readiness(hallpass);
    expect(status).to.equal(503);
    expect(notes).to.match(says);
    expect((await fetch(`${hallpass.healthUrl}/livez`)).status).to.equal(200);
    expect((await hallpass.stop()).code).to.equal(0);
  }

  it('against nothing: says that nothing listens there, and waits', async () => {
    const kubeconfig = path('nothing.kubeconfig');
    await writeKubeconfig(kubeconfig, { server: `https://127.0.0.1:${await freePort()}` }, { token: 'none' });
    await waits(await start(kubeconfig), /nothing listens there.*check that the API server runs/);
  });

  it('against a page of HTML: says that this is no API server, and waits', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Log in</title>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    try {
      const kubeconfig = path('page.kubeconfig');
      const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
      await writeKubeconfig(kubeconfig, cluster, { token: 'none' });
      await waits(await start(kubeconfig), /text\/html.*Check that the server address is/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('against a server of another authority: says that its certificate is not trusted, and waits', async () => {
    const kubeconfig = path('untrusted.kubeconfig');
    await writeKubeconfig(kubeconfig, { server: controlPlane.server }, { token: 'none' });
    await waits(await start(kubeconfig), /not signed by the certificate authority/);
  });

  it('with a token that the server does not know: says so, and waits', async () => {
    const kubeconfig = await controlPlane.kubeconfigFor({ token: 'of-another-cluster' });
    const hallpass = await start(kubeconfig);
    await waits(hallpass, /does not know these credentials/);
    expect(await readFile(hallpass.logFile, 'utf8')).to.not.contain('of-another-cluster');
  });

  it('without rights: says which are missing, and waits', async () => {
    const kubeconfig = await controlPlane.kubeconfigFor({ user: 'nobody-in-particular' });
    await waits(
      await start(kubeconfig),
      /A ClusterRole bound to this user must allow get, list and watch on agentgrants\.hallpass\.dev/,
    );
  });

  it('without its kinds: says what to install, waits, and works once they are there', async () => {
    const { admin } = controlPlane;
    for (const part of ['namespace', 'operator']) {
      await admin(['apply', '-f', join(root, 'deploy', 'cluster', `${part}.yaml`)]);
    }
    const tokenFile = path('hallpass.token');
    const keeper = await keepToken(controlPlane.kubectl, tokenFile);
    const hallpass = await start(await controlPlane.kubeconfigFor({ tokenFile }));
    await logged(hallpass, /does not serve agentgrants\.hallpass\.dev.*install its CustomResourceDefinition/);
    expect((await readiness(hallpass)).status).to.equal(503);
    await installHallpass(controlPlane);
    await hallpass.ready();
    await logged(hallpass, /"leads"/);
    expect((await hallpass.stop()).code).to.equal(0);
    keeper.stop();
  });

  const useless: [string, string | undefined, RegExp][] = [
    ['a kubeconfig that does not exist', undefined, /does not exist; name an existing kubeconfig/],
    ['a kubeconfig that is a manifest', 'kind: Deployment\nmetadata: { name: x }\n', /is not a kubeconfig/],
    ['a kubeconfig that is no YAML', '{ token: "secret-inside', /is not a kubeconfig.*neither YAML nor JSON/],
    ['an empty kubeconfig', '', /is not a kubeconfig/],
  ];
  for (const [what, content, says] of useless) {
    it(`with ${what}: says so and ends with 1, since waiting won't help`, async () => {
      const file = path('useless.kubeconfig');
      const named = content === undefined ? path('missing.kubeconfig') : file;
      if (content !== undefined) await writeFile(file, content);
      const { code, stderr } = await run(`--kubeconfig=${named}`, '--health-address=127.0.0.1:0');
      expect(code).to.equal(1);
      expect(stderr).to.match(says).and.not.contain('secret-inside');
      expect(stderr).to.not.match(/^\s+at /m);
    });
  }

  it('with a health address that is taken: says so and ends with 1', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    try {
      const { code, stderr } = await run(
        `--kubeconfig=${controlPlane.kubeconfig}`,
        `--health-address=127.0.0.1:${port}`,
      );
      expect(code).to.equal(1);
      expect(stderr)
        .to.match(/health-address/)
        .and.contain(String(port));
    } finally {
      server.close();
    }
  });
});
