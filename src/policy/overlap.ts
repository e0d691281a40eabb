// What two rules have in common, so that a line of a policy is held against any part of what a grant asks for.

import type { PolicyRule } from './rules.ts';

/**
 * The part of `rule` that `line` is about, as one rule; undefined where they have nothing in common. Everything that both of them
 * allow is in it (by `rulesAllow`). Beyond RBAC, where `pods/*` names nothing, it means every subresource of pods here: who
 * writes it in a policy means that, and who asks for it has nothing to lose.
 */
export function overlap(rule: PolicyRule, line: PolicyRule): PolicyRule | undefined {
  // Most rules have nothing to do with most lines: that is told without building anything.
  if (!meets(rule.apiGroups ?? [], line.apiGroups ?? []) || !meets(rule.verbs, line.verbs)) return undefined;
  const verbs = common(rule.verbs, line.verbs, sameOrAny);
  const apiGroups = common(rule.apiGroups ?? [], line.apiGroups ?? [], sameOrAny);
  const resources = common(rule.resources ?? [], line.resources ?? [], sameResource);
  if (resources.length === 0) return undefined;
  const resourceNames = commonNames(rule.resourceNames, line.resourceNames);
  if (resourceNames === undefined) return undefined;
  return { verbs, apiGroups, resources, ...(resourceNames.length === 0 ? {} : { resourceNames }) };
}

function meets(a: string[], b: string[]): boolean {
  for (const value of a) if (value === '*' || b.includes(value)) return b.length > 0;
  return a.length > 0 && b.includes('*');
}

/** The parts of a rule that say something by a wildcard: one for each of its lists that has any. */
export function wildParts(rule: PolicyRule): PolicyRule[] {
  const { verbs, apiGroups = [], resources = [] } = rule;
  if (![verbs, apiGroups, resources].some((values) => values.some((value) => value.includes('*')))) return [];
  const lists = Object.entries({ verbs, apiGroups, resources });
  return lists.flatMap(([list, values]) => {
    const wild = values.filter((value) => value.includes('*'));
    return wild.length === 0 ? [] : [{ ...rule, [list]: wild }];
  });
}

/** The narrower of two patterns; undefined where nothing matches both. */
type Narrower = (a: string, b: string) => string | undefined;

const sameOrAny: Narrower = (a, b) => (a === b || b === '*' ? a : a === '*' ? b : undefined);

const sameResource: Narrower = (a, b) => {
  const whole = sameOrAny(a, b);
  if (whole !== undefined || !(a.includes('*') || b.includes('*'))) return whole;
  const [kindA = '', ...subA] = a.split('/');
  const [kindB = '', ...subB] = b.split('/');
  if (subA.length === 0 || subB.length === 0) return undefined;
  const kind = sameOrAny(kindA, kindB);
  const sub = sameOrAny(subA.join('/'), subB.join('/'));
  return kind === undefined || sub === undefined ? undefined : `${kind}/${sub}`;
};

function common(a: string[], b: string[], narrower: Narrower): string[] {
  const found = new Set<string>();
  for (const one of a) {
    for (const other of b) {
      const both = narrower(one, other);
      if (both !== undefined) found.add(both);
    }
  }
  return [...found];
}

/** No names are every name. */
function commonNames(a: string[] = [], b: string[] = []): string[] | undefined {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const names = a.filter((name) => b.includes(name));
  return names.length === 0 ? undefined : names;
}
