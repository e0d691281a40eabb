// Makes what gives a grant's access, in steps each of which is safe to die after:
//   receipt → per place a dead man, a Role, a binding that names nobody → status → the agent in the binding.
// Where a dead man is refused that the policies do without, it is left out.
// Putting back what was edited or deleted takes the same steps; what is there already is left as it is.

import { hasOwnRole, isBound, isOwnedBy } from '../access/drift.ts';
import { jobAsOwner, renderBinding, renderRole, renderSubjects, sameRules } from '../access/grant-objects.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { grantObjectName } from '../api/names.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { Role, RoleBinding } from '../kube/kinds.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Place, requestedAccess } from '../policy/access.ts';
import type { Cluster } from './cluster.ts';
import type { DeadMan, DeadMen } from './dead-man.ts';
import { createOrGet, ownObject, refuseForeign } from './own-objects.ts';
import { accessKinds } from './places.ts';
import { accessRefusable, DeadManRefusedError, refusedTogether } from './refusable.ts';

/** What stands in one place. The binding may not name the agent yet; without a Job, nothing but hallpass takes it down. */
export type Placement = Partial<DeadMan> & { namespace?: Place; role: Role; binding: RoleBinding };

type Spec = NonNullable<ParsedReceipt['spec']>;

export class Issuer {
  readonly #cluster: Cluster;
  readonly #deadMen: DeadMen;

  constructor(cluster: Cluster, deadMen: DeadMen) {
    this.#cluster = cluster;
    this.#deadMen = deadMen;
  }

