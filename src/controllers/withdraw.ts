// Takes away what a grant was given: bindings first, in every place, then what they rested on.

import { hasOwnRole, placesOfObject } from '../access/drift.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantObjectName, grantUidOfBinding } from '../api/names.ts';
import { isForbidden, isNotFound, unlessGone } from '../kube/client.ts';
import { jobs, type RoleBinding, services } from '../kube/kinds.ts';
import type { KubeObject, ObjectRef } from '../kube/object.ts';
import { describePlace, type Place } from '../policy/access.ts';
import { messageOf } from '../text.ts';
import { type Caches, type Cluster, isMadeFor, openReceipts } from './cluster.ts';
import type { DeleteBinding } from './deleted-together.ts';
import { accessKinds, deadManNamespace, type Kept, placesHeld } from './places.ts';
import { MendableError } from './refusable.ts';

/**
 * Every place in which a grant may have been given something: by its open receipts, its status, and what the caches hold. The
 * caches may lag behind; the receipt is written before the first right exists.
 */
export function placesGiven(caches: Caches, grant: Pick<ParsedGrant, 'metadata' | 'status'>): Place[] {
  const { uid } = grant.metadata;
  const places = new Set<Place>();
  for (const { spec } of openReceipts(caches, uid)) {
    for (const { namespace } of spec?.access ?? []) places.add(namespace);
  }
  for (const { kind, namespace } of grant.status.created ?? []) {
    for (const place of placesOfObject(kind, namespace)) places.add(place);
  }
  for (const held of placesHeld(caches, uid)) for (const place of held) places.add(place);
  return [...places];
}

/** Places in which the caches hold something that was made for the grant, beside those that it reaches. */
export function straysOf(caches: Caches, uid: string, access: { namespace?: Place }[]): Place[] {
  const isReached = (place: Place) => access.some(({ namespace }) => namespace === place);
  const strays = placesHeld(caches, uid).filter((places) => !places.some(isReached));
  return strays.length === 0 ? [] : [...new Set(strays.flat())];
}

/** Access that could not be taken away, since others keep what gives it: by their finalizers, or by refusing its deletion. */
export class AccessRemainsError extends MendableError {}

/**
 * Deletes the grant's bindings, by name, whatever the caches say. When this returns, no new request of the agent passes by
 * them. Throws AccessRemainsError when it can't be made so. `deleteBinding`: how to delete those in namespaces, if not each by itself.
 */
