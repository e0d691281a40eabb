// How long after its deadline an agent's request still passes.
import { setTimeout as delay } from 'node:timers/promises';
import { agentGrants } from '../../src/api/grant.ts';
import type { Client } from '../../src/kube/client.ts';
import { distribution, milliseconds, percentile } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import { inFlight } from '../in-flight.ts';
import {
  agentClient,
  makeIdentities,
  makeNamespaces,
  names,
  passes,
  requestGrants,
  timeToIssue,
  wholeSecondIn,
  withLab,
} from '../lab.ts';
import { quiet, scrape } from '../metrics.ts';

const grants = 1_000;
const agents = 20;
const overSeconds = 60;
const pollMs = 10;
const targetMs = 100;

/** Asks as the agent from the deadline on, with a pause between an answer and the next request; ms until the refusal was here. */
async function refusedAfter(agent: Client, namespace: string, configMap: string, deadline: number): Promise<number> {
  await delay(deadline - Date.now());
  for (;;) {
    const passed = await passes(agent, namespace, configMap);
    if (!passed) return Date.now() - deadline;
    await delay(pollMs);
  }
}

export const lag: Figure = {
  name: 'lag',
  title: `${grants.toLocaleString('en')} grants lapsing over ${overSeconds} s: expiresAt (.000) → the agent's request refused`,
  target: `p99 ≤ ${targetMs} ms`,
  method: `With the agents' own tokens. Each agent asks at its grant's expiresAt and again ${pollMs} ms after each answer that let it pass, until it is refused; the time is until that answer was here, so it holds the poll and the request itself.`,
  measure: (progress) =>
    withLab(
      progress,
      async (lab) => {
        const namespaces = names('ns', agents);
        await makeNamespaces(lab, namespaces);
        await makeIdentities(lab, namespaces);
        const clients = await inFlight(namespaces, (namespace) => agentClient(lab, namespace), 4);
        const follower = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
        const first = wholeSecondIn(await timeToIssue(lab, namespaces, grants));
        const wanted = names('task', grants).map((name, index) => {
          const end = first + Math.floor((index * overSeconds) / grants) * 1000;
          const namespace = namespaces[index % agents] ?? '';
          const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
          return { end, agent: clients[index % agents], namespace, name, configMap: name, validity: { notAfter } };
        });
        progress(`issuing ${grants} grants`);
        await requestGrants(lab, wanted);
        await follower.until(() => follower.count('Active') === grants, 'grants to be Active');
        follower.stop();
        await quiet(lab.hallpass.healthUrl, 1_000);
        if (Date.now() > first - 1_000) throw new Error('the grants took so long to issue that the first has ended');
        const probe = wanted[0];
        if (!probe?.agent || !(await passes(probe.agent, probe.namespace, probe.configMap))) {
          throw new Error('an agent with a grant is refused');
        }
        progress(`${Math.round((first - Date.now()) / 1000)} s until the first ends, and ${overSeconds} s more`);
        const meanLag = async () => {
          const samples = await scrape(lab.hallpass.healthUrl);
          const of = (name: string) => samples.find((sample) => sample.name === name)?.value ?? 0;
          return (1000 * of('hallpass_expiry_lag_seconds_sum')) / of('hallpass_expiry_lag_seconds_count');
        };
        const lags: number[] = [];
        const ticker = setInterval(() => progress(`${lags.length} of ${grants} refused`), 10_000);
        await Promise.all(
          wanted.map(async ({ agent, namespace, configMap, end }) => {
            if (!agent) throw new Error('no agent');
            lags.push(await refusedAfter(agent, namespace, configMap, end));
          }),
        );
        clearInterval(ticker);
        return {
          value: distribution(lags),
          met: percentile(lags, 0.99) <= targetMs,
          details: [
            ['poll interval', `${pollMs} ms after each answer`],
            [
              "of it, until hallpass had the API server's answer to the deletion",
              `mean ${milliseconds(await meanLag())}`,
            ],
          ],
        };
      },
      { fastControllers: true },
    ),
};
