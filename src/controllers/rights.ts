// What RBAC gives somebody in a place, as the caches have it: the rules of every role that is bound to them or to a group of
// theirs.

import type { ParsedGrant } from '../api/grant.ts';
import type { RoleBinding } from '../kube/kinds.ts';
import { type Place, requestedAccess } from '../policy/access.ts';
import { type Holder, holdersOf, subjectKeysOfHolder } from '../policy/authors.ts';
import { covers, type PolicyRule } from '../policy/rules.ts';
import type { Snapshot } from '../policy/snapshot.ts';
import { type Caches, INDEX } from './cluster.ts';

/** Whether RBAC gives all that a grant hands out to those who must hold it. What another authorizer gives is not known here. */
export function authorsCovered(
  caches: Caches,
  snapshot: Pick<Snapshot, 'identity' | 'namespaces'> & { grant: ParsedGrant },
): boolean {
  const { metadata, spec } = snapshot.grant;
  const access = requestedAccess(spec?.permissions ?? [], metadata.namespace ?? '');
  const { creator, requester } = holdersOf(snapshot);
  const covered = (holder: Holder | undefined) =>
    holder !== undefined &&
    access.every(({ namespace, rules }) => covers(rulesOf(caches, holder, namespace), rules).covered);
  // Mostly one and the same, and this is asked at every decision about a live grant.
  return covered(creator) && (isSame(creator, requester) || covered(requester));
}

function isSame(a: Holder | undefined, b: Holder | undefined): boolean {
  const [groups = [], others = []] = [a?.groups, b?.groups];
  return (
    a?.username === b?.username && groups.length === others.length && groups.every((group, at) => group === others[at])
  );
}

/** In the whole cluster ClusterRoleBindings alone. Without what hallpass bound for a grant: an agent that asks for another rests on the word of the API server. */
function rulesOf(caches: Caches, holder: Holder, place: Place): PolicyRule[] {
  const rules: PolicyRule[] = [];
  for (const subject of subjectKeysOfHolder(holder)) {
    for (const binding of caches.clusterRoleBindings.byIndex(INDEX.subject, subject)) {
      for (const rule of rulesBy(caches, binding)) rules.push(rule);
    }
    for (const binding of caches.roleBindings.byIndex(INDEX.subject, subject)) {
      if (binding.metadata.namespace !== place) continue;
      for (const rule of rulesBy(caches, binding)) rules.push(rule);
    }
  }
  return rules;
}

function rulesBy({ roles, clusterRoles }: Caches, { metadata, roleRef }: RoleBinding): PolicyRule[] {
  const { namespace } = metadata;
  const { name } = roleRef;
  return (roleRef.kind === 'Role' ? roles.get({ namespace, name }) : clusterRoles.get({ name }))?.rules ?? [];
}
