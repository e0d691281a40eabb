import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { CredentialsError, cachedToken, loadCredentials, tokenFile } from '../../../src/kube/credentials.ts';
import { rejection } from './wire.ts';

const secret = 'c2VjcmV0LW9mLXRoZS10ZXN0';

// Reads `token 1`, `token 2`…
function counted(): () => Promise<string> {
  let reads = 0;
  return async () => {
    reads += 1;
    return `token ${reads}`;
  };
}

describe('credentials', () => {
  let directory: string;
  const inDirectory = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    return path;
  };
  const kubeconfig = (user: object, cluster: object = {}, others: object = {}): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'first', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'first',
      ...others,
    });
  const nothing = {
    environment: {},
    get home() {
      return directory;
    },
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hallpass-credentials-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  describe('in a pod', () => {
    const environment = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };

    it('are the ServiceAccount’s', async () => {
      await inDirectory('token', 'one\n');
      await inDirectory('ca.crt', 'PEM');
      const credentials = await loadCredentials({ environment, serviceAccountPath: directory, home: directory });
      expect(credentials).to.include({ server: 'https://10.0.0.1:443', certificateAuthority: 'PEM' });
      expect(await credentials.token?.()).to.equal('one');
    });

    it('work over IPv6', async () => {
      await inDirectory('token', 'one');
      await inDirectory('ca.crt', 'PEM');
      const v6 = { ...environment, KUBERNETES_SERVICE_HOST: 'fd00::1' };
      expect(await loadCredentials({ environment: v6, serviceAccountPath: directory })).to.include({
        server: 'https://[fd00::1]:443',
      });
    });

    it('are missing with a clear error when no token is mounted', async () => {
      const error = await rejection(loadCredentials({ environment, serviceAccountPath: directory }));
      expect(error).to.be.instanceOf(CredentialsError);
      expect(String(error)).to.include(join(directory, 'token')).and.include('ENOENT');
    });
  });

  describe('as a token in a file', () => {
    it('are read again each minute', async () => {
      let now = 0;
      const token = cachedToken(counted(), { now: () => now });
      expect(await token()).to.equal('token 1');
      now = 59_999;
      expect(await token()).to.equal('token 1');
      now = 60_000;
      expect(await token()).to.equal('token 2');
    });

    it('are read again at once when asked to', async () => {
      const path = await inDirectory('token', 'one');
      const token = tokenFile(path);
      expect(await token()).to.equal('one');
      await writeFile(path, 'two');
      expect(await token()).to.equal('one');
      expect(await token({ refresh: true })).to.equal('two');
      expect(await token()).to.equal('two');
    });

    it('are read once for many who ask at the same time', async () => {
      const token = cachedToken(counted());
      expect(await Promise.all([token(), token({ refresh: true }), token()])).to.deep.equal(Array(3).fill('token 1'));
    });

    it('stay in use while the file cannot be read, and are tried again', async () => {
      let now = 0;
      let failing = false;
      let reads = 0;
      const token = cachedToken(
        async () => {
          reads += 1;
          if (failing) throw new Error('gone');
          return `token ${reads}`;
        },
        { now: () => now },
      );
      await token();
      failing = true;
      now = 60_000;
      expect(await token()).to.equal('token 1');
      failing = false;
      now = 120_000;
      expect(await token()).to.equal('token 3');
    });

    it('fail when there never was one, and work once there is', async () => {
      const path = join(directory, 'token');
      const token = tokenFile(path);
      expect(await rejection(token())).to.be.instanceOf(CredentialsError);
      await writeFile(path, 'late');
      expect(await token()).to.equal('late');
    });
  });

  describe('from a kubeconfig', () => {
    it('are certificates that it holds or names', async () => {
      await inDirectory('key.pem', 'KEY');
      const path = await inDirectory(
        'config',
        kubeconfig(
          { 'client-certificate-data': Buffer.from('CERT').toString('base64'), 'client-key': 'key.pem' },
          { 'certificate-authority-data': Buffer.from('CA').toString('base64'), 'tls-server-name': 'kubernetes' },
        ),
      );
      expect(await loadCredentials({ kubeconfig: path, ...nothing })).to.include({
        server: 'https://127.0.0.1:6443',
        certificateAuthority: 'CA',
        clientCertificate: 'CERT',
        clientKey: 'KEY',
        serverName: 'kubernetes',
        insecureSkipTlsVerify: false,
      });
    });

    it('are a token', async () => {
      const path = await inDirectory('config', kubeconfig({ token: secret }));
      const { token } = await loadCredentials({ kubeconfig: path, ...nothing });
      expect(await token?.()).to.equal(secret);
    });

    it('are a token in a file, which is followed', async () => {
      const file = await inDirectory('token', 'one');
      const path = await inDirectory('config', kubeconfig({ tokenFile: file }));
      const { token } = await loadCredentials({ kubeconfig: path, ...nothing });
      expect(await token?.()).to.equal('one');
      await writeFile(file, 'two');
      expect(await token?.({ refresh: true })).to.equal('two');
    });

    it('are what a plugin prints, which is told the protocol and run once at a time', async () => {
      const script = `echo run >> ${directory}/runs; echo "$KUBERNETES_EXEC_INFO" > ${directory}/info;
        echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin","expirationTimestamp":"2000-01-01T00:00:00Z"}}'`;
      const exec = {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: 'sh',
        args: ['-c', script],
        interactiveMode: 'Never',
      };
      const path = await inDirectory('config', kubeconfig({ exec }));
      const { token } = await loadCredentials({ kubeconfig: path, ...nothing });
      const before = (await readFile(join(directory, 'runs'), 'utf8')).length;
      expect(await Promise.all([token?.({ refresh: true }), token?.({ refresh: true })])).to.deep.equal(
        Array(2).fill('from-plugin'),
      );
      const after = (await readFile(join(directory, 'runs'), 'utf8')).length;
      expect(after - before).to.equal('run\n'.length);
      expect(JSON.parse(await readFile(join(directory, 'info'), 'utf8'))).to.deep.include({
        apiVersion: 'client.authentication.k8s.io/v1',
        kind: 'ExecCredential',
      });
    });

    it('are asked for again after a 401 also from a plugin whose token does not expire', async () => {
      const script = `echo run >> ${directory}/runs; n=$(wc -l < ${directory}/runs);
        echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"token '$n'"}}'`;
      const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', script] };
      const path = await inDirectory('config', kubeconfig({ exec }));
      const { token } = await loadCredentials({ kubeconfig: path, ...nothing });
      expect(await token?.()).to.equal('token 1');
      expect(await token?.({ refresh: true })).to.equal('token 2');
    });

    it('name the plugin that failed and not what it wrote', async () => {
      const exec = {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: 'sh',
        args: ['-c', `echo ${secret} >&2; exit 3`],
      };
      const path = await inDirectory('config', kubeconfig({ exec }));
      const error = await rejection(loadCredentials({ kubeconfig: path, ...nothing }));
      expect(error).to.be.instanceOf(CredentialsError);
      expect(String(error)).to.include('plugin sh').and.not.include(secret);
    });

    it('are those of the context that was named', async () => {
      const contexts = ['first', 'second'].map((name) => ({ name, context: { cluster: name, user: 'u' } }));
      const clusters = ['first', 'second'].map((name) => ({ name, cluster: { server: `https://${name}.example` } }));
      const path = await inDirectory('config', kubeconfig({ token: secret }, {}, { contexts, clusters }));
      expect((await loadCredentials({ kubeconfig: path, context: 'second', ...nothing })).server).to.equal(
        'https://second.example',
      );
      const error = await rejection(loadCredentials({ kubeconfig: path, context: 'third', ...nothing }));
      expect(String(error)).to.include('third').and.include('first, second');
    });

    it('come from the files that KUBECONFIG names, of which some may be missing', async () => {
      const path = await inDirectory('config', kubeconfig({ token: secret }));
      const environment = { KUBECONFIG: `${join(directory, 'missing')}:${path}` };
      expect((await loadCredentials({ environment, home: directory })).server).to.equal('https://127.0.0.1:6443');
      const error = await rejection(
        loadCredentials({ environment: { KUBECONFIG: join(directory, 'missing') }, home: directory }),
      );
      expect(String(error)).to.include('KUBECONFIG').and.include('does not exist');
    });
  });

  describe('that are no kubeconfig', () => {
    const cases: [string, string, string][] = [
      ['neither YAML nor JSON', `token: "${secret}\n  : [`, 'neither YAML nor JSON'],
      ['a list', `- ${secret}`, 'does not have the form'],
      ['a plain text', secret, 'does not have the form'],
      ['empty', '', 'does not have the form'],
      ['another manifest', `kind: Secret\ndata: {token: ${secret}}`, 'names no cluster'],
      ['of clusters that are none', `clusters: ${secret}`, 'clusters'],
    ];
    for (const [what, text, says] of cases) {
      it(`are refused with the file’s name and without its content: ${what}`, async () => {
        const path = await inDirectory('config', text);
        const error = await rejection(loadCredentials({ kubeconfig: path, ...nothing }));
        expect(error).to.be.instanceOf(CredentialsError);
        expect(String(error)).to.include(path).and.include(says).and.include('--kubeconfig').and.not.include(secret);
      });
    }

    it('are refused when the server’s address is none, or the current context is missing', async () => {
      const noServer = await inDirectory('a', kubeconfig({ token: secret }, { server: 'nowhere' }));
      const noContext = await inDirectory('b', kubeconfig({ token: secret }, {}, { 'current-context': '' }));
      const noCluster = await inDirectory(
        'c',
        kubeconfig({}, {}, { contexts: [{ name: 'first', context: { cluster: 'other', user: 'u' } }] }),
      );
      expect(String(await rejection(loadCredentials({ kubeconfig: noServer, ...nothing })))).to.include(
        'server address',
      );
      expect(String(await rejection(loadCredentials({ kubeconfig: noContext, ...nothing })))).to.include('--context');
      expect(String(await rejection(loadCredentials({ kubeconfig: noCluster, ...nothing })))).to.include(
        'does not define',
      );
    });

    it('are refused over http://, unless it says that this is meant', async () => {
      const cluster = { server: 'http://127.0.0.1:8001' };
      const open = await inDirectory('open', kubeconfig({ token: secret }, cluster));
      const error = await rejection(loadCredentials({ ...nothing, kubeconfig: open }));
      expect(error).to.be.instanceOf(CredentialsError);
      expect(String(error)).to.include('http://').and.include('insecure-skip-tls-verify');
      const meant = await inDirectory(
        'meant',
        kubeconfig({ token: secret }, { ...cluster, 'insecure-skip-tls-verify': true }),
      );
      expect((await loadCredentials({ ...nothing, kubeconfig: meant })).server).to.equal('http://127.0.0.1:8001');
    });

    it('are refused when the file is missing', async () => {
      const error = await rejection(loadCredentials({ kubeconfig: join(directory, 'missing'), ...nothing }));
      expect(String(error)).to.include('missing').and.include('does not exist');
    });

    it('are refused when it is a directory, with the remedy', async () => {
      const error = await rejection(loadCredentials({ kubeconfig: directory, ...nothing }));
      expect(String(error)).to.include(directory).and.include('is a directory; name a file in it with --kubeconfig');
    });

    it('are refused when certificates that it names are missing', async () => {
      const path = await inDirectory('config', kubeconfig({ 'client-certificate': 'no.pem', 'client-key': 'no.pem' }));
      const error = await rejection(loadCredentials({ kubeconfig: path, ...nothing }));
      expect(error).to.be.instanceOf(CredentialsError);
      expect(String(error)).to.include('cannot be read');
    });
  });

  it('are looked for in all known places, which the error names', async () => {
    const error = await rejection(loadCredentials(nothing));
    expect(error).to.be.instanceOf(CredentialsError);
    for (const place of ['--kubeconfig', 'KUBECONFIG', 'KUBERNETES_SERVICE_HOST', join(directory, '.kube', 'config')]) {
      expect(String(error)).to.include(place);
    }
  });
});
