// Where what gives a grant's access stands: Role and RoleBinding in a namespace; ClusterRole and ClusterRoleBinding for the whole
// cluster, with their dead man in hallpass's own namespace, where nobody else writes.

import { isReaper, placesOfObject } from '../access/drift.ts';
import { CLUSTER_DEAD_MAN, SYSTEM_NAMESPACE } from '../api/names.ts';
import type { Cache } from '../kube/cache.ts';
import {
  type CronJob,
  clusterRoleBindings,
  clusterRoles,
  type Role,
  type RoleBinding,
  roleBindings,
  roles,
} from '../kube/kinds.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import type { Place } from '../policy/access.ts';
import { type Caches, INDEX } from './cluster.ts';

/** A kind, and the cache of it. */
export type Kept<T extends KubeObject> = { resource: Resource<T>; cache: Cache<T> };

/** The kinds that give access in a place. */
export function accessKinds(caches: Caches, place: Place): { role: Kept<Role>; binding: Kept<RoleBinding> } {
  return place === undefined
    ? {
        role: { resource: clusterRoles, cache: caches.clusterRoles },
        binding: { resource: clusterRoleBindings, cache: caches.clusterRoleBindings },
      }
    : {
        role: { resource: roles, cache: caches.roles },
        binding: { resource: roleBindings, cache: caches.roleBindings },
      };
}

/** The namespace of a place's dead man. */
export function deadManNamespace(place: Place): string {
  return place ?? SYSTEM_NAMESPACE;
}

/**
 * What the caches hold of a grant's in a place; undefined where Role or binding are missing. The Service is the whole cluster's
 * alone, and without a Job there may be access only in a namespace, where the policies do without one.
 */
export function placementOf(caches: Caches, place: Place, name: string) {
  const kinds = accessKinds(caches, place);
  const deadMan = { namespace: deadManNamespace(place), name };
  const job = caches.jobs.get(deadMan);
  const service = place === undefined ? caches.services.get(deadMan) : undefined;
  const role = kinds.role.cache.get({ namespace: place, name });
  const binding = kinds.binding.cache.get({ namespace: place, name });
  return role && binding ? { namespace: place, job, service, role, binding } : undefined;
}

/** The CronJob that deletes the dead-man Jobs of a place; undefined where there is none, or none that does. */
export function reaperOf({ cronJobs }: Caches, place: Place): CronJob | undefined {
  if (place !== undefined) return undefined;
  const found = cronJobs.get({ namespace: SYSTEM_NAMESPACE, name: CLUSTER_DEAD_MAN });
  return found && isReaper(found) ? found : undefined;
}

/** The bindings that the caches hold for a grant, wherever they are. */
export function bindingsFor({ roleBindings, clusterRoleBindings }: Caches, uid: string): RoleBinding[] {
  return [roleBindings, clusterRoleBindings].flatMap((cache) => cache.byIndex(INDEX.grantUid, uid));
}

/** Where the caches hold a binding for a grant that gives access, and that no Job takes down: the policies did without one. */
export function placesWithoutDeadMan(caches: Caches, uid: string): Place[] {
  const open = bindingsFor(caches, uid).filter(({ metadata: { namespace, name, ownerReferences }, subjects }) => {
    const job = caches.jobs.get({ namespace: deadManNamespace(namespace), name });
    return subjects?.length && !ownerReferences?.length && !job;
  });
  return open.map(({ metadata }) => metadata.namespace);
}

/** Everything that the caches hold for a grant. */
export function objectsFor(caches: Caches, uid: string): KubeObject[] {
  return madeForGrants(caches).flatMap((cache) => cache.byIndex(INDEX.grantUid, uid));
}

/** The places in which the caches hold something for a grant, for each object those that it may stand for. */
export function placesHeld(caches: Caches, uid: string): Place[][] {
  const held: Place[][] = [];
  for (const cache of madeForGrants(caches)) {
    for (const { metadata } of cache.byIndex(INDEX.grantUid, uid)) {
      held.push(placesOfObject(cache.resource.kind, metadata.namespace));
    }
  }
  return held;
}

function madeForGrants(caches: Caches): Pick<Cache<KubeObject>, 'resource' | 'byIndex'>[] {
  const { roleBindings, clusterRoleBindings, roles, clusterRoles, jobs, services } = caches;
  return [roleBindings, clusterRoleBindings, roles, clusterRoles, jobs, services];
}
