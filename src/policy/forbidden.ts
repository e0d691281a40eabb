// What no grant may hold, whatever the ceiling says.

import { READING } from './access.ts';
import type { PolicyRule } from './rules.ts';

type Forbidden = { apiGroup: string; resources: readonly string[]; why: string; readable?: boolean };

/**
 * Kinds through which access is made: whoever writes them, or reads what hallpass keeps in them, stands above the
 * grant that let them. Wildcards over a group or its resources reach them too. All that hallpass itself holds for issuing
 * is here, since the API server would let it hand that on without its being in the ceiling.
 */
const FORBIDDEN: readonly Forbidden[] = [
  { apiGroup: 'rbac.authorization.k8s.io', resources: ['*'], why: 'RBAC objects decide who may do what' },
  { apiGroup: 'hallpass.dev', resources: ['*'], why: "hallpass's own kinds decide who is granted what" },
  { apiGroup: '', resources: ['serviceaccounts'], why: 'a ServiceAccount and its tokens are identities' },
  {
    apiGroup: 'batch',
    resources: ['jobs'],
    why: "whoever writes Jobs runs pods as any ServiceAccount, and writes grants' own; get, list and watch may be granted",
    readable: true,
  },
];

/** Which forbidden kinds a rule reaches, each as a sentence; empty when it reaches none. */
export function forbiddenReach(rule: PolicyRule): string[] {
  return FORBIDDEN.filter((kind) => reaches(rule, kind)).map(
    (kind) => `${kind.resources[0] === '*' ? `group ${kind.apiGroup}` : kind.resources.join(', ')} (${kind.why})`,
  );
}

/** Whether a rule reaches any of them. */
export function isForbidden(rule: PolicyRule): boolean {
  return FORBIDDEN.some((kind) => reaches(rule, kind));
}

function reaches(rule: PolicyRule, kind: Forbidden): boolean {
  if (!rule.apiGroups?.some((apiGroup) => apiGroup === '*' || apiGroup === kind.apiGroup)) return false;
  if (kind.readable && rule.verbs.every((verb) => READING.includes(verb))) return false;
  return rule.resources?.some((resource) => reachesResource(resource, kind.resources)) ?? false;
}

function reachesResource(resource: string, kinds: readonly string[]): boolean {
  // "pods/log" is about pods; "*/token" is about every kind's token.
  const [base = ''] = resource.split('/');
  return base === '*' || kinds.includes('*') || kinds.includes(base);
}
