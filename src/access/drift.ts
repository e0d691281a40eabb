// Whether what gives a grant's access is still as hallpass made it.

import { grantLabels, LABELS, serviceAccountName } from '../api/names.ts';
import type { Job, RoleBinding } from '../kube/kinds.ts';
import type { KubeObject } from '../kube/object.ts';
import type { GrantKey } from './grant-objects.ts';

/** Whether an object was made for this very grant; one that only has the name is somebody else's. */
export function isOfGrant(object: { metadata: { labels?: Record<string, string> | undefined } }, uid: string): boolean {
  return object.metadata.labels?.[LABELS.grant] === uid;
}

/** Whether an object still carries every label that hallpass gave it. Others' beside them don't matter. */
export function isLabelled({ metadata }: KubeObject, grant: GrantKey): boolean {
  return Object.entries(grantLabels(grant)).every(([label, value]) => metadata.labels?.[label] === value);
}

/**
 * Whether a Job will take down what it owns when its deadline passes. One that is being deleted has done so already, and takes
 * nothing down once more. Whether it is suspended is for others to say.
 */
export function isArmed({ metadata, spec }: Job): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    spec.parallelism === 0 &&
    spec.ttlSecondsAfterFinished === 0 &&
    spec.activeDeadlineSeconds !== undefined
  );
}

/** Whether a binding goes when the Job does: nothing else owns it, and nobody's finalizer keeps it. */
export function isOwnedBy({ metadata }: RoleBinding, job: Pick<Job, 'metadata'>): boolean {
  const [owner, ...more] = metadata.ownerReferences ?? [];
  const held = metadata.deletionTimestamp !== undefined || (metadata.finalizers ?? []).length > 0;
  return !held && more.length === 0 && owner?.kind === 'Job' && owner.uid === job.metadata.uid;
}

/** Whether a binding gives its own Role to this agent and to nobody else, and goes when the Job does. */
export function isBound(
  binding: RoleBinding,
  job: Pick<Job, 'metadata'>,
  agent: { namespace: string; name: string },
): boolean {
  return hasOwnRole(binding) && namesOnly(binding, agent) && isOwnedBy(binding, job);
}

/** Whether a binding binds the Role of its own name. A binding's roleRef can't be changed, only made anew. */
export function hasOwnRole({ metadata, roleRef }: RoleBinding): boolean {
  return roleRef.kind === 'Role' && roleRef.name === metadata.name;
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
