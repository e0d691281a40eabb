// Makes the dead man of a place: the Job and, for the whole cluster, the Service that joins it to the binding.

import { addressOf, isArmed, isJoined } from '../access/drift.ts';
import {
  addressAsOwner,
  correctedDeadline,
  deadlineSeconds,
  type GrantKey,
  jobAsOwner,
  type Owner,
  reapedBy,
  renderJob,
  renderService,
} from '../access/grant-objects.ts';
import { CLUSTER_DEAD_MAN, grantObjectName, SYSTEM_NAMESPACE } from '../api/names.ts';
import { ipAddresses, type Job, jobs, type Service, services } from '../kube/kinds.ts';
import type { Place } from '../policy/access.ts';
import type { Cluster } from './cluster.ts';
import { createOrGet, letGo, ownObject, refuseForeign } from './own-objects.ts';
import { deadManNamespace, reaperOf } from './places.ts';
import { DeadManRefusedError, deadManRefusable } from './refusable.ts';

/** What stands of a place's dead man. */
export type DeadMan = { job: Job; service?: Service | undefined };

export class DeadMen {
  readonly #cluster: Cluster;
  readonly #image: string;

  /** `image`: named by the Jobs, which never run it. */
  constructor(cluster: Cluster, image: string) {
    this.#cluster = cluster;
    this.#image = image;
  }

  /** The dead man of one place, armed: made now, or as it is. */
  async prepare(grant: GrantKey, place: Place, end: number): Promise<DeadMan> {
    const job = await this.#job(grant, place, end);
    return place === undefined ? { job, service: await this.#service(grant, job) } : { job };
  }

  /** What takes the binding along when the Job goes. */
  async owner({ job, service }: DeadMan): Promise<Owner> {
    if (!service) return jobAsOwner(job.metadata);
    const address = await this.#cluster.client.get(ipAddresses, { name: addressOf(service) ?? '' });
    return addressAsOwner(address.metadata);
  }

  /** Whether what isn't there yet would be taken, without making it; returns the Job as it is or would be. */
  async tryMaking(grant: GrantKey, place: Place): Promise<Job> {
    const { client, caches } = this.#cluster;
    const namespace = deadManNamespace(place);
    const ref = { namespace, name: grantObjectName(grant.uid) };
    const reaper = this.#reaper(place);
    const tryJob = () => client.create(jobs, renderJob(grant, namespace, 60, this.#image, reaper), { dryRun: true });
    const refusable = () => deadManRefusable('Job', namespace, tryJob);
    const job = caches.jobs.get(ref) ?? (await createOrGet(this.#cluster, jobs, ref, refusable));
    refuseForeign(this.#cluster, jobs, job, grant.uid);
    if (place !== undefined) return job;
    const tryService = () => client.create(services, renderService(grant, job.metadata), { dryRun: true });
    const known = caches.services.get(ref);
    const service =
      known ??
      (await createOrGet(this.#cluster, services, ref, () => deadManRefusable('Service', namespace, tryService)));
    refuseForeign(this.#cluster, services, service, grant.uid);
    return job;
  }

  #reaper(place: Place): { name: string; uid: string } | undefined {
    const reaper = reaperOf(this.#cluster.caches, place);
    if (place === undefined && !reaper) throw new Error(`CronJob ${CLUSTER_DEAD_MAN} went while access was given`);
    return reaper?.metadata;
  }

  async #job(grant: GrantKey, place: Place, end: number): Promise<Job> {
    const { client, caches, clock } = this.#cluster;
    const namespace = deadManNamespace(place);
    const reaper = this.#reaper(place);
    const ref = { namespace, name: grantObjectName(grant.uid) };
    const seconds = deadlineSeconds(end, clock.now().getTime());
    const found = await ownObject(this.#cluster, { resource: jobs, cache: caches.jobs }, ref, grant, () =>
      deadManRefusable('Job', namespace, () =>
        client.create(jobs, renderJob(grant, namespace, seconds, this.#image, reaper)),
      ),
    );
    const corrected = correctedDeadline(found, end);
    const armed = isArmed(found, reaper);
    if (armed && corrected === undefined) return found;
    const activeDeadlineSeconds = corrected ?? found.spec.activeDeadlineSeconds ?? seconds;
    const { metadata, spec } = reapedBy(reaper);
    // What is armed keeps its end as it is: it may be the whole cluster's and of this namespace.
    const ended = armed ? {} : { ttlSecondsAfterFinished: null, ...spec };
    const patch = {
      metadata: { uid: found.metadata.uid, ...(armed ? {} : metadata) },
      spec: { parallelism: 0, activeDeadlineSeconds, ...ended },
    };
    const job = await client.patch(jobs, ref, patch, { type: 'merge' });
    caches.jobs.observe(job);
    return job;
  }

  /** The Service of this very Job: one of a Job before it, or that was changed, is made anew, and its address with it. */
  async #service(grant: GrantKey, job: Job): Promise<Service> {
    const { client, caches } = this.#cluster;
    const kept = { resource: services, cache: caches.services };
    const ref = { namespace: SYSTEM_NAMESPACE, name: grantObjectName(grant.uid) };
    const create = () =>
      deadManRefusable('Service', SYSTEM_NAMESPACE, () => client.create(services, renderService(grant, job.metadata)));
    const found = await ownObject(this.#cluster, kept, ref, grant, create);
    if (isJoined(found, job)) return found;
    await letGo(this.#cluster, services, found);
    caches.services.forget(ref);
    const service = await ownObject(this.#cluster, kept, ref, grant, create);
    if (isJoined(service, job)) return service;
    throw new DeadManRefusedError(
      `the dead-man Service ${ref.name} in namespace ${SYSTEM_NAMESPACE} is not as it was made: its owner or its address is another`,
      'have whatever changes it leave Services named hallpass-* alone',
      [SYSTEM_NAMESPACE],
    );
  }
}
