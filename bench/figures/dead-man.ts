// How long access outlives its deadline when every replica is dead.
import { setTimeout as delay } from 'node:timers/promises';
import { agentGrants } from '../../src/api/grant.ts';
import { LABELS } from '../../src/api/names.ts';
import { Client } from '../../src/kube/client.ts';
import { jobs } from '../../src/kube/kinds.ts';
import { distribution, percentile, seconds } from '../distribution.ts';
import type { Figure, Progress } from '../figure.ts';
import { conditionOf, Follower } from '../follower.ts';
import { inFlight } from '../in-flight.ts';
import {
  agentClient,
  type Lab,
  makeIdentities,
  makeNamespaces,
  names,
  requestGrants,
  wholeSecondIn,
  withLab,
} from '../lab.ts';
import { quiet } from '../metrics.ts';
import { followRefusals } from '../refusals.ts';

/** How many end in the same second; how long before it they are made, for the Job controller starts some 20 a second. */
const rounds = [
  { grants: 50, aheadMs: 35_000 },
  { grants: 500, aheadMs: 150_000 },
];
const targetMs = 15_000;
const namespace = 'ns';
const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
const bareLabel = 'bench';
const bareAgent = 'bare-agent';

/** For each name, ms from `deadline` until the agent was refused. */
async function refusals(lab: Lab, agent: Client, wanted: string[], labelSelector: string, deadline: number) {
  const asking = wanted.map((name) => ({ agent, namespace, name }));
  const times = await (await followRefusals(lab, asking, labelSelector)).refused();
  return times.map((at) => at - deadline);
}

/** Grants whose hallpass is killed before they end. */
async function withHallpassDead(lab: Lab, wanted: string[], aheadMs: number, progress: Progress): Promise<number[]> {
  const agent = await agentClient(lab, namespace);
  const deadMen = await Follower.start(lab.admin, agentGrants, { stateOf: conditionOf('DeadMan') });
  const before = deadMen.count('True');
  const end = wholeSecondIn(aheadMs);
  const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
  const requests = wanted.map((name) => ({ namespace, name, configMap: name, validity: { notAfter } }));
  await requestGrants(lab, requests);
  await deadMen.until(() => deadMen.count('True') >= before + wanted.length, 'dead-man Jobs to have started');
  deadMen.stop();
  await quiet(lab.hallpass.healthUrl, 1_000);
  if (Date.now() > end - 1_000) throw new Error('the dead-man Jobs started so late that the grants have ended');
  lab.hallpass.kill('SIGKILL');
  progress(`${wanted.length} grants are Active and hallpass is dead`);
  const lags = await refusals(lab, agent, wanted, LABELS.grant, end);
  agent.close();
  return lags;
}

/** Bare Jobs whose deadline is that very second, each owning a bare binding. */
async function bare(lab: Lab, wanted: string[], aheadMs: number, progress: Progress): Promise<number[]> {
  const { admin, playground } = lab;
  const end = wholeSecondIn(aheadMs);
  const label = `${bareLabel}-${wanted.length}`;
  await inFlight(wanted, async (name) => {
    const metadata = { name, namespace, labels: { [label]: 'bare' } };
    const containers = [{ name: 'none', image: 'none' }];
    const job = await admin.create(jobs, {
      metadata,
      spec: {
        parallelism: 0,
        activeDeadlineSeconds: 3600,
        ttlSecondsAfterFinished: 0,
        template: { spec: { restartPolicy: 'Never', containers } },
      },
    });
    await admin.createRaw(`${rbac}/roles`, {
      metadata,
      rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: [name], verbs: ['get'] }],
    });
    const { uid } = job.metadata;
    const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name, uid, blockOwnerDeletion: false }];
    await admin.createRaw(`${rbac}/rolebindings`, {
      metadata: { ...metadata, ownerReferences },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: bareAgent }],
    });
  });
  // Their deadline counts from when they were started, which in a burst is late.
  for (let started = 0; started < wanted.length; ) {
    await delay(500);
    const { items } = await admin.list(jobs, { namespace, labelSelector: label });
    const starts = items.flatMap(({ metadata, status }) =>
      status?.startTime === undefined ? [] : [{ name: metadata.name, at: Date.parse(status.startTime) }],
    );
    started = starts.length;
    if (started < wanted.length) continue;
    await inFlight(starts, ({ name, at }) =>
      admin.patch(jobs, { namespace, name }, { spec: { activeDeadlineSeconds: (end - at) / 1000 } }, { type: 'merge' }),
    );
  }
  if (Date.now() > end - 500) throw new Error('the bare Jobs started so late that their deadline has passed');
  progress(`${wanted.length} bare Jobs wait for their deadline`);
  const agent = new Client({ credentials: await playground.credentialsFor({ user: bareAgent }), userAgent: 'bench' });
  const lags = await refusals(lab, agent, wanted, label, end);
  agent.close();
  return lags;
}

export const deadMan: Figure = {
  name: 'dead-man',
  title: `all replicas dead: deadline → refused, ${rounds.map(({ grants }) => grants).join(' and ')} grants ending in the same second`,
  target: `max ≤ ${seconds(targetMs)} for ${rounds[0]?.grants}`,
  method:
    "hallpass is killed by SIGKILL once all dead-man Jobs have started. As soon as a watch shows a binding gone, its agent asks until it is refused. Beside it, bare Jobs whose deadline is that second itself (a grant's Job fires 5 s after its end), each owning a bare binding. The controller manager has its standard client limits.",
  measure: (progress) =>
    withLab(progress, async (lab) => {
      await makeNamespaces(lab, [namespace]);
      await makeIdentities(lab, [namespace]);
      const details: [string, string][] = [];
      const worst: number[] = [];
      for (const { grants, aheadMs } of rounds) {
        const show = (lags: number[]) => distribution(lags, seconds);
        const theirs = await bare(lab, names(`bare-${grants}`, grants), aheadMs, progress);
        progress(`bare, ${grants}: ${show(theirs)}`);
        const ours = await withHallpassDead(lab, names(`task-${grants}`, grants), aheadMs, progress);
        progress(`grants, ${grants}: ${show(ours)}`);
        worst.push(percentile(ours, 1));
        details.push([`${grants} grants`, show(ours)], [`${grants} bare Jobs`, show(theirs)]);
        await lab.hallpass.restart();
        await quiet(lab.hallpass.healthUrl);
      }
      const [few = Number.NaN, many = Number.NaN] = worst;
      return { value: `max ${seconds(few)}; of ${rounds[1]?.grants}: ${seconds(many)}`, met: few <= targetMs, details };
    }),
};
