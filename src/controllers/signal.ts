// Says in the status of an AgentSignal what policies do because of it, and who may lift that: the guard of its deletion goes by it.

import { SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentSignals, MOST_RESPONSES, type SignalStatus } from '../api/signal.ts';
import type { Result } from '../kube/controller.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import { refOf } from '../kube/object.ts';
import { isEnforced } from '../policy/policies.ts';
import { type Response, responsesTo } from '../policy/signals.ts';
import type { Cluster } from './cluster.ts';
import { policiesOf } from './snapshot.ts';

/** Writes the status if it is another now, and has the signal looked at again when it ends by itself. */
export async function tellResponses(cluster: Cluster, ends: Deadlines, key: string): Promise<Result> {
  const { caches, client, clock } = cluster;
  const signal = caches.signals.get(refOf(key));
  if (!signal) return undefined;
  const { name, namespace = '', uid, resourceVersion } = signal.metadata;
  const policies = namespace === SYSTEM_NAMESPACE ? caches.policies.list() : policiesOf(caches, namespace);
  const responses = responsesTo(signal, policies.filter(isEnforced), clock.now().getTime());
  const ending = responses.flatMap(({ lapsesAt }) => lapsesAt ?? []);
  ends.set(key, ending.length > 0 ? new Date(Math.min(...ending)) : undefined);
  const status = signalStatus(responses);
  if (JSON.stringify(status) === JSON.stringify(inOrder(signal.status))) return undefined;
  const body = { ...signal, spec: undefined, stamps: undefined, metadata: { name, namespace, uid, resourceVersion } };
  caches.signals.observe(await client.replace(agentSignals, { ...body, status }, { subresource: 'status' }));
  return undefined;
}

/** What the status of a signal says. Where more respond than it holds it names none, and then only cluster admins lift it. */
function signalStatus(responses: Response[]): SignalStatus {
  const revokes = responses.some(({ action }) => action === 'Revoke');
  const effect = revokes ? 'Revoke' : responses.length > 0 ? 'Suspend' : 'None';
  if (responses.length > MOST_RESPONSES) return { effect };
  return inOrder({
    effect,
    responses: responses.map(({ policy, line, action, lifters }) => ({ policy, line, action, ...lifters })),
  });
}

/** The same with its fields in one order, so that equal ones read alike as JSON. */
function inOrder({ effect, responses }: SignalStatus): SignalStatus {
  return {
    effect,
    ...(responses && {
      responses: responses.map(({ policy, line, action, users, groups }) => ({ policy, line, action, users, groups })),
    }),
  };
}
