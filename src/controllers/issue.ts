// Makes what gives a grant's access, in steps each of which is safe to die after:
//   receipt → per namespace a dead-man Job, a Role, a RoleBinding that names nobody → status → the agent in the binding.
// Putting back what was edited or deleted takes the same steps; what is there already is left as it is.

import { hasOwnRole, isArmed, isBound, isLabelled, isOwnedBy } from '../access/drift.ts';
import {
  correctedDeadline,
  deadlineSeconds,
  renderJob,
  renderRole,
  renderRoleBinding,
  renderSubjects,
  sameRules,
} from '../access/grant-objects.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantObjectName } from '../api/names.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { Cache } from '../kube/cache.ts';
import { ApiError, isAlreadyExists, isConflict, isNamespaceTerminating, isNotFound } from '../kube/client.ts';
import { type Job, jobs, type Role, type RoleBinding, roleBindings, roles } from '../kube/kinds.ts';
import { type KubeObject, type Resource, resourceName } from '../kube/object.ts';
import { requestedAccess } from '../policy/access.ts';
import { type Cluster, isMadeFor } from './cluster.ts';

/** Why something can't be made: a quota or an admission policy refuses the dead-man Job. */
export class DeadManRefusedError extends Error {}

/** Why something can't be made: an admission policy or the API server refuses the Role or the RoleBinding. */
export class AccessRefusedError extends Error {}

/** Why something can't be made: an object that isn't ours has its name. */
export class ForeignObjectError extends Error {}

/** What stands in one namespace. The binding may not name the agent yet. */
export type Placement = { namespace: string; job: Job; role: Role; binding: RoleBinding };

type Spec = NonNullable<ParsedReceipt['spec']>;

export class Issuer {
  readonly #cluster: Cluster;
  readonly #image: string;

  /** `image`: named by the dead-man Jobs, which never run it. */
  constructor(cluster: Cluster, image: string) {
    this.#cluster = cluster;
    this.#image = image;
  }

