// How soon an edit of a policy that concerns every grant has taken the access of all, over a client that only deletes the bindings.
import { setTimeout as delay } from 'node:timers/promises';
import { jobAsOwner, renderBinding } from '../../src/access/grant-objects.ts';
import { API_VERSION, grantUidOf, LABELS } from '../../src/api/names.ts';
import { agentPolicies } from '../../src/api/policy.ts';
import { unlessGone } from '../../src/kube/client.ts';
import { jobs, roleBindings } from '../../src/kube/kinds.ts';
import { milliseconds, percentile, seconds } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower } from '../follower.ts';
import { inFlight } from '../in-flight.ts';
import { cpuDuring, type Lab } from '../lab.ts';
import { quiet, scrape } from '../metrics.ts';
import { GRANTS, tenThousandGrants } from '../ten-thousand.ts';

const [firstTargetMs, ratioTarget, blockTargetMs] = [100, 1.25, 50];
/** How fast a machine is, and what else it does, changes within minutes: the median of so many comparisons. */
const rounds = 3;
const pauseMs = 5_000;
const policy = `/apis/${API_VERSION}/agentpolicies`;

/** The longest time, since it was last asked, that hallpass answered nothing, in ms. */
async function longestBlock(healthUrl: string): Promise<number> {
  const samples = await scrape(healthUrl);
  return 1000 * (samples.find(({ name }) => name === 'nodejs_eventloop_lag_max_seconds')?.value ?? Number.NaN);
}

async function decisions(healthUrl: string): Promise<number> {
  const samples = await scrape(healthUrl);
  return samples.find(({ name }) => name === 'hallpass_decisions_total')?.value ?? Number.NaN;
}

/** Makes a binding without subjects for each dead-man Job that won't end meanwhile, as hallpass does at first. */
async function bindBare({ operator, admin }: Lab): Promise<{ namespace: string; name: string }[]> {
  const { items } = await admin.list(jobs, { labelSelector: LABELS.grant });
  const lasting = items.filter(({ spec }) => (spec.activeDeadlineSeconds ?? 0) > 3600);
  return inFlight(lasting, async ({ metadata }) => {
    const { namespace = '', name, uid, labels = {} } = metadata;
    const grantUid = grantUidOf(name);
    if (grantUid === undefined) throw new Error(`Job ${name} is no grant's`);
    const grant = {
      namespace: labels[LABELS.grantNamespace] ?? '',
      name: labels[LABELS.grantName] ?? '',
      uid: grantUid,
    };
    await operator.create(roleBindings, renderBinding(grant, namespace, jobAsOwner({ name, uid })));
    return { namespace, name };
  });
}

/** Stops all grants by a policy, until their bindings are gone. */
async function stopAll(lab: Lab, bindings: Follower, grants: number) {
  const { healthUrl } = lab.hallpass;
  bindings.goneAt.clear();
  await longestBlock(healthUrl);
  const decided = await decisions(healthUrl);
  const sentAt = Date.now();
  const { text } = await cpuDuring(lab, async () => {
    await lab.admin.createRaw(policy, {
      apiVersion: API_VERSION,
      kind: 'AgentPolicy',
      metadata: { name: 'stops-all' },
      spec: {
        namespaceSelector: {},
        deny: [{ why: 'it is measured', apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }],
      },
    });
    await bindings.until(() => bindings.goneAt.size >= grants, 'the bindings to go');
  });
  const block = await longestBlock(healthUrl);
  const gone = [...bindings.goneAt.values()].map((at) => at - sentAt);
  const [first, last] = [Math.min(...gone), Math.max(...gone)];
  await quiet(healthUrl);
  const count = (await decisions(healthUrl)) - decided;
  const detail = `${grants} grants, first after ${milliseconds(first)}, half after ${seconds(percentile(gone, 0.5))}, last after ${seconds(last)}; ${count} decisions; block ${milliseconds(block)}; CPU time: ${text}`;
  return { first, last, block, detail };
}

