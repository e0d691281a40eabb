// Says in the status of an AgentSignal what policies do because of it, and who may lift that: the guard of its deletion goes by it.

import { SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentSignals, MOST_RESPONSES, type SignalStatus } from '../api/signal.ts';
import type { Result } from '../kube/controller.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import { refOf } from '../kube/object.ts';
import { isEnforced } from '../policy/policies.ts';
import { restingOn } from '../policy/signals-read.ts';
import type { Cluster } from './cluster.ts';
import { policiesOf } from './snapshot.ts';

/** Writes the status if it is another now, and has the signal looked at again when it ends by itself. */
export async function tellResponses(cluster: Cluster, ends: Deadlines, key: string): Promise<Result> {
  const { caches, client, clock } = cluster;
  const signal = caches.signals.get(refOf(key));
  if (!signal) return undefined;
  const { name, namespace = '', uid, resourceVersion } = signal.metadata;
  const policies = namespace === SYSTEM_NAMESPACE ? caches.policies.list() : policiesOf(caches, namespace);
  const responses = restingOn(signal, policies.filter(isEnforced), clock.now().getTime());
  const ending = responses.flatMap(({ lapsesAt }) => lapsesAt ?? []);
  ends.set(key, ending.length > 0 ? new Date(Math.min(...ending)) : undefined);
  const status = signalStatus(responses);
  if (JSON.stringify(status) === JSON.stringify(inOrder(signal.status))) return undefined;
  const body = { ...signal, spec: undefined, stamps: undefined, metadata: { name, namespace, uid, resourceVersion } };
  caches.signals.observe(await client.replace(agentSignals, { ...body, status }, { subresource: 'status' }));
  return undefined;
}

/** What the status of a signal says. Where more respond than it holds it names none, and then only cluster admins lift it. */
function signalStatus(resting: ReturnType<typeof restingOn>): SignalStatus {
  const effect = EFFECTS.find((effect) => resting.some(({ action }) => action === effect)) ?? 'None';
  if (resting.length > MOST_RESPONSES) return { effect };
  return inOrder({ effect, responses: resting.map(({ lifters, ...response }) => ({ ...response, ...lifters })) });
}

/** The gravest first. */
const EFFECTS = ['Revoke', 'Suspend', 'Read'] as const;

/** The same with its fields in one order, so that equal ones read alike as JSON. */
function inOrder({ effect, responses }: SignalStatus): SignalStatus {
  return {
    effect,
    ...(responses && {
      responses: responses.map(({ policy, line, action, users, groups }) => ({ policy, line, action, users, groups })),
    }),
  };
}
