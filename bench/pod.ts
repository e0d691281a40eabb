// Runs hallpass as the image does in a pod: with its flags, and with the ServiceAccount's token and address from where a
// pod has them. What reads a kubeconfig, as in the playground, takes 75 MB and half a second that a pod is spared.
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HallpassProcess, Playground } from '../test/controlplane/playground.ts';
import { freePort } from '../test/controlplane/ports.ts';
import type { Supervised } from '../test/controlplane/supervise.ts';

const main = join(import.meta.dirname, '..', 'src', 'main.ts');
const preloaded = import.meta.resolve('./as-in-a-pod.ts');
const readyTimeoutMs = 120_000;

async function answersReady(healthUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${healthUrl}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

/** Starts hallpass and resolves when it is ready. It ends with the playground. */
export async function startAsInPod(playground: Playground): Promise<HallpassProcess> {
  const { directory, supervisor } = playground;
  const serviceAccount = join(directory, 'service-account');
  await mkdir(serviceAccount);
  await copyFile(join(directory, 'ca.crt'), join(serviceAccount, 'ca.crt'));
  // The playground renews it.
  await symlink(join(directory, 'hallpass.token'), join(serviceAccount, 'token'));
  const server = new URL(playground.server);
  const { KUBECONFIG: _, ...inherited } = process.env;
  const environment = {
    ...inherited,
    NODE_ENV: 'production',
    KUBERNETES_SERVICE_HOST: server.hostname,
    KUBERNETES_SERVICE_PORT: server.port,
    BENCH_SERVICE_ACCOUNT: serviceAccount,
  };
  const port = await freePort();
  const logFile = join(directory, 'hallpass.log');
  const healthUrl = `http://127.0.0.1:${port}`;
  const start = () =>
    supervisor.start({
      name: 'hallpass',
      command: process.execPath,
      arguments: ['--max-semi-space-size=4', `--import=${preloaded}`, main, `--health-address=127.0.0.1:${port}`],
      environment,
      logFile,
    });
  let running: Supervised = await start();
  const hallpass: HallpassProcess = {
    get pid() {
      return running.pid;
    },
    get exited() {
      return running.exited;
    },
    logFile,
    healthUrl,
    kill: (signal) => running.kill(signal),
    stop: () => running.stop(35_000),
    async ready() {
      const until = performance.now() + readyTimeoutMs;
      while (!(await answersReady(healthUrl))) {
        if (running.exit || performance.now() > until) {
          throw new Error(`hallpass is not ready:\n${await running.tail()}`);
        }
        await delay(20);
      }
    },
    async restart() {
      await hallpass.stop();
      running = await start();
      await hallpass.ready();
    },
  };
  await hallpass.ready();
  return hallpass;
}