/** The bare client deletes as many bindings that it made itself, with hallpass stopped. */
async function deleteBare(lab: Lab, bindings: Follower, grants: number) {
  const bare = await bindBare(lab);
  await bindings.until(() => bindings.count('present') === bare.length, 'bare bindings to be there');
  await delay(pauseMs);
  bindings.goneAt.clear();
  const { result: tookMs, text } = await cpuDuring(lab, async () => {
    const from = Date.now();
    await inFlight(bare, (ref) =>
      unlessGone(lab.operator.delete(roleBindings, ref, { propagationPolicy: 'Background' })),
    );
    await bindings.until(() => bindings.goneAt.size >= bare.length, 'the bare bindings to go');
    return Math.max(...bindings.goneAt.values()) - from;
  });
  const last = (tookMs / bare.length) * grants;
  return { last, detail: `${seconds(last)} for as many; CPU time: ${text}` };
}

export const policyEdit: Figure = {
  name: 'policy-edit',
  title: `a policy that stops ${GRANTS.toLocaleString('en')} grants: until the first binding is gone; until the last is, over the bare client deleting as many; hallpass's longest event-loop block`,
  target: `≤ ${firstTargetMs} ms, ≤ ${ratioTarget}, ≤ ${blockTargetMs} ms`,
  method: `From sending an AgentPolicy that denies reading ConfigMaps in all namespaces until a watch shows the bindings gone. Right after it, with hallpass stopped, as many bindings made by the bare client are deleted by it, 32 in flight; then hallpass is started again, the policy is deleted, and all get their access back. ${rounds} times: of the first binding and the block the worst, of the ratio the median. The block is the largest delay that Node saw in its event loop until the last was gone, its resolution of 10 ms included.`,
  async measure(progress) {
    const { lab } = await tenThousandGrants(progress);
    await quiet(lab.hallpass.healthUrl);
    const bindings = await Follower.start(lab.admin, roleBindings, {
      labelSelector: LABELS.grant,
      stateOf: () => 'present',
    });
    const { items } = await lab.admin.list(roleBindings, { labelSelector: LABELS.grant });
    const grants = items.length;
    await bindings.until(() => bindings.count('present') >= grants, 'the bindings to be seen');

    const measured: { first: number; block: number; ratio: number }[] = [];
    const details: [string, string][] = [];
    for (let round = 1; round <= rounds; round++) {
      progress(`round ${round} of ${rounds}: stopping ${grants} grants`);
      const ours = await stopAll(lab, bindings, grants);
      details.push([`hallpass, round ${round}`, ours.detail]);
      progress(
        `round ${round} of ${rounds}: first after ${milliseconds(ours.first)}, last after ${seconds(ours.last)}`,
      );
      await lab.hallpass.stop();
      const theirs = await deleteBare(lab, bindings, grants);
      details.push([`bare client, round ${round}`, theirs.detail]);
      const ratio = ours.last / theirs.last;
      measured.push({ first: ours.first, block: ours.block, ratio });
      progress(`round ${round} of ${rounds}: ${ratio.toFixed(2)} times the bare client's ${seconds(theirs.last)}`);
      // For the next, and for whoever comes then, all is as it was.
      await lab.hallpass.restart();
      await lab.admin.delete(agentPolicies, { name: 'stops-all' });
      if (round === rounds) break;
      await bindings.until(() => bindings.count('present') >= grants, 'the bindings to be back');
      await quiet(lab.hallpass.healthUrl);
    }
    bindings.stop();
    const first = Math.max(...measured.map((each) => each.first));
    const block = Math.max(...measured.map((each) => each.block));
    const ratio = percentile(
      measured.map((each) => each.ratio),
      0.5,
    );
    return {
      value: `${milliseconds(first)}, ${ratio.toFixed(2)}, ${milliseconds(block)}`,
      met: first <= firstTargetMs && ratio <= ratioTarget && block <= blockTargetMs,
      details,
    };
  },
};
