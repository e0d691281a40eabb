// The real node's cluster as its admin sees it: kubectl in the node's namespaces, and an agent's pod with what it says.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

/** What `agent.mjs` writes, line by line. */
const Line = z.union([
  z.object({ files: z.array(z.string()), issuedAt: z.number(), expires: z.number(), subject: z.string() }),
  z.object({ at: z.string(), outcome: z.string() }),
]);
type Mounted = Extract<z.infer<typeof Line>, { subject: string }>;
type Answer = Extract<z.infer<typeof Line>, { outcome: string }>;

/** Runs kubectl; rejects with what it wrote to stderr when it fails. */
export async function kubectl(arguments_: string[], input?: string): Promise<string> {
  const child = spawn('kubectl', arguments_, { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`kubectl ${arguments_.join(' ')}: ${stderr.trim()}`);
  return stdout;
}

/** Applies manifests given as objects. */
export async function apply(...objects: object[]): Promise<void> {
  await kubectl(['apply', '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'));
}

/** Deploys hallpass as deploy/ does and waits until both replicas are ready; what is there already stays as it is. */
export async function deployed(): Promise<void> {
  await kubectl(['apply', '--server-side', '-k', 'test/node/overlay']);
  await kubectl(['--namespace', 'hallpass-system', 'rollout', 'status', 'deployment/hallpass', '--timeout=90s']);
  await kubectl(['create', '-k', 'deploy/policy']).catch((error) => {
    if (!error.message.includes('already exists')) throw error;
  });
}

/** Reads an object, trimmed to a schema. */
export async function get<T>(schema: z.ZodType<T>, ...arguments_: string[]): Promise<T> {
  return schema.parse(JSON.parse(await kubectl(['get', '--output=json', ...arguments_])));
}

/** The ConfigMap from which agents' pods take their program. */
export function agentProgram(namespace: string): object {
  const program = readFileSync(join(import.meta.dirname, 'agent.mjs'), 'utf8');
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'agent', namespace },
    data: { 'agent.mjs': program },
  };
}

/** A pod that knows nothing of hallpass but its label; `volumes` are additional ones, mounted at /mnt/<name>. */
export function agentPod(namespace: string, name: string, identity: string, volumes: { name: string }[] = []): object {
  const container = {
    // hallpass's own image serves: it holds Node and the official client, and resolves imports below /app.
    image: 'localhost/hallpass:dev',
    imagePullPolicy: 'Never',
    volumeMounts: [
      { name: 'program', mountPath: '/app/agent' },
      ...volumes.map((volume) => ({ name: volume.name, mountPath: `/mnt/${volume.name}` })),
    ],
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
  };
  const command = ['/usr/local/bin/node', '/app/agent/agent.mjs'];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { 'hallpass.dev/agent': identity } },
    spec: {
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      initContainers: [{ ...container, name: 'first', command: [...command, 'once'] }],
      containers: [{ ...container, name: 'agent', command }],
      volumes: [{ name: 'program', configMap: { name: 'agent' } }, ...volumes],
    },
  };
}

/** What an agent's container has said so far and goes on to say. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  readonly #answers: Answer[] = [];
  #mounted: Mounted | undefined;
  #ended = false;

  constructor(namespace: string, pod: string, container = 'agent') {
    const child = spawn('kubectl', ['logs', '--follow', '--namespace', namespace, pod, '--container', container], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (text) => {
      const line = Line.parse(JSON.parse(text));
      if ('subject' in line) this.#mounted = line;
      else this.#answers.push(line);
      for (const wake of this.#waiting) wake();
    });
    lines.on('close', () => {
      this.#ended = true;
      for (const wake of this.#waiting) wake();
    });
  }

  /** What the container found at the path where every Kubernetes SDK looks. */
  async mounted(): Promise<Mounted> {
    return await this.#until(() => this.#mounted, 'found a token');
  }

  /** When the first answer came that is `outcome` ('allowed' or a status code) and still held at `since` or after. */
  async answer(outcome: string, since = new Date(0)): Promise<Date> {
    const found = await this.#until(
      () =>
        this.#answers.find((answer, index) => {
          const next = this.#answers[index + 1];
          return answer.outcome === outcome && (next === undefined || new Date(next.at) > since);
        }),
      `got the answer ${outcome}`,
    );
    return new Date(found.at);
  }

  /** Every answer so far, in order. */
  get answers(): string[] {
    return this.#answers.map((answer) => answer.outcome);
  }

  stop(): void {
    this.#child.kill();
  }

  async #until<T>(look: () => T | undefined, what: string): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#ended) throw new Error(`the agent ended before it ${what}; it said ${JSON.stringify(this.#answers)}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }
}
