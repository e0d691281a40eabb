// The command by which a cluster admin would raise the ceiling as far as a grant asks.

import type { PolicyRule } from './rules.ts';

/** Above this nobody reads what they paste, and an event would not hold it. */
const LONGEST = 1000;

/**
 * One line for a shell that adds these rules to the ceiling that aggregates by this label, as a ClusterRole of its own: under a new name each time, since
 * what went before under the same name would be taken out again. Undefined when it would be too long to be read.
 */
export function raiseCeilingCommand(grant: string, rules: PolicyRule[], label: string): string | undefined {
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { generateName: `grantable-${grant}-`, labels: { [label]: 'true' } },
    rules,
  };
  // Between single quotes a shell takes nothing but their like for more than text, and JSON can do without it.
  const json = JSON.stringify(role).replaceAll("'", '\\u0027');
  return rules.length === 0 || json.length > LONGEST ? undefined : `printf %s '${json}' | kubectl create -f -`;
}
