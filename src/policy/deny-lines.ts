// Which lines of `deny` can be about a rule at all, so that a grant is not held against each of dozens of lines.

import type { PolicySpec } from '../api/policy.ts';
import { once } from './once.ts';
import type { PolicyRule } from './rules.ts';

type Deny = NonNullable<PolicySpec['deny']>;
type Index = {
  /** Lines by each resource that they name. */
  byResource: Map<string, number[]>;
  /** Lines with a wildcard among their resources. */
  wild: number[];
};

/** Calls `visit` with each line that may have something in common with the rule, once; the others have nothing. */
export function eachLineAbout(deny: Deny, { resources = [] }: PolicyRule, visit: (line: number) => void): void {
  const { byResource, wild } = indexOf(deny);
  if (resources.some((resource) => resource.includes('*'))) {
    for (const line of deny.keys()) visit(line);
    return;
  }
  for (const line of wild) visit(line);
  const [only, ...more] = resources.flatMap((resource) => byResource.get(resource) ?? NONE);
  if (only === undefined) return;
  for (const line of more.length === 0 ? [only] : new Set([only, ...more])) if (!wild.includes(line)) visit(line);
}

const NONE: number[] = [];

const indexOf = once((deny: Deny): Index => {
  const index: Index = { byResource: new Map(), wild: [] };
  for (const [line, { resources }] of deny.entries()) {
    if (resources.some((resource) => resource.includes('*'))) index.wild.push(line);
    for (const resource of new Set(resources)) {
      const lines = index.byResource.get(resource);
      if (lines) lines.push(line);
      else index.byResource.set(resource, [line]);
    }
  }
  return index;
});
