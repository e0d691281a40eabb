// How long it takes to withdraw many grants that end in the same second, over a client that only deletes the bindings.
import { setTimeout as delay } from 'node:timers/promises';
import { agentGrants } from '../../src/api/grant.ts';
import { LABELS } from '../../src/api/names.ts';
import { roleBindings } from '../../src/kube/kinds.ts';
import { issueBare, unbindBare } from '../bare.ts';
import { percentile, seconds } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import {
  cpuDuring,
  makeIdentities,
  makeNamespaces,
  names,
  requestGrants,
  timeToIssue,
  wholeSecondIn,
  withLab,
} from '../lab.ts';
import { added, isUpkeep, quiet, requests as requestsBy } from '../metrics.ts';

const grants = 1_000;
const spreadOver = 50;
/** A burst is over in about a second, in which anything else that the machine does counts: the median of so many. */
const rounds = 7;
const apartMs = 30_000;
const pauseMs = 5_000;
const target = 1.25;

export const burst: Figure = {
  name: 'burst',
  title: `${grants.toLocaleString('en')} grants lapsing in the same second: until the last RoleBinding is gone, over the bare client deleting as many`,
  target: `≤ ${target}`,
  method: `Over ${spreadOver} namespaces. From expiresAt until a watch shows the last binding gone; then, with hallpass stopped, as many bindings made by the bare client are deleted by it, 32 in flight. Each ${rounds} times; the medians are compared.`,
  measure: (progress) =>
    withLab(
      progress,
      async (lab) => {
        const [own, bare] = [names('own', spreadOver), names('bare', spreadOver)];
        await makeNamespaces(lab, [...own, ...bare]);
        await makeIdentities(lab, own);
        const phases = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
        const bindings = await Follower.start(lab.admin, roleBindings, {
          labelSelector: LABELS.grant,
          stateOf: () => 'present',
        });
        const requests = (round: number, namespaces: string[], validity: { notAfter?: string; duration?: string }) =>
          names(`round-${round}`, grants).map((name, index) => ({
            namespace: namespaces[index % spreadOver] ?? '',
            name,
            validity,
          }));
        /** Resolves with when each binding of a round was gone, once all are. */
        const goneIn = async (round: number): Promise<number[]> => {
          const gone = () => [...bindings.goneAt].filter(([key]) => key.includes(`/round-${round}-`));
          await bindings.until(() => bindings.goneAt.size >= grants && gone().length === grants, 'bindings to go');
          return gone().map(([, at]) => at);
        };

        const first = wholeSecondIn(await timeToIssue(lab, own, rounds * grants));
        const ends = Array.from({ length: rounds }, (_, round) => first + round * apartMs);
        progress(`issuing ${rounds} times ${grants} grants`);
        for (const [round, end] of ends.entries()) {
          const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
          await requestGrants(lab, requests(round, own, { notAfter }));
        }
        const late = () => Date.now() > first - 1_000;
        await phases.until(() => late() || phases.count('Active') === rounds * grants, 'grants to be Active');
        if (!late()) await quiet(lab.hallpass.healthUrl);
        if (late()) throw new Error('the grants took so long to issue that they have ended');
        const ours: number[] = [];
        const details: [string, string][] = [];
        for (const [round, end] of ends.entries()) {
          progress(`round ${round + 1} of ${rounds}: until they lapse`);
          bindings.goneAt.clear();
          const before = await requestsBy(lab.hallpass.healthUrl);
          await delay(end - Date.now());
          const { result: gone, text } = await cpuDuring(lab, () => goneIn(round));
          const sent = [...added(before, await requestsBy(lab.hallpass.healthUrl))].filter(([key]) => !isUpkeep(key));
          const after = (share: number) => seconds(percentile(gone, share) - end);
          ours.push(Math.max(...gone) - end);
          const asked = sent.map(([key, count]) => `${count} ${key}`).join(', ');
          details.push([
            `hallpass, round ${round + 1}`,
            `${after(1)}, half after ${after(0.5)}; ${asked}; CPU time: ${text}`,
          ]);
          progress(`round ${round + 1} of ${rounds}: ${after(1)}`);
        }
        await phases.until(() => phases.count('Active') === 0, 'grants to be Expired');
        await quiet(lab.hallpass.healthUrl);
        await lab.hallpass.stop();
        progress(`the bare client: ${rounds} times ${grants} bindings`);
        const issued = [];
        for (const round of ends.keys()) issued.push(await issueBare(lab, requests(round, bare, { duration: '1h' })));
        await bindings.until(() => bindings.count('present') === rounds * grants, 'bare bindings to be there');
        const theirs: number[] = [];
        for (const [round, those] of issued.entries()) {
          await delay(pauseMs);
          bindings.goneAt.clear();
          const { result: tookMs, text } = await cpuDuring(lab, async () => {
            const from = Date.now();
            await unbindBare(lab, those);
            return Math.max(...(await goneIn(round))) - from;
          });
          theirs.push(tookMs);
          details.push([`bare client, round ${round + 1}`, `${seconds(tookMs)}; CPU time: ${text}`]);
        }
        phases.stop();
        bindings.stop();
        const ratio = percentile(ours, 0.5) / percentile(theirs, 0.5);
        return { value: ratio.toFixed(2), met: ratio <= target, details };
      },
      { fastControllers: true },
    ),
};