  /** Job, Role and a binding in every namespace of the receipt; none of them gives anything that wasn't given before. */
  async prepare(spec: Spec): Promise<Placement[]> {
    return whole(spec.access.map((entry) => this.#prepareNamespace(spec, entry)));
  }

  /** Puts the agent, and nobody else, into the bindings, each under its uid and resourceVersion. */
  async bind(spec: Spec, placements: Placement[]): Promise<Placement[]> {
    const agent = { namespace: spec.grant.namespace, name: spec.agent.name };
    return whole(
      placements.map(async (placement) => {
        if (isBound(placement.binding, placement.job, agent)) return placement;
        const { client, caches } = this.#cluster;
        const wanted = { ...placement.binding, subjects: renderSubjects(agent) };
        const binding = await accessRefusable(() => client.replace(roleBindings, wanted));
        caches.roleBindings.observe(binding);
        return { ...placement, binding };
      }),
    );
  }

  /** Whether what isn't there yet would be taken, without making it. Throws what making it would: the three errors above. */
  async tryMaking(grant: ParsedGrant): Promise<void> {
    const { client, caches } = this.#cluster;
    const { namespace: home = '', name, uid } = grant.metadata;
    const key = { namespace: home, name, uid };
    const agent = { namespace: home, name: grant.spec?.agent ?? '' };
    for (const { namespace, rules } of requestedAccess(grant.spec?.permissions ?? [], home)) {
      const ref = { namespace, name: grantObjectName(uid) };
      const dryRun = () => client.create(jobs, renderJob(key, namespace, 60, this.#image), { dryRun: true });
      const job = caches.jobs.get(ref) ?? (await this.#createOrGet(jobs, ref, () => jobRefusable(namespace, dryRun)));
      this.#refuseForeign(jobs, job, uid);
      const tryRole = () => client.create(roles, renderRole(key, namespace, rules), { dryRun: true });
      const role = caches.roles.get(ref);
      this.#refuseForeign(roles, role ?? (await this.#createOrGet(roles, ref, () => accessRefusable(tryRole))), uid);
      const binding = caches.roleBindings.get(ref);
      this.#refuseForeign(roleBindings, binding, uid);
      // One that names a Role which isn't there is refused for that alone.
      if (binding || !role) continue;
      const wanted = { ...renderRoleBinding(key, namespace, job.metadata), subjects: renderSubjects(agent) };
      const tryBinding = () => client.create(roleBindings, wanted, { dryRun: true });
      await this.#createOrGet(roleBindings, ref, () => accessRefusable(tryBinding));
    }
  }

  async #prepareNamespace(spec: Spec, { namespace, rules }: Spec['access'][number]): Promise<Placement> {
    const making = [this.#job(spec, namespace), this.#role(spec, namespace, rules)] as const;
    await Promise.allSettled(making);
    const [job, role] = await Promise.all(making);
    const binding = await this.#binding(spec, namespace, job);
    return { namespace, job, role, binding };
  }

  async #job({ grant, expiresAt }: Spec, namespace: string): Promise<Job> {
    const { client, caches, clock } = this.#cluster;
    const end = Date.parse(expiresAt);
    const seconds = deadlineSeconds(end, clock.now().getTime());
    const found = await this.#own(jobs, caches.jobs, namespace, grant, () =>
      jobRefusable(namespace, () => client.create(jobs, renderJob(grant, namespace, seconds, this.#image))),
    );
    const corrected = correctedDeadline(found, end);
    if (isArmed(found) && corrected === undefined) return found;
    const activeDeadlineSeconds = corrected ?? found.spec.activeDeadlineSeconds ?? seconds;
    const patch = {
      metadata: { uid: found.metadata.uid },
      spec: { parallelism: 0, ttlSecondsAfterFinished: 0, activeDeadlineSeconds },
    };
    const job = await client.patch(jobs, { namespace, name: found.metadata.name }, patch, { type: 'merge' });
    caches.jobs.observe(job);
    return job;
  }

  async #role({ grant }: Spec, namespace: string, rules: Spec['access'][number]['rules']): Promise<Role> {
    const { client, caches } = this.#cluster;
    const wanted = renderRole(grant, namespace, rules);
    const create = () => accessRefusable(() => client.create(roles, wanted));
    const found = await this.#own(roles, caches.roles, namespace, grant, create);
    if (sameRules(found.rules, rules)) return found;
    const role = await accessRefusable(() => client.replace(roles, { ...found, rules: wanted.rules }));
    caches.roles.observe(role);
    return role;
  }

  async #binding({ grant, agent }: Spec, namespace: string, job: Job): Promise<RoleBinding> {
    const { client, caches } = this.#cluster;
    const wanted = renderRoleBinding(grant, namespace, { name: job.metadata.name, uid: job.metadata.uid });
    const create = () => accessRefusable(() => client.create(roleBindings, wanted));
    const found = await this.#own(roleBindings, caches.roleBindings, namespace, grant, create);
    if (isBound(found, job, { namespace: grant.namespace, name: agent.name })) return found;
    if (!hasOwnRole(found)) {
      const { uid } = found.metadata;
      await client.delete(roleBindings, found.metadata, { uid });
      caches.roleBindings.forget(found.metadata);
      return create();
    }
    // Whoever else it names loses it now; the agent comes back in when the status says so.
    if (isOwnedBy(found, job) && !found.subjects?.length) return found;
    const { ownerReferences } = wanted.metadata;
    const emptied = { ...found, metadata: { ...found.metadata, ownerReferences, finalizers: [] }, subjects: [] };
    const binding = await accessRefusable(() => client.replace(roleBindings, emptied));
    caches.roleBindings.observe(binding);
    return binding;
  }

  /** The grant's object of a kind, from the cache or made now. Throws ForeignObjectError when the name is somebody else's. */
  async #own<T extends KubeObject>(
    resource: Resource<T>,
    cache: Cache<T>,
    namespace: string,
    grant: Spec['grant'],
    create: () => Promise<T>,
  ): Promise<T> {
    const ref = { namespace, name: grantObjectName(grant.uid) };
    let found = cache.get(ref) ?? (await this.#createOrGet(resource, ref, create));
    this.#refuseForeign(resource, found, grant.uid);
    // What is being deleted takes nothing down, and the guards let nobody, hallpass included, put our label on what has none.
    if (found.metadata.deletionTimestamp !== undefined || !isLabelled(found, grant)) {
      await this.#finishDeletion(resource, found);
      cache.forget(ref);
      found = await this.#createOrGet(resource, ref, create);
      this.#refuseForeign(resource, found, grant.uid);
      refuseTerminating(resource, found);
    }
    cache.observe(found);
    return found;
  }

  /** Lets an object go, also one that waits for what somebody else made depend on it: a Job in that state takes no new binding down. */
  async #finishDeletion<T extends KubeObject>(resource: Resource<T>, { metadata }: T): Promise<void> {
    try {
      await this.#cluster.client.delete(resource, metadata, { uid: metadata.uid, propagationPolicy: 'Background' });
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  #refuseForeign<T extends KubeObject>(resource: Resource<T>, object: T | undefined, grantUid: string): void {
    if (!object || isMadeFor(this.#cluster.caches, object, grantUid)) return;
    const { namespace, name } = object.metadata;
    throw new ForeignObjectError(
      `${resourceName(resource)} ${name} in namespace ${namespace} was not made by hallpass; whoever made it should delete it`,
    );
  }

  async #createOrGet<T extends KubeObject>(
    resource: Resource<T>,
    ref: { namespace: string; name: string },
    create: () => Promise<T>,
  ): Promise<T> {
    try {
      return await create();
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      return this.#cluster.client.get(resource, ref);
    }
  }
}

function refuseTerminating<T extends KubeObject>(resource: Resource<T>, { metadata }: T): void {
  if (metadata.deletionTimestamp === undefined) return;
  const { namespace, name, finalizers = [] } = metadata;
  throw new ForeignObjectError(
    `${resourceName(resource)} ${name} in namespace ${namespace} is being deleted and kept by finalizers of others (${finalizers.join(', ')}); whoever set them should take them off`,
  );
}

/** Waits for all of them, also where one fails: what is still on its way would escape whoever then cleans up. */
async function whole<T>(making: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(making);
  return Promise.all(making);
}

/**
 * The objects of a list of placements as status lists them. Whoever may write in the namespace and knows a binding's uid can make
 * the garbage collector wait for an object of theirs before the binding goes, and RBAC counts a binding until it is gone.
 */
export function createdObjects(placements: Placement[]) {
  return placements.flatMap(({ namespace, job, role, binding }) =>
    [
      { kind: 'Job', name: job.metadata.name, uid: job.metadata.uid },
      { kind: 'Role', name: role.metadata.name, uid: role.metadata.uid },
      { kind: 'RoleBinding', name: binding.metadata.name },
    ].map((object) => ({ ...object, namespace })),
  );
}

/** Turns the refusal of a Job into an error of its own. */
async function jobRefusable<T>(namespace: string, create: () => Promise<T>): Promise<T> {
  try {
    return await create();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new DeadManRefusedError(
      `the dead-man Job, without which no access is given, was refused in namespace ${namespace}: ${error.message}; have the quota or admission policy let through Jobs named hallpass-*`,
    );
  }
}

/** The same for a Role or a RoleBinding. */
async function accessRefusable<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new AccessRefusedError(
      `what gives the access was refused: ${error.message}; have the admission policy let through Roles and RoleBindings named hallpass-*`,
    );
  }
}

/**
 * Whether quota, admission or the API server itself won't take an object, which others must mend. RBAC's refusal is none:
 * that is a namespace which is not enabled any more, and the caches will say so.
 */
function isRefusal(error: unknown): error is ApiError {
  if (!(error instanceof ApiError) || ![400, 403, 422].includes(error.status)) return false;
  return !isAlreadyExists(error) && !isRightMissing(error) && !isNamespaceTerminating(error);
}

function isRightMissing(error: ApiError): boolean {
  return error.status === 403 && /cannot (create|update|patch) resource/.test(error.message);
}
