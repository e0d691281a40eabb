// hallpass in the foreground against any cluster in which deploy/cluster is applied, as its own ServiceAccount.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { binary } from './binaries.ts';
import type { KubectlResult } from './controlplane.ts';
import { keepToken } from './installation.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { freePort } from './ports.ts';

const configSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.looseObject({ server: z.string() }) })]),
});

/**
 * Runs hallpass until it ends or is interrupted, and returns its exit code. `kubeconfig` is used to ask for a token of
 * ServiceAccount hallpass-system/hallpass, which is all that hallpass gets.
 */
export async function runInForeground(kubeconfig: string): Promise<number> {
  const path = await binary('kubectl');
  const environment = { ...process.env, KUBECONFIG: kubeconfig };
  const kubectl = (args: string[]): Promise<KubectlResult> =>
    new Promise((resolve) => {
      execFile(path, args, { env: environment }, (error, stdout, stderr) => {
        resolve({ stdout, stderr: stderr || (error?.message ?? ''), code: error ? 1 : 0 });
      });
    });

  const view = await kubectl(['config', 'view', '--raw', '--minify', '--flatten', '--output=json']);
  if (view.code !== 0) throw new Error(`no cluster in ${kubeconfig}: ${view.stderr.trim()}`);
  const config = configSchema.parse(JSON.parse(view.stdout));

  const directory = await mkdtemp(join(tmpdir(), 'hallpass-run-'));
  try {
    const tokenFile = join(directory, 'token');
    await keepToken(kubectl, tokenFile).catch((error: Error) => {
      throw new Error(`${error.message}\nInstall what it needs first: kubectl apply -k deploy/cluster`);
    });
    const own = join(directory, 'kubeconfig');
    await writeKubeconfig(own, config.clusters[0].cluster, { tokenFile });
    const flags = [`--kubeconfig=${own}`, `--health-address=127.0.0.1:${await freePort()}`];
    const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
    const child = spawn(process.execPath, [main, ...flags], { stdio: 'inherit' });
    // A terminal sends its interrupt to the child as well.
    process.on('SIGINT', () => {});
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    return await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
