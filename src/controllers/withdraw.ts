// Takes away what a grant was given: bindings first, in every namespace, then what they rested on.

import { hasOwnRole } from '../access/drift.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantObjectName, grantUidOfBinding } from '../api/names.ts';
import type { Cache } from '../kube/cache.ts';
import { isForbidden, isNotFound, unlessGone } from '../kube/client.ts';
import { jobs, type RoleBinding, roleBindings, roles } from '../kube/kinds.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import { messageOf } from '../text.ts';
import { type Caches, type Cluster, INDEX, isMadeFor, openReceipts } from './cluster.ts';

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

/** Access that could not be taken away, since others keep what gives it: by their finalizers, or by refusing its deletion. */
export class AccessRemainsError extends Error {}

/**
 * Deletes the grant's bindings, by name, whatever the caches say. When this returns, no new request of the agent passes by
 * them. Throws AccessRemainsError when it can't be made so.
 */
export async function withdrawBindings(cluster: Cluster, uid: string, namespaces: string[]): Promise<void> {
  const name = grantObjectName(uid);
  await all(namespaces, async (namespace) => {
    const ref = { namespace, name };
    const { client, caches } = cluster;
    try {
      const held = await remove(cluster, roleBindings, caches.roleBindings, ref, uid);
      if (held) await disarm(cluster, held, uid);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      const held = await unlessGone(client.get(roleBindings, ref));
      if (!held) return;
      await disarm(cluster, held, uid, messageOf(error));
      // It gives nothing any more, and is still to go.
      throw error;
    }
  });
}

/**
 * Makes a binding give nothing that others keep, by a finalizer or by refusing that it is deleted: RBAC honours it until it
 * is gone. Throws AccessRemainsError when it can't be made so.
 */
async function disarm(cluster: Cluster, held: RoleBinding, uid: string, refusal?: string): Promise<void> {
  const { client, caches, log } = cluster;
  const { namespace = '', name, finalizers } = held.metadata;
  if (!held.subjects?.length) return;
  log.warn('others keep a RoleBinding that was to be deleted', {
    uid,
    namespace,
    name,
    finalizers,
    error: refusal,
  });
  try {
    caches.roleBindings.observe(await client.replace(roleBindings, { ...held, subjects: [] }));
    return;
  } catch (error) {
    if (isNotFound(error)) return;
    // Where the namespace is not enabled any more, hallpass may delete but not write; and nowhere what has lost our label.
    if (!isForbidden(error)) throw error;
  }
  const role = hasOwnRole(held) ? await removedRole(cluster, { namespace, name }, uid) : undefined;
  if (hasOwnRole(held) && !role) return;
  const kept = role?.metadata.finalizers;
  const [why, end] = refusal
    ? [`hallpass may not delete it (${refusal})`, `kubectl delete rolebinding ${name} -n ${namespace}`]
    : [
        `finalizers of others keep it (${finalizers?.join(', ')})${kept ? ` and its Role (${kept.join(', ')})` : ''}`,
        `kubectl patch rolebinding ${name} -n ${namespace} --type=merge -p '{"metadata":{"finalizers":null}}'`,
      ];
  throw new AccessRemainsError(
    `the access in namespace ${namespace} remains until somebody who may runs: ${end}; RoleBinding ${name} gives it, and ${why}`,
  );
}

/** Deletes the Role that a binding rests on; returns it where it is there nevertheless. */
async function removedRole(cluster: Cluster, ref: { namespace: string; name: string }, uid: string) {
  try {
    await remove(cluster, roles, cluster.caches.roles, ref, uid);
  } catch (error) {
    if (!isForbidden(error)) throw error;
  }
  const role = await unlessGone(cluster.client.get(roles, ref));
  if (role) cluster.caches.roles.observe(role);
  return role;
}

/** How many bindings of grants give access that hallpass was to take away: they name somebody, and their role is there. */
export function heldBindings({ grants, roleBindings, roles }: Caches): number {
  const held = roleBindings.list().filter((binding) => {
    const { deletionTimestamp, namespace, name } = binding.metadata;
    const uid = binding.subjects?.length ? grantUidOfBinding(binding) : undefined;
    if (uid === undefined || (hasOwnRole(binding) && !roles.get({ namespace, name }))) return false;
    return deletionTimestamp !== undefined || grants.byIndex(INDEX.grantUid, uid).some(saysRemains);
  });
  return held.length;
}

function saysRemains({ status }: ParsedGrant): boolean {
  return (status.reasons ?? []).some(({ reason }) => reason === 'AccessRemains');
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
 * one that lives on, since a finalizer keeps it. Throws a Forbidden where one of ours may not be deleted.
 */
async function remove<T extends KubeObject>(
  { client, caches }: Cluster,
  resource: Resource<T>,
  cache: Cache<T>,
  ref: { namespace: string; name: string },
  uid: string,
): Promise<T | undefined> {
  const known = cache.get(ref);
  const gives = resource.kind === 'RoleBinding';
  // A binding goes by its name, whatever the cache says, unless it is somebody else's indeed: it is what gives access.
  if (known ? !isMadeFor(caches, known, uid) : !gives) {
    if (known && !gives) return undefined;
    const object = await unlessGone(client.get(resource, ref));
    if (!object || !isMadeFor(caches, object, uid)) return undefined;
  }
  try {
    // What a Job owns was deleted before it; the garbage collector is the second net.
    return await cache.deleting(ref, () => client.delete(resource, ref, { propagationPolicy: 'Background' }));
  } catch (error) {
    // That others keep what is theirs must not keep a grant from ending.
    if (isForbidden(error)) {
      const object = await unlessGone(client.get(resource, ref));
      if (object && !isMadeFor(caches, object, uid)) return undefined;
    }
    if (!isNotFound(error)) throw error;
    // In a namespace that was finalized by force, which is as if it were not there, objects live on and come back with it.
    if (!caches.namespaces.get({ name: ref.namespace })) return undefined;
  }
  cache.forget(ref);
  return undefined;
}

/** Does the same in every namespace; one that fails doesn't keep the others from being cleaned. Throws the first error. */
async function all(namespaces: string[], act: (namespace: string) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(namespaces.map(act));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
