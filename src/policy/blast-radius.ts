// How much an agent can do at this moment, in numbers that a person compares.

import type { ParsedPolicy } from '../api/policy.ts';
import { type Access, type Place, READING } from './access.ts';
import { overlap } from './overlap.ts';
import type { PolicyRule } from './rules.ts';

export type BlastRadius = {
  /** In how many namespaces it holds anything, beside the whole cluster. */
  namespaces: number;
  /** How many different rules it holds in the whole cluster; left out for none. */
  clusterRules?: number;
  /** How many different rules it holds; the same one in two namespaces, or by two grants, is one. */
  rules: number;
  /** Those of them that may change something. */
  mutatingRules: number;
  /** Those of them that a line of `deny` refuses where no exception is made. */
  sensitiveRules: number;
};

/** Of all that the agent's active grants give, with the enforced policies of each place. */
export function blastRadius(held: Access[], policiesOf: (place: Place) => ParsedPolicy[]): BlastRadius {
  const rules = new Map<string, PolicyRule>();
  const everywhere = new Set<string>();
  const sensitive = new Set<string>();
  const looked = new Set<string>();
  for (const { namespace, rules: entries } of held) {
    for (const rule of entries) {
      const key = keyOf(rule);
      rules.set(key, rule);
      if (namespace === undefined) everywhere.add(key);
      const place = `${namespace ?? ''} ${key}`;
      if (looked.has(place)) continue;
      looked.add(place);
      if (policiesOf(namespace).some(({ spec }) => spec?.deny?.some((line) => overlap(rule, line)))) sensitive.add(key);
    }
  }
  return {
    namespaces: new Set(held.flatMap(({ namespace }) => namespace ?? [])).size,
    ...(everywhere.size > 0 ? { clusterRules: everywhere.size } : {}),
    rules: rules.size,
    mutatingRules: [...rules.values()].filter(({ verbs }) => verbs.some((verb) => !READING.includes(verb))).length,
    sensitiveRules: sensitive.size,
  };
}

/** The same for rules that say the same, in whatever order. */
function keyOf({ verbs, apiGroups = [], resources = [], resourceNames = [] }: PolicyRule): string {
  return JSON.stringify([verbs, apiGroups, resources, resourceNames].map((list) => [...new Set(list)].sort()));
}