export async function withdrawBindings(
  cluster: Cluster,
  uid: string,
  places: Place[],
  deleteBinding?: DeleteBinding,
): Promise<void> {
  const name = grantObjectName(uid);
  await all(places, async (namespace) => {
    const ref = { namespace, name };
    const { client, caches } = cluster;
    const kept = accessKinds(caches, namespace).binding;
    try {
      const held = await remove(cluster, kept, ref, uid, namespace === undefined ? undefined : deleteBinding);
      if (held) await disarm(cluster, held, uid);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      const held = await unlessGone(client.get(kept.resource, ref));
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
  const { namespace, name, finalizers } = held.metadata;
  const { resource, cache } = accessKinds(caches, namespace).binding;
  if (!held.subjects?.length) return;
  log.warn(`others keep a ${resource.kind} that was to be deleted`, {
    uid,
    namespace,
    name,
    finalizers,
    error: refusal,
  });
  try {
    cache.observe(await client.replace(resource, { ...held, subjects: [] }));
    return;
  } catch (error) {
    if (isNotFound(error)) return;
    // Where the place is not enabled any more, hallpass may delete but not write; and nowhere what has lost our label.
    if (!isForbidden(error)) throw error;
  }
  const role = hasOwnRole(held) ? await removedRole(cluster, { namespace, name }, uid) : undefined;
  if (hasOwnRole(held) && !role) return;
  const kept = role?.metadata.finalizers;
  const object = `${resource.kind.toLowerCase()} ${name}${namespace ? ` -n ${namespace}` : ''}`;
  const [why, end] = refusal
    ? [`hallpass may not delete it (${refusal})`, `kubectl delete ${object}`]
    : [
        `finalizers of others keep it (${finalizers?.join(', ')})${kept ? ` and its ${namespace ? 'Role' : 'ClusterRole'} (${kept.join(', ')})` : ''}`,
        `kubectl patch ${object} --type=merge -p '{"metadata":{"finalizers":null}}'`,
      ];
  throw new AccessRemainsError(
    `the access in ${describePlace(namespace)} remains: ${resource.kind} ${name} gives it, and ${why}`,
    `somebody who may runs: ${end}`,
  );
}

/** Deletes the Role that a binding rests on; returns it where it is there nevertheless. */
async function removedRole(cluster: Cluster, ref: ObjectRef, uid: string) {
  const kept = accessKinds(cluster.caches, ref.namespace).role;
  try {
    await remove(cluster, kept, ref, uid);
  } catch (error) {
    if (!isForbidden(error)) throw error;
  }
  const role = await unlessGone(cluster.client.get(kept.resource, ref));
  if (role) kept.cache.observe(role);
  return role;
}

/** How many bindings of grants give access that hallpass was to take away: they name somebody, and their role is there. */
export function heldBindings(caches: Caches): number {
  const { grants, roleBindings, clusterRoleBindings } = caches;
  const remaining = new Set(grants.list().flatMap((grant) => (saysRemains(grant) ? grant.metadata.uid : [])));
  const held = [...roleBindings.list(), ...clusterRoleBindings.list()].filter((binding) => {
    const { deletionTimestamp, namespace, name } = binding.metadata;
    // Of almost all there is nothing to say, and what is waited for waits for each scrape, too.
    if (deletionTimestamp === undefined && remaining.size === 0) return false;
    const uid = binding.subjects?.length ? grantUidOfBinding(binding) : undefined;
    if (uid === undefined) return false;
    if (hasOwnRole(binding) && !accessKinds(caches, namespace).role.cache.get({ namespace, name })) return false;
    return deletionTimestamp !== undefined || remaining.has(uid);
  });
  return held.length;
}

function saysRemains({ status }: ParsedGrant): boolean {
  return (status.reasons ?? []).some(({ reason }) => reason === 'AccessRemains');
}

/** Deletes what the bindings rested on. */
export async function withdrawRest(cluster: Cluster, uid: string, places: Place[]): Promise<void> {
  const name = grantObjectName(uid);
  const { caches } = cluster;
  await all(places, async (place) => {
    const deadMan = { namespace: deadManNamespace(place), name };
    await Promise.all([
      remove(cluster, accessKinds(caches, place).role, { namespace: place, name }, uid),
      remove(cluster, { resource: jobs, cache: caches.jobs }, deadMan, uid),
      place === undefined && remove(cluster, { resource: services, cache: caches.services }, deadMan, uid),
    ]);
  });
}

/**
 * Deletes an object that may be gone already, and lets the cache know. One that only has the name of ours is left alone. Returns
 * one that lives on, since a finalizer keeps it. Throws a Forbidden where one of ours may not be deleted.
 */
async function remove<T extends KubeObject>(
  { client, caches }: Cluster,
  { resource, cache }: Kept<T>,
  ref: ObjectRef,
  uid: string,
  deleteObject = (ref: ObjectRef) => client.delete(resource, ref, { propagationPolicy: 'Background' }),
): Promise<T | undefined> {
  const known = cache.get(ref);
  const gives = resource.kind === 'RoleBinding' || resource.kind === 'ClusterRoleBinding';
  // A binding goes by its name, whatever the cache says, unless it is somebody else's indeed: it is what gives access.
  if (known ? !isMadeFor(caches, known, uid) : !gives) {
    if (known && !gives) return undefined;
    const object = await unlessGone(client.get(resource, ref));
    if (!object || !isMadeFor(caches, object, uid)) return undefined;
  }
  try {
    // What a Job owns was deleted before it; the garbage collector is the second net.
    return await cache.deleting(ref, () => deleteObject(ref));
  } catch (error) {
    // That others keep what is theirs must not keep a grant from ending.
    if (isForbidden(error)) {
      const object = await unlessGone(client.get(resource, ref));
      if (object && !isMadeFor(caches, object, uid)) return undefined;
    }
    if (!isNotFound(error)) throw error;
    // In a namespace that was finalized by force, which is as if it were not there, objects live on and come back with it.
    if (ref.namespace && !caches.namespaces.get({ name: ref.namespace })) return undefined;
  }
  cache.forget(ref);
  return undefined;
}

/** Does the same in every place; one that fails doesn't keep the others from being cleaned. Throws the first error. */
async function all(places: Place[], act: (place: Place) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(places.map(act));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
