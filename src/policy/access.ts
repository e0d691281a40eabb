// What a grant asks for, as rules per namespace.

import type { ParsedGrant } from '../api/grant.ts';
import { covers, type PolicyRule } from './rules.ts';

/** Rules in one namespace. A list of these, one entry a namespace and sorted by it, is what a grant hands out. */
export type Access = { namespace: string; rules: PolicyRule[] };

type Permission = {
  namespaces?: string[] | undefined;
  apiGroups: string[];
  resources: string[];
  resourceNames?: string[] | undefined;
  verbs: string[];
};

/** Turns permissions into rules per namespace; a permission that names no namespace means the grant's own. */
export function requestedAccess(permissions: Permission[], ownNamespace: string): Access[] {
  const byNamespace = new Map<string, PolicyRule[]>();
  for (const { namespaces, apiGroups, resources, resourceNames, verbs } of permissions) {
    const rule: PolicyRule = { verbs, apiGroups, resources };
    if (resourceNames && resourceNames.length > 0) rule.resourceNames = resourceNames;
    for (const namespace of new Set(namespaces && namespaces.length > 0 ? namespaces : [ownNamespace])) {
      const rules = byNamespace.get(namespace);
      if (rules) rules.push(rule);
      else byNamespace.set(namespace, [rule]);
    }
  }
  return [...byNamespace]
    .map(([namespace, rules]) => ({ namespace, rules }))
    .sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
}

/** The namespaces that a grant depends on: its own, and those that it reaches into, each once. */
export function concernedNamespaces({ metadata, spec }: Pick<ParsedGrant, 'metadata' | 'spec'>): string[] {
  const own = metadata.namespace ?? '';
  const targets = spec?.permissions.flatMap(({ namespaces }) => (namespaces?.length ? namespaces : [own])) ?? [];
  return [...new Set([own, ...targets])];
}

/** Whether a grant hands out anything in a namespace. */
export function reaches({ metadata, spec }: Pick<ParsedGrant, 'metadata' | 'spec'>, namespace: string): boolean {
  const here = (namespaces: string[] | undefined) =>
    namespaces?.length ? namespaces.includes(namespace) : metadata.namespace === namespace;
  return spec?.permissions.some(({ namespaces }) => here(namespaces)) ?? false;
}

/** Whether `wide` hands out everything that `narrow` does, namespace by namespace. */
export function accessCovers(wide: Access[], narrow: Access[]): boolean {
  const rules = new Map(wide.map((entry) => [entry.namespace, entry.rules]));
  return narrow.every((entry) => covers(rules.get(entry.namespace) ?? [], entry.rules).covered);
}

/** A rule as a person reads it: `get,list pods,services in group ""`. */
export function describeRule(rule: PolicyRule): string {
  if (rule.nonResourceURLs?.length) return `${rule.verbs.join(',')} ${rule.nonResourceURLs.join(',')}`;
  const groups = (rule.apiGroups ?? []).map((group) => (group === '' ? 'core' : group)).join(',');
  const names = rule.resourceNames?.length ? ` named ${rule.resourceNames.join(',')}` : '';
  return `${rule.verbs.join(',')} ${(rule.resources ?? []).join(',')} (${groups})${names}`;
}
