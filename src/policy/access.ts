// What a grant asks for, as rules by where they hold.

import type { ParsedGrant } from '../api/grant.ts';
import { once } from './once.ts';
import { covers, type PolicyRule } from './rules.ts';

/** Where rules hold: a namespace, by its name; undefined is the whole cluster, every namespace and what is in none. */
export type Place = string | undefined;

/** Rules in one place. A list of these, one entry a place and sorted by it, the cluster first, is what a grant hands out. */
export type Access = { namespace?: string | undefined; rules: PolicyRule[] };

/** Verbs that change nothing. */
export const READING: readonly string[] = ['get', 'list', 'watch'];

type Permission = {
  scope?: 'Namespace' | 'Cluster' | undefined;
  namespaces?: string[] | undefined;
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[] | undefined;
  verbs: string[];
};

/** The places in which a permission is to hold; one that names none means the grant's own namespace. */
export function placesOf(
  { scope, namespaces }: Pick<Permission, 'scope' | 'namespaces'>,
  ownNamespace: string,
): Place[] {
  if (scope === 'Cluster') return [undefined];
  return namespaces && namespaces.length > 0 ? [...new Set(namespaces)] : [ownNamespace];
}

/** The places that a grant reaches, each once. */
export function targetPlaces({ metadata, spec }: Pick<ParsedGrant, 'metadata' | 'spec'>): Place[] {
  const own = metadata.namespace ?? '';
  if (!spec) return [];
  if (rulesOf(spec.permissions).local) return [own];
  return [...new Set(spec.permissions.flatMap((permission) => placesOf(permission, own)))];
}

/** The places that a grant depends on: its own namespace, and where it reaches, each once. */
export function concernedPlaces(grant: Pick<ParsedGrant, 'metadata' | 'spec'>): Place[] {
  const own = grant.metadata.namespace ?? '';
  const reached = targetPlaces(grant);
  return reached.length === 1 && reached[0] === own ? reached : [...new Set([own, ...reached])];
}

/** As rules, and whether all of them are to hold just in the grant's own namespace, as most are. */
const rulesOf = once((permissions: Permission[]) => ({
  rules: permissions.map(ruleOf),
  local:
    permissions.length > 0 &&
    permissions.every(({ scope, namespaces = [] }) => scope !== 'Cluster' && namespaces.length === 0),
}));

function ruleOf({ apiGroups, resources, resourceNames, verbs }: Permission): PolicyRule {
  const rule: PolicyRule = { verbs, apiGroups, resources };
  if (resourceNames && resourceNames.length > 0) rule.resourceNames = resourceNames;
  return rule;
}

/** Turns permissions into rules by place. Where all hold in the same one, as most do, the rules are one list however often this is asked. */
export function requestedAccess(permissions: Permission[], ownNamespace: string): Access[] {
  const { rules, local } = rulesOf(permissions);
  if (local) return [{ namespace: ownNamespace, rules }];
  const places = permissions.map((permission) => placesOf(permission, ownNamespace));
  const all = [...new Set(places.flat())].sort((a = '', b = '') => (a < b ? -1 : 1));
  return all.map((place) => {
    const held = all.length === 1 ? rules : rules.filter((_, at) => places[at]?.includes(place));
    return place === undefined ? { rules: held } : { namespace: place, rules: held };
  });
}

/** Whether `wide` hands out everything that `narrow` does, place by place. */
export function accessCovers(wide: Access[], narrow: Access[]): boolean {
  const rules = new Map(wide.map((entry) => [entry.namespace, entry.rules]));
  return narrow.every((entry) => covers(rules.get(entry.namespace) ?? [], entry.rules).covered);
}

/** A place as a person reads it, after "in". */
export function describePlace(place: Place): string {
  return place === undefined ? 'the whole cluster' : `namespace ${place}`;
}

/** A rule as a person reads it: `get,list pods,services in group ""`. */
export function describeRule(rule: PolicyRule): string {
  if (rule.nonResourceURLs?.length) return `${rule.verbs.join(',')} ${rule.nonResourceURLs.join(',')}`;
  const groups = (rule.apiGroups ?? []).map((group) => (group === '' ? 'core' : group)).join(',');
  const names = rule.resourceNames?.length ? ` named ${rule.resourceNames.join(',')}` : '';
  return `${rule.verbs.join(',')} ${(rule.resources ?? []).join(',')} (${groups})${names}`;
}
