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
import { quiet } from '../metrics.ts';

const grants = 1_000;
const spreadOver = 50;
const target = 1.25;

export const burst: Figure = {
  name: 'burst',
  title: `${grants.toLocaleString('en')} grants lapsing in the same second: until the last RoleBinding is gone, over the bare client deleting as many`,
  target: `≤ ${target}`,
  method: `Over ${spreadOver} namespaces. From expiresAt until a watch shows the last binding gone; then, with hallpass stopped, as many bindings made by the bare client are deleted by it, 32 in flight.`,
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
        const requests = (namespaces: string[], validity: { notAfter?: string; duration?: string }) =>
          names('grant', grants).map((name, index) => ({
            namespace: namespaces[index % spreadOver] ?? '',
            name,
            validity,
          }));
        const end = wholeSecondIn(await timeToIssue(lab, own, grants));
        progress(`issuing ${grants} grants`);
        const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
        await requestGrants(lab, requests(own, { notAfter }));
        await phases.until(() => phases.count('Active') === grants, 'grants to be Active');
        await quiet(lab.hallpass.healthUrl);
        if (Date.now() > end - 1_000) throw new Error('the grants took so long to issue that they have ended');
        progress('until they lapse');
        bindings.goneAt.clear();
        await delay(end - Date.now());
        const ours = await cpuDuring(lab, async () => {
          await bindings.until(() => bindings.count('present') === 0, 'bindings to go');
          return Math.max(...bindings.goneAt.values()) - end;
        });
        const share = (part: number) => seconds(percentile([...bindings.goneAt.values()], part) - end);
        const course = `the first gone after ${share(0)}, half after ${share(0.5)}`;
        progress(`${seconds(ours.result)}; until hallpass has put the rest away`);
        await phases.until(() => phases.count('Active') === 0, 'grants to be Expired');
        await quiet(lab.hallpass.healthUrl);
        await lab.hallpass.stop();
        progress(`the bare client: ${grants} bindings`);
        const issued = await issueBare(lab, requests(bare, { duration: '1h' }));
        await bindings.until(() => bindings.count('present') === grants, 'bare bindings to be there');
        bindings.goneAt.clear();
        const theirs = await cpuDuring(lab, async () => {
          const from = Date.now();
          await unbindBare(lab, issued);
          await bindings.until(() => bindings.count('present') === 0, 'bare bindings to go');
          return Math.max(...bindings.goneAt.values()) - from;
        });
        phases.stop();
        bindings.stop();
        const ratio = ours.result / theirs.result;
        return {
          value: ratio.toFixed(2),
          met: ratio <= target,
          details: [
            ['hallpass', `${seconds(ours.result)}: ${course}`],
            ['bare client', seconds(theirs.result)],
            ['CPU time with hallpass', ours.text],
            ['CPU time with the bare client', theirs.text],
          ],
        };
      },
      { fastControllers: true },
    ),
};
