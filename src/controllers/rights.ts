// What RBAC gives somebody in a namespace, as the caches have it: the rules of every role that is bound to them or to a group of
// theirs.

import type { ParsedGrant } from '../api/grant.ts';
import type { RoleBinding } from '../kube/kinds.ts';
import { requestedAccess } from '../policy/access.ts';
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
  return Object.values(holdersOf(snapshot)).every(
    (holder) =>
      holder !== undefined &&
      access.every(({ namespace, rules }) => covers(rulesOf(caches, holder, namespace), rules).covered),
  );
}

/** Without what hallpass bound for a grant: an agent that asks for another rests on the word of the API server. */
function rulesOf(caches: Caches, holder: Holder, namespace: string): PolicyRule[] {
  return subjectKeysOfHolder(holder).flatMap((subject) => [
    ...caches.clusterRoleBindings.byIndex(INDEX.subject, subject).flatMap((binding) => rulesBy(caches, binding)),
    ...caches.roleBindings
      .byIndex(INDEX.subject, subject)
      .filter(({ metadata }) => metadata.namespace === namespace)
      .flatMap((binding) => rulesBy(caches, binding)),
  ]);
}

function rulesBy({ roles, clusterRoles }: Caches, { metadata, roleRef }: RoleBinding): PolicyRule[] {
  const { namespace } = metadata;
  const { name } = roleRef;
  return (roleRef.kind === 'Role' ? roles.get({ namespace, name }) : clusterRoles.get({ name }))?.rules ?? [];
}
