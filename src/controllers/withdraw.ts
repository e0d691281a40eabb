// Takes away what a grant was given: bindings first, in every namespace, then what they rested on.

import { isOfGrant } from '../access/drift.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantObjectName, grantUidOfObject } from '../api/names.ts';
import type { Cache } from '../kube/cache.ts';
import { type Client, isForbidden, isNotFound } from '../kube/client.ts';
import { jobs, type RoleBinding, roleBindings, roles } from '../kube/kinds.ts';
import type { KubeObject, ObjectRef, Resource } from '../kube/object.ts';
import { type Caches, type Cluster, INDEX, openReceipts } from './cluster.ts';

/**
 * Every namespace in which a grant may have been given something: by its open receipts, its status, and what the
 * caches hold. The caches may lag behind; the receipt is written before the first right exists.
 */
export function namespacesOf(caches: Caches, grant: Pick<ParsedGrant, 'metadata' | 'status'>): string[] {
  const { uid } = grant.metadata;
  const held = [caches.roleBindings, caches.roles, caches.jobs].flatMap((cache): KubeObject[] =>
    cache.byIndex(INDEX.grantUid, uid),
  );
  return [
    ...new Set([
      ...openReceipts(caches, uid).flatMap(({ spec }) => spec?.access.map(({ namespace }) => namespace) ?? []),
      ...(grant.status.created ?? []).map(({ namespace }) => namespace),
      ...held.map(({ metadata }) => metadata.namespace ?? ''),
    ]),
  ];
}

/** Whether the caches hold anything that was made for the grant. */
export function holdsAnything(caches: Caches, uid: string): boolean {
  return [caches.roleBindings, caches.roles, caches.jobs].some(
    (cache) => cache.byIndex(INDEX.grantUid, uid).length > 0,
  );
}

/** Namespaces in which the caches hold something that was made for the grant, beside those that it reaches into. */
export function straysOf(caches: Caches, uid: string, access: { namespace: string }[]): string[] {
  const reached = new Set(access.map(({ namespace }) => namespace));
  const found = [caches.roleBindings, caches.roles, caches.jobs].flatMap((cache): KubeObject[] =>
    cache.byIndex(INDEX.grantUid, uid),
  );
  return [...new Set(found.map(({ metadata }) => metadata.namespace ?? ''))].filter((each) => !reached.has(each));
}

/** Access that could not be taken away, since others' finalizers keep what gives it. */
export class AccessRemainsError extends Error {}

/**
 * Deletes the grant's bindings, by name, whatever the caches say. When this returns, no new request of the agent passes by
 * them. Throws AccessRemainsError when it can't be made so.
 */
export async function withdrawBindings(cluster: Cluster, uid: string, namespaces: string[]): Promise<void> {
  const name = grantObjectName(uid);
  await all(namespaces, async (namespace) => {
    const held = await remove(cluster, roleBindings, cluster.caches.roleBindings, { namespace, name }, uid);
    if (held && isOfGrant(held, uid)) await disarm(cluster, held, uid);
  });
}

/** Makes a binding give nothing that somebody's finalizer keeps: RBAC honours it until it is gone. */
async function disarm(cluster: Cluster, held: RoleBinding, uid: string): Promise<void> {
  const { client, caches, log } = cluster;
  const { namespace = '', name, finalizers } = held.metadata;
  if (!held.subjects?.length) return;
  log.warn('others keep a RoleBinding that was to be deleted', { uid, namespace, name, finalizers });
  try {
    caches.roleBindings.observe(await client.replace(roleBindings, { ...held, subjects: [] }));
    return;
  } catch (error) {
    if (isNotFound(error)) return;
    // Where the namespace is not enabled any more, hallpass may delete but not write.
    if (!isForbidden(error)) throw error;
  }
  const role = await remove(cluster, roles, caches.roles, { namespace, name }, uid);
  if (!role) return;
  caches.roles.observe(role);
  throw new AccessRemainsError(
    `the access in namespace ${namespace} remains: RoleBinding ${name} (${finalizers?.join(', ')}) and Role ${name} (${role.metadata.finalizers?.join(', ')}) are deleted, but finalizers of others keep them; whoever set those has to take one of them off`,
  );
}

/** How many bindings of grants give access although they were deleted: they name somebody, and their Role is there. */
export function heldBindings({ roleBindings, roles }: Caches): number {
  const held = roleBindings.list().filter(({ metadata, subjects }) => {
    const { deletionTimestamp, namespace, name } = metadata;
    if (!deletionTimestamp || !subjects?.length || grantUidOfObject(metadata) === undefined) return false;
    return roles.get({ namespace, name }) !== undefined;
  });
  return held.length;
}

/** Deletes what the bindings rested on. */
export async function withdrawRest(cluster: Cluster, uid: string, namespaces: string[]): Promise<void> {
  const name = grantObjectName(uid);
  await all(namespaces, async (namespace) => {
    await Promise.all([
      remove(cluster, roles, cluster.caches.roles, { namespace, name }, uid),
      remove(cluster, jobs, cluster.caches.jobs, { namespace, name }, uid),
    ]);
  });
}

/**
 * Deletes an object that may be gone already, and lets the cache know. One that only has the name of ours is left alone. Returns
 * one that lives on, since a finalizer keeps it.
 */
async function remove<T extends KubeObject>(
  { client, caches }: Cluster,
  resource: Resource<T>,
  cache: Cache<T>,
  ref: { namespace: string; name: string },
  uid: string,
): Promise<T | undefined> {
  // Guards that were just put back take a moment until they hold. A binding goes by its name alone: it is what gives access.
  const known = resource.kind === 'RoleBinding' ? undefined : cache.get(ref);
  if (known && !isOfGrant(known, uid)) return undefined;
  try {
    // What a Job owns was deleted before it; the garbage collector is the second net.
    const held = await client.delete(resource, ref, { propagationPolicy: 'Background' });
    if (held) {
      cache.observe(held);
      return held;
    }
  } catch (error) {
    // The guards let hallpass delete nothing of others; that must not keep a grant from ending.
    if (isForbidden(error) && (await isForeign(client, resource, ref, uid))) return undefined;
    if (!isNotFound(error)) throw error;
    // In a namespace that was finalized by force, which is as if it were not there, objects live on and come back with it.
    if (!caches.namespaces.get({ name: ref.namespace })) return undefined;
  }
  cache.forget(ref);
  return undefined;
}

async function isForeign<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  ref: ObjectRef,
  uid: string,
): Promise<boolean> {
  try {
    return !isOfGrant(await client.get(resource, ref), uid);
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Does the same in every namespace; one that fails doesn't keep the others from being cleaned. Throws the first error. */
async function all(namespaces: string[], act: (namespace: string) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(namespaces.map(act));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
