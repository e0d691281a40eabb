// Where the demo plays: on a playground of its own, or on the cluster of whoever runs it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { binary } from './binaries.ts';
import { type Observer, observe } from './demo-observer.ts';
import { startPlayground } from './playground.ts';

const agentProgram = join(import.meta.dirname, 'demo-agent.ts');
const deployNamespace = join(import.meta.dirname, '..', '..', 'deploy', 'namespace');

export type Stage = {
  /** The namespace in which all happens; enabled. */
  namespace: string;
  /** Runs kubectl as the person who tells the story, and returns what it printed. Throws what it complained about. */
  kubectl(args: string[], input?: string): Promise<string>;
  /** Starts the agent of an identity: it asks for `path` with its own token all the time. */
  startAgent(identity: string, path: string): Promise<Observer>;
  /** Kills every replica of hallpass the hard way. Returns what was done, in a sentence. */
  killHallpass(): Promise<string>;
  /** Starts hallpass again and waits until it is ready. */
  reviveHallpass(): Promise<void>;
  /** Removes all that the stage made. */
  end(): Promise<void>;
};

/** A throwaway playground on this machine. */
export async function playgroundStage(): Promise<Stage> {
  const playground = await startPlayground();
  const children: ReturnType<typeof spawn>[] = [];
  return {
    namespace: 'demo',
    kubectl: (args, input) => playground.admin(args, { input }),
    async startAgent(identity, path) {
      const token = await playground.agentToken({ namespace: 'demo', identity });
      const tokenFile = join(playground.directory, 'agent.token');
      const authorityFile = join(playground.directory, 'agent-ca.crt');
      await writeFile(tokenFile, token, { mode: 0o600 });
      await writeFile(authorityFile, playground.certificateAuthority);
      const environment = { SERVER: playground.server, TOKEN_FILE: tokenFile, CA_FILE: authorityFile, ASK: path };
      const child = spawn(process.execPath, [agentProgram], { env: environment, stdio: ['pipe', 'pipe', 'inherit'] });
      children.push(child);
      return observe(child.stdout);
    },
    async killHallpass() {
      const pids = playground.hallpass.map((each) => each.pid);
      for (const each of playground.hallpass) each.kill('SIGKILL');
      await Promise.all(playground.hallpass.map((each) => each.exited));
      return `kill -9 ${pids.join(' ')}: hallpass is gone`;
    },
    reviveHallpass: async () => void (await Promise.all(playground.hallpass.map((each) => each.restart()))),
    async end() {
      for (const child of children) child.kill('SIGKILL');
      await playground.stop();
    },
  };
}

const deploymentSchema = z.object({
  spec: z.object({
    replicas: z.number(),
    template: z.object({ spec: z.object({ containers: z.tuple([z.object({ image: z.string() })]) }) }),
  }),
});

/**
 * The cluster of `kubeconfig`, where hallpass is deployed: works in a namespace of its own, and the agent is a pod of
 * hallpass's image. To kill hallpass its Deployment is scaled to 0 and its pods are deleted without grace.
 */
export async function clusterStage(kubeconfig: string): Promise<Stage> {
  const path = await binary('kubectl');
  const namespace = 'hallpass-demo';
  const environment = { ...process.env, KUBECONFIG: kubeconfig };
  const kubectl = (args: string[], input?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const child = execFile(path, args, { env: environment }, (error, stdout, stderr) => {
        if (error) reject(new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || error.message}`));
        else resolve(stdout);
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input ?? '');
    });
  const system = '--namespace=hallpass-system';
  const deployment = deploymentSchema.parse(
    JSON.parse(
      await kubectl(['get', 'deployment', 'hallpass', system, '--output=json']).catch((error: Error) => {
        throw new Error(`${error.message}\nThe demo needs hallpass in the cluster: kubectl apply -k deploy`);
      }),
    ),
  );
  const policies = await kubectl(['get', 'agentpolicies', '--output=name']);
  if (policies.trim() === '') {
    throw new Error(
      'Without an AgentPolicy nothing is granted. The one that is shipped: kubectl create -k deploy/policy',
    );
  }
  const { replicas } = deployment.spec;
  const [{ image }] = deployment.spec.template.spec.containers;
  await kubectl(['create', 'namespace', namespace]);
  await kubectl(['apply', '-n', namespace, '-k', deployNamespace]);
  const scale = (to: number) => kubectl(['scale', 'deployment/hallpass', system, `--replicas=${to}`]);
  let scaled = false;
  let logs: ReturnType<typeof spawn> | undefined;

  return {
    namespace,
    kubectl,
    async startAgent(identity, ask) {
      const restricted = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: identity, namespace, labels: { 'hallpass.dev/agent': identity } },
        spec: {
          serviceAccountName: `hallpass-${identity}`,
          restartPolicy: 'Never',
          // The first process of a container takes no notice of SIGTERM, and the demo would end half a minute later.
          terminationGracePeriodSeconds: 1,
          securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: 'agent',
              image,
              command: ['/usr/local/bin/node', '--input-type=module-typescript', '--eval'],
              args: [await readFile(agentProgram, 'utf8')],
              // Without an address by name: a cluster's DNS is not what is shown here.
              env: [
                { name: 'ASK', value: ask },
                { name: 'SERVER', value: 'https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)' },
              ],
              stdin: true,
              securityContext: restricted,
            },
          ],
        },
      };
      await kubectl(['apply', '-f', '-'], stringify(pod));
      await kubectl(['wait', `pod/${identity}`, '-n', namespace, '--for=condition=Ready', '--timeout=120s']);
      logs = spawn(path, ['logs', '--follow', identity, '-n', namespace], {
        env: environment,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      if (!logs.stdout) throw new Error('kubectl logs has no output');
      return observe(logs.stdout);
    },
    async killHallpass() {
      scaled = true;
      await scale(0);
      const pods = ['pods', system, '--selector=app.kubernetes.io/name=hallpass'];
      await kubectl(['delete', ...pods, '--force', '--grace-period=0']);
      await kubectl(['wait', ...pods, '--for=delete', '--timeout=60s']);
      return `the Deployment is scaled from ${replicas} to 0 and its pods are deleted without grace: hallpass is gone`;
    },
    async reviveHallpass() {
      await scale(replicas);
      scaled = false;
      await kubectl(['rollout', 'status', 'deployment/hallpass', system, '--timeout=120s']);
    },
    async end() {
      if (scaled) await scale(replicas);
      if (logs && logs.exitCode === null) {
        const exited = once(logs, 'exit');
        logs.kill('SIGTERM');
        await exited;
      }
      await kubectl(['delete', 'namespace', namespace]);
    },
  };
}
