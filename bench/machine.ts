// The machine that was measured on, without its name.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { promisify } from 'node:util';
import { binary } from '../test/controlplane/binaries.ts';

const run = promisify(execFile);

export type Machine = { cores: string; memory: string; system: string; versions: string };

export async function machine(): Promise<Machine> {
  const { stdout } = await run(await binary('kube-apiserver'), ['--version']);
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0);
  return {
    cores: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`,
    memory: `${gigabytes} GiB`,
    system: `${type()} ${release()}`,
    versions: `Node ${process.versions.node}, ${stdout.trim()}`,
  };
}

/** How many processes wanted to run in the last minute, ours included; read before measuring it is that of others. */
export function load(): number {
  return loadavg()[0] ?? 0;
}

/** The version of hallpass that is measured: its commit, with a plus when files are changed. */
export async function revision(): Promise<string> {
  try {
    const { stdout } = await run('git', ['describe', '--always', '--dirty=+'], { cwd: import.meta.dirname });
    return stdout.trim();
  } catch {
    return readFileSync(new URL('../package.json', import.meta.url), 'utf8').match(/"version": "(.*)"/)?.[1] ?? '';
  }
}
