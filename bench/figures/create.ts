// How much slower hallpass issues than a client that makes the same writes and does nothing else.
import { agentGrants } from '../../src/api/grant.ts';
import { issueBare } from '../bare.ts';
import { seconds } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import { cpuDuring, makeIdentities, makeNamespaces, names, requestGrants, withLab } from '../lab.ts';
import { added, isUpkeep, quiet, requests } from '../metrics.ts';

const grants = Number(process.env.GRANTS ?? 2_000);
const target = 1.25;

export const create: Figure = {
  name: 'create',
  title: `${grants.toLocaleString('en')} grants (one namespace each, requester without cluster-admin) created at once until all Active, over the bare client`,
  target: `≤ ${target}`,
  method:
    'A person with a ClusterRole creates the grants, 32 in flight; wall time from the first request until a watch shows the last Active. Then, with hallpass stopped, the same creations followed by the same seven writes each, 32 in flight, in fresh namespaces.',
  measure: (progress) =>
    withLab(progress, async (lab) => {
      const [own, bare] = [names('own', grants), names('bare', grants)];
      progress(`making ${2 * grants} namespaces and ${grants} identities`);
      await makeNamespaces(lab, [...own, ...bare]);
      await makeIdentities(lab, own);
      await quiet(lab.hallpass.healthUrl);
      const follower = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
      const wanted = (namespaces: string[]) =>
        namespaces.map((namespace) => ({ namespace, name: 'grant', validity: { duration: '1h' } }));

      progress(`hallpass: ${grants} grants`);
      const before = await requests(lab.hallpass.healthUrl);
      const ours = await cpuDuring(lab, async () => {
        const from = performance.now();
        await requestGrants(lab, wanted(own));
        const last = await follower.until(() => follower.count('Active') >= grants, 'grants to be Active');
        return last - from;
      });
      const sent = [...added(before, await requests(lab.hallpass.healthUrl))].filter(([key]) => !isUpkeep(key));
      progress(`${seconds(ours.result)}; the bare client: ${grants} grants`);
      await lab.hallpass.stop();
      const theirs = await cpuDuring(lab, async () => {
        const from = performance.now();
        await issueBare(lab, wanted(bare));
        const last = await follower.until(() => follower.count('Active') >= 2 * grants, 'bare grants');
        return last - from;
      });
      follower.stop();
      const ratio = ours.result / theirs.result;
      return {
        value: ratio.toFixed(2),
        met: ratio <= target,
        details: [
          ['hallpass', `${seconds(ours.result)}, ${((grants / ours.result) * 1000).toFixed(0)} grants a second`],
          ['bare client', `${seconds(theirs.result)}, ${((grants / theirs.result) * 1000).toFixed(0)} grants a second`],
          ['requests of hallpass meanwhile', sent.map(([key, count]) => `${count} ${key}`).join(', ')],
          ['CPU time with hallpass', ours.text],
          ['CPU time with the bare client', theirs.text],
        ],
      };
    }),
};
