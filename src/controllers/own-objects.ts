// A grant's objects by their name: as the cache has them, or made now. What is somebody else's is left alone, and told of.

import { areLabelled } from '../access/drift.ts';
import type { GrantKey } from '../access/grant-objects.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/client.ts';
import { type KubeObject, type ObjectRef, type Resource, resourceName } from '../kube/object.ts';
import { type Cluster, isMadeFor } from './cluster.ts';
import type { Kept } from './places.ts';
import { ForeignObjectError } from './refusable.ts';

/** The grant's object of a kind, from the cache or made now. Throws ForeignObjectError when the name is somebody else's. */
export async function ownObject<T extends KubeObject>(
  cluster: Cluster,
  { resource, cache }: Kept<T>,
  ref: ObjectRef,
  grant: GrantKey,
  create: () => Promise<T>,
): Promise<T> {
  let found = cache.get(ref) ?? (await createOrGet(cluster, resource, ref, create));
  refuseForeign(cluster, resource, found, grant.uid);
  // What is being deleted takes nothing down, and the guards let nobody, hallpass included, put our label on what has none.
  if (found.metadata.deletionTimestamp !== undefined || !areLabelled([found], grant)) {
    await letGo(cluster, resource, found);
    cache.forget(ref);
    found = await createOrGet(cluster, resource, ref, create);
    refuseForeign(cluster, resource, found, grant.uid);
    refuseTerminating(resource, found);
  }
  cache.observe(found);
  return found;
}

/** Makes an object, or takes the one that is there. */
export async function createOrGet<T extends KubeObject>(
  { client }: Cluster,
  resource: Resource<T>,
  ref: ObjectRef,
  create: () => Promise<T>,
): Promise<T> {
  try {
    return await create();
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return client.get(resource, ref);
  }
}

/** Throws ForeignObjectError for an object that was not made for the grant. */
export function refuseForeign<T extends KubeObject>(
  { caches }: Cluster,
  resource: Resource<T>,
  object: T | undefined,
  grantUid: string,
): void {
  if (!object || isMadeFor(caches, object, grantUid)) return;
  throw new ForeignObjectError(
    `${named(resource, object)} was not made by hallpass`,
    'whoever made it should delete it',
  );
}

/** Lets an object go, also one that waits for what somebody else made depend on it: a Job in that state takes no new binding down. */
export async function letGo<T extends KubeObject>(
  { client }: Cluster,
  resource: Resource<T>,
  { metadata }: T,
): Promise<void> {
  try {
    await client.delete(resource, metadata, { uid: metadata.uid, propagationPolicy: 'Background' });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

function refuseTerminating<T extends KubeObject>(resource: Resource<T>, object: T): void {
  const { deletionTimestamp, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined) return;
  throw new ForeignObjectError(
    `${named(resource, object)} is being deleted and kept by finalizers of others (${finalizers.join(', ')})`,
    'whoever set them should take them off',
  );
}

function named<T extends KubeObject>(resource: Resource<T>, { metadata: { namespace, name } }: T): string {
  return `${resourceName(resource)} ${name}${namespace ? ` in namespace ${namespace}` : ''}`;
}
