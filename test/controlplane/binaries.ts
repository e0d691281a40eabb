// Where the control plane's programs come from: KUBEBUILDER_ASSETS, then PATH where the version serves, then the cache
// that build.sh fills.
import { execFile, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Program = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl';

/** The oldest minor version of each program that serves: MutatingAdmissionPolicy is on by default from Kubernetes 1.36. */
const oldest: Record<Program, { major: number; minor: number; arguments: string[] }> = {
  etcd: { major: 3, minor: 5, arguments: ['--version'] },
  'kube-apiserver': { major: 1, minor: 36, arguments: ['--version'] },
  'kube-controller-manager': { major: 1, minor: 36, arguments: ['--version'] },
  kubectl: { major: 1, minor: 36, arguments: ['version', '--client'] },
};

async function serves(program: Program, path: string): Promise<boolean> {
  const need = oldest[program];
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, need.arguments, { timeout: 10_000 });
    const [, major, minor] = /(\d+)\.(\d+)\.\d+/.exec(stdout) ?? [];
    return Number(major) === need.major && Number(minor) >= need.minor;
  } catch {
    return false;
  }
}

async function find(program: Program): Promise<string | undefined> {
  const directories = [process.env.KUBEBUILDER_ASSETS, ...(process.env.PATH ?? '').split(delimiter)];
  for (const directory of directories) {
    if (!directory) continue;
    const path = join(directory, program);
    if (await serves(program, path)) return path;
  }
  return undefined;
}

/** Builds a program into the cache unless it is there; build.sh's progress goes to stderr. All four take some 11 minutes. */
async function build(program: Program): Promise<string> {
  const script = join(import.meta.dirname, 'build.sh');
  const child = spawn('bash', [script, program], { stdio: ['ignore', 'pipe', 'inherit'] });
  let directory = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    directory = line;
  });
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`building ${program} failed: ${script} ended with ${code}, see above`);
  return join(directory, program);
}

const located = new Map<Program, Promise<string>>();

/** The path of a program, looked for once a process. */
export function binary(program: Program): Promise<string> {
  const path = located.get(program) ?? find(program).then((found) => found ?? build(program));
  located.set(program, path);
  return path;
}

/** The paths of all four, one after the other: builds side by side are no faster. */
export async function controlPlaneBinaries(): Promise<Record<Program, string>> {
  return {
    etcd: await binary('etcd'),
    'kube-apiserver': await binary('kube-apiserver'),
    'kube-controller-manager': await binary('kube-controller-manager'),
    kubectl: await binary('kubectl'),
  };
}
