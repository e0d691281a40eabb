// Runs hallpass as a pod of the image does: stripped of types, with the image's flags, and with the ServiceAccount's token
// from where a pod has it. The playground runs the sources and has a kubeconfig, which together take 100 MB more.
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { stripTypes } from '../image/strip-types.ts';
import { type HallpassProcess, type Playground, runHallpass } from '../test/controlplane/playground.ts';

/** As much heap as V8 allows itself in a container of 512 MiB, the limit of `deploy/`; of a machine it takes what there is. */
const heapLimit = '--max-old-space-size=256';

const checkout = join(import.meta.dirname, '..');
const preloaded = import.meta.resolve('./as-in-a-pod.js');

/** Starts hallpass and resolves when it is ready. It ends with the playground. */
export async function startAsInPod(playground: Playground): Promise<HallpassProcess> {
  const { directory } = playground;
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
  const hallpass = await runHallpass(playground, {
    name: 'hallpass',
    logFile: join(directory, 'hallpass.log'),
    program: [heapLimit, `--import=${preloaded}`, join(program, 'src/main.js')],
    environment: {
      NODE_ENV: 'production',
      KUBERNETES_SERVICE_HOST: server.hostname,
      KUBERNETES_SERVICE_PORT: server.port,
      BENCH_SERVICE_ACCOUNT: serviceAccount,
    },
  });
  await hallpass.ready();
  return hallpass;
}
