// What every Kubernetes object has in common: its metadata, how it is named, and what a kind looks like to the client.
import { z } from 'zod';

// A reference from a dependent object to its owner, for the garbage collector.
const ownerReferenceSchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

const strings = z.record(z.string(), z.string());

/**
 * The metadata that is kept of every object. `managedFields`, which is often half of an object and which nobody here
 * reads, is dropped. The API server keeps the stored ones when an update comes without.
 */
export const objectMetaSchema = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string(),
  // Empty in the answer to a dry run of a creation.
  resourceVersion: z.string().default(''),
  generation: z.number().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: strings.optional(),
  annotations: strings.optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z.array(ownerReferenceSchema).optional(),
});

/** What is kept of an object's metadata. */
export type ObjectMeta = z.infer<typeof objectMetaSchema>;

/** The least that an object read from the API server has. */
export type KubeObject = { metadata: ObjectMeta };

/** Names an object of a known kind; without a namespace it is cluster-scoped. */
export type ObjectRef = { namespace?: string; name: string };

/** A kind as the client needs to know it: where it is served, and how an answer is parsed. */
export type Resource<T extends KubeObject> = {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  parse: (value: unknown) => T;
};

/** An object as it is sent to be created: the API server adds what is missing from its metadata. */
export type NewObject<T extends KubeObject> = Omit<T, 'metadata' | 'status'> & {
  metadata: Pick<ObjectMeta, 'name'> & Partial<ObjectMeta>;
};

/** `namespace/name`, or `name` for a cluster-scoped object: the key of caches and queues. */
export function keyOf(ref: ObjectRef): string {
  return ref.namespace ? `${ref.namespace}/${ref.name}` : ref.name;
}

/** The reverse of {@link keyOf}. Neither namespaces nor names hold a slash. */
export function refOf(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** `v1` or `group/v1`, as objects carry it. */
export function apiVersionOf(resource: { group: string; version: string }): string {
  return resource.group ? `${resource.group}/${resource.version}` : resource.version;
}

/** `roles.rbac.authorization.k8s.io`, as people and `kubectl` name a resource. */
export function resourceName(resource: { group: string; plural: string }): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

/**
 * Whether one resourceVersion came after another. Those of one kind are comparable: whole numbers without leading zeros,
 * as Kubernetes guarantees since 1.35 (KEP-5504). None is before every other.
 */
export function isLaterVersion(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}
