// A shell as a reader of the docs has one: each block is pasted into it after the other, and what is exported stays.
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { binary } from '../../controlplane/binaries.ts';

export type Shell = {
  /** Runs a block and returns what appeared, standard error included, and how its last command ended. */
  run(block: string): Promise<{ output: string; code: number }>;
  end(): void;
};

/** Runs one line as an admin pastes it, kubectl at hand, and returns what it printed. Throws when it fails. */
export async function paste(kubeconfig: string, line: string): Promise<string> {
  const PATH = [dirname(await binary('kubectl')), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH, KUBECONFIG: kubeconfig };
  const { stdout } = await promisify(execFile)('bash', ['-c', line], { env });
  return stdout;
}

/** Starts a shell in a directory, in which it keeps what it is given. */
export function openShell(directory: string, environment: NodeJS.ProcessEnv): Shell {
  const bash = spawn('bash', ['--noprofile', '--norc'], {
    cwd: directory,
    env: environment,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  bash.stdin.write('exec 2>&1\n');
  const block = join(directory, '.block.sh');
  return {
    run: (text) =>
      new Promise((resolve, reject) => {
        const mark = `--${randomUUID()}`;
        let seen = '';
        const read = (chunk: string) => {
          seen += chunk;
          const [output, code] = seen.split(mark);
          if (output === undefined || !code?.endsWith('\n')) return;
          bash.stdout.off('data', read);
          bash.off('exit', gone);
          resolve({ output, code: Number(code) });
        };
        const gone = () => reject(new Error(`the shell ended: ${seen}`));
        bash.stdout.setEncoding('utf8').on('data', read);
        bash.once('exit', gone);
        // From a file, so that a command that reads its input doesn't swallow the next one.
        writeFileSync(block, text);
        bash.stdin.write(`. ./.block.sh </dev/null; echo "${mark}$?"\n`);
      }),
    end() {
      bash.kill('SIGTERM');
    },
  };
}
