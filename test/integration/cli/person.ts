// A person at a terminal that is none, with that person's own credentials: `kubectl hallpass …` as a subprocess, or its commands alone.
import { execFile } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { run } from '../../../src/cli/program.ts';
import { openTerminal } from '../../../src/cli/terminal.ts';
import { binary } from '../../controlplane/binaries.ts';
import { poll } from '../../harness/poll.ts';
import type { Stage } from '../endings/stage.ts';

const plugins = join(import.meta.dirname, '..', '..', '..', 'bin');

/** What a command wrote, and how it ended. */
export type Ended = { code: number; out: string; err: string };

export type Person = {
  /** Does what `kubectl hallpass` does with these words, without the second that starting it takes. */
  hallpass(...words: string[]): Promise<Ended>;
  /** Runs kubectl itself; `input` is its standard input. */
  kubectl(words: string[], input?: string): Promise<Ended>;
  /** Waits until the API server lets them do this, in the words of `kubectl auth can-i`: a moment after it was bound. */
  may(...what: string[]): Promise<void>;
};

/** Runs kubectl with a kubeconfig and the plugin on its PATH. Its standard input may come late. */
export async function runKubectl(
  kubeconfig: string,
  words: string[],
  input: string | Promise<string> = '',
): Promise<Ended> {
  const kubectl = await binary('kubectl');
  const env = {
    HOME: dirname(kubeconfig),
    PATH: [plugins, dirname(kubectl), process.env.PATH].join(delimiter),
    KUBECONFIG: kubeconfig,
  };
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const child = execFile(kubectl, words, { env, maxBuffer: 64 * 2 ** 20 }, (error, out, err) => {
    resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err });
  });
  child.stdin?.end(await input);
  return promise;
}

async function runHere(kubeconfig: string, words: string[]): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const written = Promise.all([text(stdout), text(stderr)]);
  const terminal = openTerminal({ stdin: Readable.from([]), stdout, stderr });
  const code = await run(['--kubeconfig', kubeconfig, ...words], terminal);
  stdout.end();
  stderr.end();
  const [out, err] = await written;
  return { code, out, err };
}

/** Somebody who has these ClusterRoles in a namespace, or everywhere, and nothing else. */
export async function person(
  stage: Stage,
  user: string,
  o: { namespace?: string; roles?: string[]; everywhere?: string[] } = {},
): Promise<Person> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const bind = (path: string, role: string) =>
    stage.admin.createRaw(path, {
      metadata: { name: `${user}-${role}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    });
  for (const role of o.roles ?? []) await bind(`${rbac}/namespaces/${o.namespace}/rolebindings`, role);
  for (const role of o.everywhere ?? []) await bind(`${rbac}/clusterrolebindings`, role);
  const kubeconfig = await stage.playground.kubeconfigFor({ user });
  const kubectl: Person['kubectl'] = (words, input) => runKubectl(kubeconfig, words, input);
  return {
    hallpass: (...words) => runHere(kubeconfig, words),
    kubectl,
    async may(...what) {
      await poll(
        () => kubectl(['auth', 'can-i', ...what]),
        ({ code }) => code === 0,
      );
    },
  };
}