  /**
   * Dead man, Role and a binding in every place of the receipt; none of them gives anything that wasn't given before. `without`:
   * namespaces that need no dead man where it is refused. Throws what else is refused, of dead men all at once.
   */
  async prepare(spec: Spec, without: readonly string[]): Promise<Placement[]> {
    const refused: DeadManRefusedError[] = [];
    try {
      return await whole(spec.access.map((entry) => this.#preparePlace(spec, entry, { without, refused })));
    } catch (error) {
      throw error instanceof DeadManRefusedError ? refusedTogether(refused) : error;
    }
  }

  /** Puts the agent, and nobody else, into the bindings, each under its uid and resourceVersion. */
  async bind(spec: Spec, placements: Placement[]): Promise<Placement[]> {
    const agent = { namespace: spec.grant.namespace, name: spec.agent.name };
    return whole(
      placements.map(async (placement) => {
        if (isBound(placement.binding, placement, agent)) return placement;
        const { client, caches } = this.#cluster;
        const { resource, cache } = accessKinds(caches, placement.namespace).binding;
        const wanted = { ...placement.binding, subjects: renderSubjects(agent) };
        const binding = await accessRefusable(() => client.replace(resource, wanted));
        cache.observe(binding);
        return { ...placement, binding };
      }),
    );
  }

  /** Whether what isn't there yet would be taken, without making it. Throws what making it would, as in refusable.ts. */
  async tryMaking(grant: ParsedGrant): Promise<void> {
    const { client, caches } = this.#cluster;
    const { namespace: home = '', name, uid } = grant.metadata;
    const key = { namespace: home, name, uid };
    const agent = { namespace: home, name: grant.spec?.agent ?? '' };
    const refused: DeadManRefusedError[] = [];
    for (const { namespace, rules } of requestedAccess(grant.spec?.permissions ?? [], home)) {
      const ref = { namespace, name: grantObjectName(uid) };
      const kinds = accessKinds(caches, namespace);
      const job = await unlessRefused(this.#deadMen.tryMaking(key, namespace), refused);
      const { resource: roles } = kinds.role;
      const tryRole = () => client.create(roles, renderRole(key, namespace, rules), { dryRun: true });
      const role = kinds.role.cache.get(ref);
      const tried = role ?? (await createOrGet(this.#cluster, roles, ref, () => accessRefusable(tryRole)));
      refuseForeign(this.#cluster, roles, tried, uid);
      const { resource: bindings } = kinds.binding;
      const binding = kinds.binding.cache.get(ref);
      refuseForeign(this.#cluster, bindings, binding, uid);
      // One that names a Role which isn't there is refused for that alone.
      if (binding || !role) continue;
      // Who would own it doesn't matter: nothing is made.
      const owner = job && jobAsOwner(job.metadata);
      const wanted = { ...renderBinding(key, namespace, owner), subjects: renderSubjects(agent) };
      const tryBinding = () => client.create(bindings, wanted, { dryRun: true });
      await createOrGet(this.#cluster, bindings, ref, () => accessRefusable(tryBinding));
    }
    if (refused.length > 0) throw refusedTogether(refused);
  }

  async #preparePlace(
    spec: Spec,
    { namespace, rules }: Spec['access'][number],
    { without, refused }: { without: readonly string[]; refused: DeadManRefusedError[] },
  ): Promise<Placement> {
    const deadMan = unlessRefused(this.#deadMen.prepare(spec.grant, namespace, Date.parse(spec.expiresAt)), refused);
    const making = [deadMan, this.#role(spec, namespace, rules)] as const;
    await Promise.allSettled(making);
    const [made, role] = await Promise.all(making);
    if (!made && !without.includes(namespace ?? '')) throw refusedTogether(refused);
    const binding = await this.#binding(spec, namespace, made);
    return { namespace, ...made, role, binding };
  }

  async #role({ grant }: Spec, namespace: Place, rules: Spec['access'][number]['rules']): Promise<Role> {
    const { client, caches } = this.#cluster;
    const kept = accessKinds(caches, namespace).role;
    const ref = { namespace, name: grantObjectName(grant.uid) };
    const wanted = renderRole(grant, namespace, rules);
    const create = () => accessRefusable(() => client.create(kept.resource, wanted));
    const found = await ownObject(this.#cluster, kept, ref, grant, create);
    if (sameRules(found.rules, rules)) return found;
    const role = await accessRefusable(() => client.replace(kept.resource, { ...found, rules: wanted.rules }));
    kept.cache.observe(role);
    return role;
  }

  async #binding({ grant, agent }: Spec, namespace: Place, made: DeadMan | undefined): Promise<RoleBinding> {
    const { client, caches } = this.#cluster;
    const kept = accessKinds(caches, namespace).binding;
    const ref = { namespace, name: grantObjectName(grant.uid) };
    const deadMan = made ?? {};
    const wanted = async () => renderBinding(grant, namespace, made && (await this.#deadMen.owner(made)));
    const create = async () => {
      const binding = await wanted();
      return accessRefusable(() => client.create(kept.resource, binding));
    };
    const found = await ownObject(this.#cluster, kept, ref, grant, create);
    const named = { namespace: grant.namespace, name: agent.name };
    if (isBound(found, deadMan, named)) return found;
    if (!hasOwnRole(found)) {
      const { uid } = found.metadata;
      await client.delete(kept.resource, found.metadata, { uid });
      kept.cache.forget(found.metadata);
      return create();
    }
    if (isOwnedBy(found, deadMan) && !found.subjects?.length) return found;
    const { ownerReferences } = (await wanted()).metadata;
    // Whoever else it names loses it now; the agent comes back in when the status says so. Of what was given without a dead man
    // it need not go when one is made.
    const subjects = isBound(found, {}, named) ? found.subjects : [];
    const righted = { ...found, metadata: { ...found.metadata, ownerReferences, finalizers: [] }, subjects };
    const binding = await accessRefusable(() => client.replace(kept.resource, righted));
    kept.cache.observe(binding);
    return binding;
  }
}

/** What is being made; undefined where it is refused, which `refused` then has. */
async function unlessRefused<T>(making: Promise<T>, refused: DeadManRefusedError[]): Promise<T | undefined> {
  try {
    return await making;
  } catch (error) {
    if (!(error instanceof DeadManRefusedError)) throw error;
    refused.push(error);
    return undefined;
  }
}

/** Waits for all of them, also where one fails: what is still on its way would escape whoever then cleans up. */
async function whole<T>(making: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(making);
  return Promise.all(making);
}

/**
 * The objects of a list of placements as status lists them. Whoever may write in a namespace and knows the uid of a binding, or of
 * the Service that one rests on, can make the garbage collector wait for an object of theirs before it goes, and RBAC counts a
 * binding until it is gone: those go without their uids.
 */
export function createdObjects(placements: Placement[]) {
  return placements.flatMap(({ job, service, role, binding }) => {
    const ofCluster = service !== undefined;
    return [
      ...(job ? [{ kind: 'Job', ...named(job), uid: job.metadata.uid }] : []),
      ...(service ? [{ kind: 'Service', ...named(service) }] : []),
      { kind: ofCluster ? 'ClusterRole' : 'Role', ...named(role), uid: role.metadata.uid },
      { kind: ofCluster ? 'ClusterRoleBinding' : 'RoleBinding', ...named(binding) },
    ];
  });
}

function named({ metadata: { name, namespace } }: KubeObject) {
  return { namespace, name };
}
