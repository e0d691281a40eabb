// The ceiling gate: what admins let grants hold in a place, and what none may hold whatever they say.

import { GRANTABLE_CLUSTER_ROLE, GRANTABLE_ROLE, LABELS } from '../api/names.ts';
import { listed } from '../text.ts';
import { describePlace, describeRule } from './access.ts';
import { raiseCeilingCommand } from './ceiling-command.ts';
import { type Finding, finding, ofEach } from './finding.ts';
import { forbiddenReach } from './forbidden.ts';
import type { GateInput } from './gates.ts';
import { once, onceForBoth } from './once.ts';
import { covers, type PolicyRule, uncoveredRules } from './rules.ts';
import { viewOf } from './snapshot.ts';

/** The two ceilings, and the labels by which admins add to them. */
const CEILINGS = {
  namespaces: { role: GRANTABLE_ROLE, label: LABELS.aggregateToGrantable, of: 'every enabled namespace' },
  cluster: { role: GRANTABLE_CLUSTER_ROLE, label: LABELS.aggregateToGrantableCluster, of: 'the whole cluster' },
};

const forbiddenIn = once((rules: PolicyRule[]) => new Set(rules.flatMap(forbiddenReach)));

const isCovered = onceForBoth((ceiling: PolicyRule[], rules: PolicyRule[]) => covers(ceiling, rules).covered);

/** What the grant asks for that no grant may hold, or that the ceiling of the place does not cover. */
export function ceilingGate(input: GateInput): readonly Finding[] {
  return ofEach(input.access, ({ namespace, rules }) => {
    const findings: Finding[] = [];
    const forbidden = forbiddenIn(rules);
    if (forbidden.size > 0) {
      findings.push(
        finding({
          reason: 'ForbiddenPermission',
          what: `no grant may reach ${[...forbidden].join('; ')}`,
          remedy: 'take it out of spec.permissions',
          by: ['Requester'],
          needsEdit: true,
        }),
      );
    }
    const ceiling = viewOf(input, namespace)?.ceiling;
    if (!ceiling || isCovered(ceiling, rules)) return findings;
    const beyond = first(5, uncoveredRules(ceiling, rules)).map(describeRule);
    const lacking = rules.filter((rule) => forbiddenReach(rule).length === 0 && !covers(ceiling, [rule]).covered);
    const { role, label, of } = CEILINGS[namespace === undefined ? 'cluster' : 'namespaces'];
    const command = raiseCeilingCommand(input.grant.metadata.name, lacking, label);
    const raise = command
      ? `raise the ceiling of ${of}, by a cluster admin who runs: ${command}`
      : `have a cluster admin label a ClusterRole with these rules ${label}=true`;
    findings.push(
      finding({
        reason: 'ExceedsCeiling',
        what: `in ${describePlace(namespace)} ClusterRole ${role} does not cover ${listed(beyond, 4)}`,
        remedy: `ask for less, or ${raise}`,
        by: ['Requester', 'ClusterAdmin'],
      }),
    );
    return findings;
  });
}

/** The first of what may be millions, without making the others. */
function first<T>(most: number, items: Iterable<T>): T[] {
  const taken: T[] = [];
  for (const item of items) if (taken.push(item) >= most) break;
  return taken;
}
