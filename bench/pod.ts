// Runs hallpass as a pod of the image does: stripped of types, with the image's flags, and with the ServiceAccount's token
// from where a pod has it. The playground runs the sources and has a kubeconfig, which together take 100 MB more.
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stripTypes } from '../image/strip-types.ts';
import type { HallpassProcess, Playground } from '../test/controlplane/playground.ts';
import { freePort } from '../test/controlplane/ports.ts';
import type { Supervised } from '../test/controlplane/supervise.ts';

const checkout = join(import.meta.dirname, '..');
const preloaded = import.meta.resolve('./as-in-a-pod.js');
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
  const program = join(directory, 'program');
  stripTypes(join(checkout, 'src'), join(program, 'src'));
  await copyFile(join(checkout, 'package.json'), join(program, 'package.json'));
  await symlink(join(checkout, 'node_modules'), join(program, 'node_modules'));
  const server = new URL(playground.server);
  const { KUBECONFIG: _, ...inherited } = process.env;
  const environment = {
    ...inherited,
    NODE_ENV: 'production',
    MALLOC_ARENA_MAX: '2',
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
      arguments: [
        '--max-semi-space-size=4',
        '--initial-old-space-size=128',
        `--import=${preloaded}`,
        join(program, 'src/main.js'),
        `--health-address=127.0.0.1:${port}`,
      ],
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
