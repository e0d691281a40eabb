#!/usr/bin/env node
// The process: options, wiring, signals.

// First, since it concerns schemas that are made after it: thousands of objects are read by the same few.
import 'zod/compile';
import { setTimeout as delay } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { LEASE_NAME, SYSTEM_NAMESPACE } from './api/names.ts';
import { release } from './cli/release.ts';
import { type Caches, inTwoSteps, openCaches, outOfStep } from './controllers/cluster.ts';
import { GuardWatch } from './controllers/guards.ts';
import { createGrantMetrics } from './controllers/metrics.ts';
import { startControllers } from './controllers/start.ts';
import { serveHealth } from './endpoints/health.ts';
import { keepHeapTight } from './heap.ts';
import { Client } from './kube/client.ts';
import { ServerClock } from './kube/clock.ts';
import { loadCredentials } from './kube/credentials.ts';
import { EventRecorder } from './kube/events.ts';
import { electorIdentity, LeaderElector } from './kube/leader.ts';
import { createLog, type Log } from './kube/log.ts';
import { createKubeMetrics } from './kube/metrics.ts';
import { resourceName } from './kube/object.ts';
import { type Options, type ReleaseOptions, runCommand } from './options.ts';
import { messageOf } from './text.ts';

/** So long at most, in milliseconds, what only giving asks for stays unread for the sake of taking away. */
const LONGEST_WITHDRAWAL = 10_000;

await runCommand(process.argv.slice(2), {
  async operate(o) {
    const log = createLog({ level: o.logLevel, format: o.logFormat });
    try {
      await operate(o, log);
    } catch (error) {
      log.error(messageOf(error));
      process.exitCode = 1;
    }
  },
  async release(o) {
    try {
      if (!(await releaseAll(o))) process.exitCode = 1;
    } catch (error) {
      console.error(messageOf(error));
      process.exitCode = 1;
    }
  },
});

async function releaseAll({ kubeconfig, context, dryRun, force }: ReleaseOptions): Promise<boolean> {
  const clock = new ServerClock();
  const client = new Client({ credentials: await loadCredentials({ kubeconfig, context }), clock });
  const print = (line: string) => console.log(line);
  const width = process.stdout.isTTY ? process.stdout.columns : undefined;
  try {
    return await release({ client, clock, dryRun, force, print, width });
  } finally {
    client.close();
  }
}

async function operate(o: Options, log: Log): Promise<void> {
  const stopping = new AbortController();
  /** Caches outlast the controllers, whose last reconciles still read them. */
  const caching = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopping.abort());

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const kubeMetrics = createKubeMetrics(registry);
  const metrics = createGrantMetrics(registry);
  const credentials = await loadCredentials({ kubeconfig: o.kubeconfig, context: o.context });
  const clock = new ServerClock();
  const client = new Client({ credentials, clock, metrics: kubeMetrics });
  const caches = openCaches({ client, log, metrics: kubeMetrics });
  const identity = electorIdentity();
  const elector = new LeaderElector({ client, namespace: SYSTEM_NAMESPACE, name: LEASE_NAME, identity, log });

  let leads = false;
  let guards: GuardWatch | undefined;
  const health = await serveHealth({
    address: o.healthAddress,
    registry,
    readiness: () => {
      const { first, rest } = inTwoSteps(caches);
      const inTheWay = [...notListed(first), ...notListed(rest.filter(({ lastError }) => lastError !== undefined))];
      if (inTheWay.length > 0) return { ready: false, notes: inTheWay };
      const role = leads ? 'leads' : 'follows another replica, ready to take over';
      const problems = [...notListed(rest), ...(guards?.problems ?? [])].map((why) => `grants nothing new: ${why}`);
      const stale = outOfStep(Object.values(caches)).map((why) => `does not see what changes: ${why}`);
      return { ready: true, notes: [role, ...problems, ...stale] };
    },
  });
  log.info('hallpass starts', { server: client.server, health: health.address, identity });

  const mayWrite = () => {
    if (!elector.isFresh()) throw new Error('this replica no longer leads, so it writes nothing');
  };
  const leader = new Client({ credentials, clock, metrics: kubeMetrics, mayWrite });
  const events = new EventRecorder({
    client: leader,
    reportingController: 'hallpass.dev/operator',
    reportingInstance: identity,
    log,
  });
  let controllers: ReturnType<typeof startControllers> | undefined;
  try {
    const { first, rest } = inTwoSteps(caches);
    for (const cache of first) cache.start(caching.signal);
    await Promise.race([Promise.all(first.map((cache) => cache.synced())), aborted(stopping.signal)]);
    stopping.signal.throwIfAborted();
    let filling = false;
    const fillTheRest = () => {
      if (filling || stopping.signal.aborted) return;
      filling = true;
      for (const cache of rest) cache.start(caching.signal);
    };
    Promise.all(rest.map((cache) => cache.synced())).then(
      () => keepHeapTight(),
      // Stopped before they had.
      () => {},
    );
    const watched = new GuardWatch(caches, log);
    guards = watched;
    metrics.guardProblems(() => watched.problems.length);
    log.info('what takes access away is known; waiting for the lease');
    elector.passedOver.then(fillTheRest);
    await elector.run(stopping.signal);
    leads = true;
    elector.lost.then(() => {
      // Another replica may be acting already: nothing may be finished here.
      process.exit(1);
    });
    const cluster = { client: leader, clock, log, caches };
    const { deadManImage: image, receiptRetention } = o;
    controllers = startControllers({ cluster, guards, events, kubeMetrics, metrics, image, receiptRetention });
    log.info('leads');
    // Lists that only giving asks for must not compete with what takes access away.
    Promise.race([controllers.withdrawn, delay(LONGEST_WITHDRAWAL, undefined, { ref: false })]).then(fillTheRest);
    const failure = await Promise.race([aborted(stopping.signal), controllers.failed]);
    if (failure !== undefined) {
      log.error(messageOf(failure));
      process.exit(1);
    }
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
  }
  log.info('stops');
  await controllers?.stop();
  caching.abort();
  await events.flush();
  // Handed over at once, so that the next leader need not wait for it to run out.
  await elector.release();
  health.server.close();
  health.server.closeAllConnections();
  client.close();
  process.exit(0);
}

/** The caches that have not synced yet, and why. */
function notListed(caches: Caches[keyof Caches][]): string[] {
  return caches.flatMap(({ hasSynced, lastError, resource }) =>
    hasSynced ? [] : [`${resourceName(resource)}: ${lastError ?? 'not listed yet'}`],
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
