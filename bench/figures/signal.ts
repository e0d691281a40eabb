// How soon after a signal the agents of a hundred grants are refused.
import { agentGrants } from '../../src/api/grant.ts';
import { API_VERSION, LABELS, SYSTEM_NAMESPACE } from '../../src/api/names.ts';
import { agentSignals } from '../../src/api/signal.ts';
import { distribution, percentile } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import { inFlight } from '../in-flight.ts';
import { agentClient, makeIdentities, makeNamespaces, names, passes, requestGrants, withLab } from '../lab.ts';
import { quiet } from '../metrics.ts';
import { followRefusals } from '../refusals.ts';

const grants = 100;
const spreadOver = 50;
/** The first withdraws with code that has not run yet, as a real one may. */
const rounds = 3;
const targetMs = 1_000;

export const signal: Figure = {
  name: 'signal',
  title: `a signal that suspends ${grants} grants in ${spreadOver} namespaces: sent → the agent's request refused`,
  target: `max < ${targetMs / 1000} s`,
  method: `With the agents' own tokens. From sending an AgentSignal in hallpass-system to which a policy for all namespaces responds; as soon as a watch shows a binding gone, its agent asks until it is refused. ${rounds} rounds, each with grants of its own; all their times together.`,
  measure: (progress) =>
    withLab(progress, async (lab) => {
      const { admin } = lab;
      const namespaces = names('ns', spreadOver);
      await makeNamespaces(lab, namespaces);
      await makeIdentities(lab, namespaces);
      await admin.createRaw(`/apis/${API_VERSION}/agentpolicies`, {
        apiVersion: API_VERSION,
        kind: 'AgentPolicy',
        metadata: { name: 'responds' },
        spec: { namespaceSelector: {}, responses: [{ signal: 'Incident', severity: 'High', action: 'Suspend' }] },
      });
      const clients = await inFlight(namespaces, (namespace) => agentClient(lab, namespace), 4);
      const phases = await Follower.start(admin, agentGrants, { stateOf: phaseOf });
      const signals = `/apis/${API_VERSION}/namespaces/${SYSTEM_NAMESPACE}/agentsignals`;
      const details: [string, string][] = [];
      const all: number[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        const asking = names(`round-${round}`, grants).map((name, index) => {
          const [namespace, agent] = [namespaces[index % spreadOver] ?? '', clients[index % spreadOver]];
          if (!agent) throw new Error('no agent');
          return { agent, namespace, name };
        });
        await requestGrants(
          lab,
          asking.map(({ namespace, name }) => ({ namespace, name, configMap: name, validity: { duration: '1h' } })),
        );
        await phases.until(() => phases.count('Active') === grants, 'grants to be Active');
        await quiet(lab.hallpass.healthUrl);
        for (const { agent, namespace, name } of asking) {
          if (!(await passes(agent, namespace, name))) throw new Error('an agent with a grant is refused');
        }
        const refusals = await followRefusals(lab, asking, LABELS.grant);
        const from = Date.now();
        const sent = admin.createRaw(signals, {
          apiVersion: API_VERSION,
          kind: 'AgentSignal',
          metadata: { name: `round-${round}` },
          spec: {
            signal: 'Incident',
            severity: 'High',
            message: 'Is measured.',
            expiresAt: new Date(from + 3600_000).toISOString().replace(/\.\d+Z/, 'Z'),
          },
        });
        const took = (await refusals.refused()).map((at) => at - from);
        await sent;
        progress(`round ${round}: ${distribution(took)}`);
        details.push([`round ${round}`, distribution(took)]);
        all.push(...took);
        // What is suspended is of no use any more, and the next round's grants must not be.
        await inFlight(asking, (ref) => admin.delete(agentGrants, ref));
        await phases.until(() => phases.count('Suspended') === 0, 'the grants to be gone');
        await admin.delete(agentSignals, { namespace: SYSTEM_NAMESPACE, name: `round-${round}` });
      }
      phases.stop();
      for (const client of clients) client.close();
      return { value: distribution(all), met: percentile(all, 1) < targetMs, details };
    }),
};
