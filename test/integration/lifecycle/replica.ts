// A replica of hallpass in the test's own process: behind a proxy that does harm, and with a clock that the test sets.
import { Registry } from 'prom-client';
import { openCaches } from '../../../src/controllers/cluster.ts';
import { GuardWatch } from '../../../src/controllers/guards.ts';
import { createGrantMetrics } from '../../../src/controllers/metrics.ts';
import { startControllers } from '../../../src/controllers/start.ts';
import { Client } from '../../../src/kube/client.ts';
import { ServerClock } from '../../../src/kube/clock.ts';
import { EventRecorder } from '../../../src/kube/events.ts';
import { silentLog } from '../../../src/kube/log.ts';
import { createKubeMetrics } from '../../../src/kube/metrics.ts';
import type { ControlPlane } from '../../controlplane/controlplane.ts';
import { startFaultyProxy } from '../faulty-proxy.ts';

export type Replica = Awaited<ReturnType<typeof startReplica>>;

/** Starts it as the leader, without a Lease: no other may run meanwhile. */
export async function startReplica(controlPlane: Pick<ControlPlane, 'admin' | 'server' | 'certificateAuthority'>) {
  const { server, certificateAuthority } = controlPlane;
  const token = await controlPlane.admin(['create', 'token', 'hallpass', '--namespace=hallpass-system']);
  const proxy = await startFaultyProxy({ server, certificateAuthority });
  let offsetMs = 0;
  const clock = new ServerClock({ wall: () => Date.now() + offsetMs });
  const registry = new Registry();
  const kubeMetrics = createKubeMetrics(registry);
  const metrics = createGrantMetrics(registry);
  // It doesn't teach the clock, which is the test's.
  const client = new Client({ credentials: { ...proxy.credentials, token: async () => token }, metrics: kubeMetrics });
  const log = silentLog;
  const caches = openCaches({ client, log, metrics: kubeMetrics });
  const stopping = new AbortController();
  const all = Object.values(caches);
  for (const cache of all) cache.start(stopping.signal);
  await Promise.all(all.map((cache) => cache.synced()));
  const controllers = startControllers({
    cluster: { client, clock, log, caches },
    guards: new GuardWatch(caches, log),
    events: new EventRecorder({ client, reportingController: 'hallpass.dev/operator', reportingInstance: 'test', log }),
    kubeMetrics,
    metrics,
    image: 'hallpass',
    receiptRetention: 3600_000,
  });
  return {
    proxy,
    caches,
    /** From now on its clock is off by so many milliseconds. */
    setClock(offset: number): void {
      offsetMs = offset;
    },
    async stop(): Promise<void> {
      await controllers.stop();
      stopping.abort();
      await Promise.all(all.map((cache) => cache.stopped));
      client.close();
      await proxy.stop();
    },
  };
}
