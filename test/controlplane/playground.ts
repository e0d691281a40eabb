// A control plane with hallpass on it, one process or several, each with the rights that deploy/ gives and no others.
import { join } from 'node:path';
import { NODE_FLAGS } from '../../image/node-flags.ts';
import { poll } from '../harness/poll.ts';
import { type ControlPlane, startControlPlane } from './controlplane.ts';
import { installHallpass, keepToken } from './installation.ts';
import { type AgentPod, startNode } from './kubelet.ts';
import { freePort } from './ports.ts';
import type { Exit, Supervised } from './supervise.ts';

export type HallpassProcess = {
  readonly pid: number;
  readonly logFile: string;
  /** `http://127.0.0.1:PORT`: livez, readyz, metrics. */
  readonly healthUrl: string;
  /** How the process that runs now, or ran last, ended. */
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Waits until /readyz says ready; throws with the log's end when the process ends before. */
  ready(): Promise<void>;
  /** SIGTERM, and SIGKILL after 35 s: the time that its Deployment gives it. */
  stop(): Promise<Exit>;
  /** Starts it again, having stopped it where it runs. Resolves when it is ready. */
  restart(): Promise<void>;
};

export type Playground = ControlPlane & {
  hallpass: HallpassProcess[];
  /** A token of an identity's agent, got as a kubelet gets it for a pod; `pod` is merged into the pod's spec. */
  agentToken(o: { namespace: string; identity: string; pod?: object }): Promise<string>;
  /** The same, with the pod that it is bound to. */
  agentPod(o: { namespace: string; identity: string; pod?: object }): Promise<AgentPod>;
};

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const readyTimeoutMs = 60_000;

/** What a process that is ready says of itself; undefined of one that isn't. */
async function readiness(healthUrl: string): Promise<string | undefined> {
  try {
    const answer = await fetch(`${healthUrl}/readyz`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? await answer.text() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Resolves when one of these processes leads. One that only follows is ready, too, and one may yet fail as it begins to
 * lead: throws when any ends before that, naming its log.
 */
export async function oneLeads(
  hallpass: Pick<HallpassProcess, 'pid' | 'healthUrl' | 'logFile' | 'exited'>[],
): Promise<void> {
  let ended: string | undefined;
  for (const { pid, logFile, exited } of hallpass) {
    exited.then(({ code, signal }) => {
      ended ??= `hallpass ${pid} ended (${signal ?? code}) before any replica led: see ${logFile}`;
    });
  }
  const said = async () => {
    const answers = await Promise.all(hallpass.map(({ healthUrl }) => readiness(healthUrl)));
    if (ended) throw new Error(ended);
    return answers;
  };
  const leads = (answers: (string | undefined)[]) => answers.some((answer) => /\bleads\b/.test(answer ?? ''));
  await poll(said, leads, readyTimeoutMs, { pause: 30, told: () => 'no replica leads' });
}

/** Starts one process of hallpass and doesn't wait for it to be ready. It ends with the control plane. */
export function startHallpass(
  controlPlane: ControlPlane,
  o: { name: string; kubeconfig: string; logFile: string; flags: string[] },
): Promise<HallpassProcess> {
  const { name, logFile, kubeconfig, flags } = o;
  return runHallpass(controlPlane, { name, logFile, program: [main, `--kubeconfig=${kubeconfig}`, ...flags] });
}

/** The same for another form of its program: what Node is told beside the image's flags, the program, and its flags. */
export async function runHallpass(
  { supervisor }: Pick<ControlPlane, 'supervisor'>,
  o: { name: string; logFile: string; program: string[]; environment?: Record<string, string> },
): Promise<HallpassProcess> {
  const port = await freePort();
  const healthUrl = `http://127.0.0.1:${port}`;
  // Whoever runs the tests may have a cluster of their own in the environment; hallpass is told its own.
  const { KUBECONFIG: _, ...inherited } = process.env;
  const start = () =>
    supervisor.start({
      name: o.name,
      command: process.execPath,
      arguments: [...NODE_FLAGS, ...o.program, `--health-address=127.0.0.1:${port}`],
      environment: { ...inherited, ...o.environment },
      logFile: o.logFile,
    });
  let running: Supervised = await start();
  const hallpass: HallpassProcess = {
    get pid() {
      return running.pid;
    },
    get exited() {
      return running.exited;
    },
    logFile: o.logFile,
    healthUrl,
    kill: (signal) => running.kill(signal),
    stop: () => running.stop(35_000),
    async ready() {
      const ask = async () => {
        const said = await readiness(healthUrl);
        if (!said && running.exit) throw new Error(`${o.name} ended at its start:\n${await running.tail()}`);
        return said;
      };
      const told = async () => `${o.name} isn't ready:\n${await running.tail()}`;
      await poll(ask, (said) => said !== undefined, readyTimeoutMs, { pause: 30, told });
    },
    async restart() {
      await hallpass.stop();
      running = await start();
      await hallpass.ready();
    },
  };
  return hallpass;
}

/**
 * Starts a control plane, installs hallpass, enables `demo` and `demo-other` (which accepts grants from `demo`), and
 * resolves when every replica is ready and one leads. It all ends with the process that called, whatever happens to that. `logFile` is
 * shared by the replicas; without it each has its own in the control plane's directory.
 */
export async function startPlayground(
  o: {
    replicas?: number;
    hallpassFlags?: string[];
    apiServerFlags?: string[];
    controllerManagerFlags?: string[];
    logFile?: string;
  } = {},
): Promise<Playground> {
  const controlPlane = await startControlPlane({
    apiServerFlags: o.apiServerFlags,
    controllerManagerFlags: o.controllerManagerFlags,
  });
  try {
    await installHallpass(controlPlane);
    const tokenFile = join(controlPlane.directory, 'hallpass.token');
    const token = await keepToken(controlPlane.kubectl, tokenFile);
    const kubeconfig = await controlPlane.kubeconfigFor({ tokenFile });
    const hallpass = await Promise.all(
      Array.from({ length: o.replicas ?? 1 }, (_, index) =>
        startHallpass(controlPlane, {
          name: `hallpass-${index}`,
          kubeconfig,
          logFile: o.logFile ?? join(controlPlane.directory, `hallpass-${index}.log`),
          flags: o.hallpassFlags ?? [],
        }),
      ),
    );
    await Promise.all(hallpass.map((each) => each.ready()));
    if (hallpass.length > 0) await oneLeads(hallpass);
    let node: ReturnType<typeof startNode> | undefined;
    const agentPod: Playground['agentPod'] = async (agent) => {
      node ??= startNode(controlPlane);
      return (await node).runAgent(agent);
    };
    return {
      ...controlPlane,
      hallpass,
      agentPod,
      agentToken: async (agent) => (await agentPod(agent)).token,
      async stop() {
        token.stop();
        for (const each of hallpass) each.kill('SIGKILL');
        await controlPlane.stop();
      },
    };
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}
