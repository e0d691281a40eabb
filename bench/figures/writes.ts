// How many writes a grant costs the API server.
import { agentGrants } from '../../src/api/grant.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import { makeIdentities, makeNamespaces, names, requestGrants, wholeSecondIn, withLab } from '../lab.ts';
import { added, isUpkeep, quiet, requests } from '../metrics.ts';

const grants = 200;
const [issueTarget, lapseTarget] = [7, 5];

const isWrite = (key: string) => /^(POST|PUT|PATCH|DELETE) /.test(key) && !key.endsWith(' subjectaccessreviews');
const isApart = (key: string) => key.endsWith(' events') || key === 'PUT agentidentities/status';

/** A grant's share of counted requests: writes, writes that are counted apart, and everything else. */
function share(counts: Map<string, number>) {
  const entries = [...counts].filter(([key]) => !isUpkeep(key));
  const sum = (which: (key: string) => boolean) =>
    entries.filter(([key]) => which(key)).reduce((all, [, count]) => all + count, 0) / grants;
  return {
    writes: sum((key) => isWrite(key) && !isApart(key)),
    apart: sum((key) => isWrite(key) && isApart(key)),
    text: entries.map(([key, count]) => `${key} ${(count / grants).toFixed(2)}`).join(', '),
  };
}

export const writes: Figure = {
  name: 'writes',
  title:
    'API writes per grant in one namespace from creation to Active, and from deadline to tombstone (events and identity status apart)',
  target: `≤ ${issueTarget} and ≤ ${lapseTarget}`,
  method: `By hallpass's own count of its requests, over ${grants} grants. The controller manager stands still until all are Active; the status write when it has started the Jobs is listed by itself.`,
  measure: (progress) =>
    withLab(progress, async (lab) => {
      const [namespace = ''] = names('ns', 1);
      const { healthUrl } = lab.hallpass;
      await makeNamespaces(lab, [namespace]);
      await makeIdentities(lab, [namespace]);
      await quiet(healthUrl);
      const follower = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
      lab.playground.controllerManager.kill('SIGSTOP');
      const start = await requests(healthUrl);
      const notAfter = new Date(wholeSecondIn(60_000)).toISOString().replace('.000Z', 'Z');
      progress(`${grants} grants`);
      await requestGrants(
        lab,
        names('grant', grants).map((name) => ({ namespace, name, validity: { notAfter } })),
      );
      await follower.until(() => follower.count('Active') === grants, 'grants to be Active');
      await quiet(healthUrl);
      const active = await requests(healthUrl);
      lab.playground.controllerManager.kill('SIGCONT');
      progress('until every Job has started');
      await quiet(healthUrl, 5_000);
      const converged = await requests(healthUrl);
      progress('until their end');
      await follower.until(() => follower.count('Expired') === grants, 'grants to be Expired');
      await quiet(healthUrl, 5_000);
      const over = await requests(healthUrl);
      follower.stop();
      const [issue, hold, lapse] = [
        share(added(start, active)),
        share(added(active, converged)),
        share(added(converged, over)),
      ];
      return {
        value: `${issue.writes.toFixed(2)} and ${lapse.writes.toFixed(2)}`,
        met: issue.writes <= issueTarget && lapse.writes <= lapseTarget,
        details: [
          ['creation to Active, by request', issue.text],
          ['once its Job has started', `${hold.writes.toFixed(2)} writes: ${hold.text}`],
          ['deadline to tombstone, by request', lapse.text],
          ['counted apart', `${issue.apart.toFixed(2)} and ${lapse.apart.toFixed(2)}`],
        ],
      };
    }),
};
