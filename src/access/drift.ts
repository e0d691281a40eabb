// Whether what gives a grant's access is still as hallpass made it.

import { grantLabels, SYSTEM_NAMESPACE, serviceAccountName } from '../api/names.ts';
import type { CronJob, Job, RoleBinding, Service } from '../kube/kinds.ts';
import type { KubeObject, ObjectMeta } from '../kube/object.ts';
import type { GrantKey } from './grant-objects.ts';

/** Whether these objects still carry every label that hallpass gave them. Others' beside them don't matter. */
export function areLabelled(objects: KubeObject[], grant: GrantKey): boolean {
  const labels = Object.entries(grantLabels(grant));
  return objects.every(({ metadata }) => labels.every(([label, value]) => metadata.labels?.[label] === value));
}

/**
 * Whether a Job will take down what it owns when its deadline passes. One that is being deleted has done so already, and takes
 * nothing down once more. Whether it is suspended is for others to say. `reaper`: the CronJob that is to delete it, for the whole
 * cluster.
 */
export function isArmed({ metadata, spec }: Job, reaper?: { uid: string }): boolean {
  const { deletionTimestamp, ownerReferences = [] } = metadata;
  if (deletionTimestamp !== undefined || spec.parallelism !== 0 || spec.activeDeadlineSeconds === undefined)
    return false;
  const [owner, ...more] = ownerReferences.filter(({ controller }) => controller);
  const reaped = more.length === 0 && owner?.kind === 'CronJob' && spec.ttlSecondsAfterFinished === undefined;
  if (reaper) return reaped && owner.uid === reaper.uid;
  // One in hallpass's own namespace may serve that one and the whole cluster.
  return spec.ttlSecondsAfterFinished === 0 || (reaped && metadata.namespace === SYSTEM_NAMESPACE);
}

/** Whether a CronJob deletes, as soon as they have failed, the Jobs that name it as their controller. */
export function isReaper({ metadata, spec }: CronJob): boolean {
  return metadata.deletionTimestamp === undefined && spec.failedJobsHistoryLimit === 0;
}

/**
 * The dead man of a binding: its Job and, for a ClusterRoleBinding, the Service that joins them. The uid of that one's IPAddress
 * need not be known: when it is another than the binding names, the garbage collector takes the binding at once. Without a Job:
 * one that the policies do without.
 */
export type DeadMan = { job?: Pick<Job, 'metadata'> | undefined; service?: Service | undefined };

/** Whether a binding goes when the Job does, or where there is none stays: nothing else owns it, and nobody's finalizer keeps it. */
export function isOwnedBy({ metadata }: RoleBinding, { job, service }: DeadMan): boolean {
  const { ownerReferences = [], namespace } = metadata;
  if (isHeld(metadata)) return false;
  if (!job) return ownerReferences.length === 0;
  if (ownerReferences.length !== 1) return false;
  if (namespace !== undefined) return isSoleOwner(metadata, job);
  const [owner] = ownerReferences;
  return (
    service !== undefined && isJoined(service, job) && owner?.kind === 'IPAddress' && owner.name === addressOf(service)
  );
}

/** Whether the Service goes when the Job does, and has an address that goes with it. */
export function isJoined(service: Service, job: Pick<Job, 'metadata'>): boolean {
  return !isHeld(service.metadata) && isSoleOwner(service.metadata, job) && addressOf(service) !== undefined;
}

/** The address of a Service, which is the name of its IPAddress; undefined where it has none. */
export function addressOf({ spec }: Service): string | undefined {
  return spec.clusterIP === '' || spec.clusterIP === 'None' ? undefined : spec.clusterIP;
}

function isHeld({ deletionTimestamp, finalizers = [] }: ObjectMeta): boolean {
  return deletionTimestamp !== undefined || finalizers.length > 0;
}

function isSoleOwner({ ownerReferences = [] }: ObjectMeta, job: Pick<Job, 'metadata'>): boolean {
  const [owner, ...more] = ownerReferences;
  return more.length === 0 && owner?.kind === 'Job' && owner.uid === job.metadata.uid;
}

/** Whether a binding gives its own Role to this agent and to nobody else, and goes when the Job does. */
export function isBound(binding: RoleBinding, deadMan: DeadMan, agent: { namespace: string; name: string }): boolean {
  return hasOwnRole(binding) && namesOnly(binding, agent) && isOwnedBy(binding, deadMan);
}

/** Whether a binding binds the Role or ClusterRole of its own name. A binding's roleRef can't be changed, only made anew. */
export function hasOwnRole({ metadata, roleRef }: RoleBinding): boolean {
  const kind = metadata.namespace === undefined ? 'ClusterRole' : 'Role';
  return roleRef.kind === kind && roleRef.name === metadata.name;
}

/** Whether a binding names this agent and nobody else. */
export function namesOnly({ subjects }: RoleBinding, agent: { namespace: string; name: string }): boolean {
  const [subject, ...more] = subjects ?? [];
  return (
    more.length === 0 &&
    subject?.kind === 'ServiceAccount' &&
    subject.name === serviceAccountName(agent.name) &&
    subject.namespace === agent.namespace
  );
}

/** The places that an object may stand for: a dead man in hallpass's own namespace that one, the whole cluster, or both. */
export function placesOfObject(kind: string, namespace: string | undefined): (string | undefined)[] {
  if (kind === 'Service') return [undefined];
  return kind === 'Job' && namespace === SYSTEM_NAMESPACE ? [namespace, undefined] : [namespace];
}
