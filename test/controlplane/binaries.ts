// Where the control plane's programs come from: KUBEBUILDER_ASSETS, then PATH where the version serves, then the cache
// that build.sh fills.
import { execFile, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;
export type Program = (typeof programs)[number];

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

/** Builds what is missing from the cache; build.sh's progress goes to stderr. The first build takes some 11 minutes. */
async function build(missing: Program[]): Promise<string> {
  const script = join(import.meta.dirname, 'build.sh');
  const child = spawn('bash', [script, ...missing], { stdio: ['ignore', 'pipe', 'inherit'] });
  let directory = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    directory = line;
  });
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`building ${missing.join(', ')} failed: ${script} ended with ${code}, see above`);
  return directory;
}

async function locate(): Promise<Record<Program, string>> {
  const paths: Record<Program, string | undefined> = {
    etcd: await find('etcd'),
    'kube-apiserver': await find('kube-apiserver'),
    'kube-controller-manager': await find('kube-controller-manager'),
    kubectl: await find('kubectl'),
  };
  const missing = programs.filter((program) => !paths[program]);
  const cache = missing.length > 0 ? await build(missing) : '';
  const path = (program: Program) => paths[program] ?? join(cache, program);
  return {
    etcd: path('etcd'),
    'kube-apiserver': path('kube-apiserver'),
    'kube-controller-manager': path('kube-controller-manager'),
    kubectl: path('kubectl'),
  };
}

let located: Promise<Record<Program, string>> | undefined;

/** The path of each program, looked for once a process. */
export function controlPlaneBinaries(): Promise<Record<Program, string>> {
  located ??= locate();
  return located;
}
