// Data sensitivity: which of the namespaces that a grant reaches into hold data above a limit.

import type { ParsedPolicy } from '../api/policy.ts';
import { type DataSensitivity, isAbove, UNLABELLED } from '../api/sensitivity.ts';
import type { GateInput } from './gates.ts';
import { onceForBoth } from './once.ts';
import type { Which } from './policies.ts';
import type { NamespaceView } from './snapshot.ts';

/** The level of one namespace that is above the limit, and where it comes from, for people. */
export type TooSensitive = { namespace: string; level: DataSensitivity; from: string };

/** Every namespace that the grant reaches into by its name whose data is above the limit, and one for all where it reaches all. `counts`: the policies that say what no label says. */
export function aboveLimit(
  { access, namespaces, cluster }: Pick<GateInput, 'access' | 'namespaces' | 'cluster'>,
  limit: DataSensitivity,
  counts: Which,
): TooSensitive[] {
  const above: TooSensitive[] = [];
  for (const { namespace } of access) {
    if (namespace === undefined) {
      above.push(...mostSensitive(cluster, limit, counts));
      continue;
    }
    const view = namespaces.get(namespace);
    const found = view && levelOf(view, counts);
    if (found && isAbove(found.level, limit)) above.push({ namespace, ...found });
  }
  return above;
}

/** What holds in the whole cluster reaches every namespace: of those above the limit, one of the highest stands for all. */
function mostSensitive(cluster: GateInput['cluster'], limit: DataSensitivity, counts: Which): TooSensitive[] {
  let highest: TooSensitive | undefined;
  for (const [namespace, view] of cluster?.namespaces ?? []) {
    const found = levelOf(view, counts);
    if (isAbove(found.level, highest?.level ?? limit)) highest = { namespace, ...found };
  }
  return highest ? [highest] : [];
}

/** How sensitive the data of a namespace is, and where that comes from, for people. */
export function levelOf(
  { dataSensitivity, policies }: Pick<NamespaceView, 'dataSensitivity' | 'policies'>,
  counts: Which,
): Omit<TooSensitive, 'namespace'> {
  return dataSensitivity ? { level: dataSensitivity, from: 'by its label' } : unlabelled(counts, policies);
}

const unlabelled = onceForBoth((counts: Which, policies: ParsedPolicy[]): Omit<TooSensitive, 'namespace'> => {
  const stated = policies
    .filter(counts)
    .flatMap(({ metadata, spec }) =>
      spec?.unlabelledDataSensitivity
        ? [{ level: spec.unlabelledDataSensitivity, from: `without a label, by AgentPolicy ${metadata.name}` }]
        : [],
    );
  const [first = { level: UNLABELLED, from: 'as it has no label' }, ...more] = stated;
  return more.reduce((highest, one) => (isAbove(one.level, highest.level) ? one : highest), first);
});
