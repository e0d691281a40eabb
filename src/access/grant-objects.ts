// What gives one grant's access in one place: a Role and a RoleBinding in a namespace, a ClusterRole and a ClusterRoleBinding in
// the whole cluster; and the Job that takes the binding down when hallpass can't.

import type { V1Job } from '@kubernetes/client-node';
import { grantLabels, grantObjectName, LABELS, SYSTEM_NAMESPACE, serviceAccountName } from '../api/names.ts';

/** A rule as RBAC stores it. */
export type Rule = {
  verbs: string[];
  apiGroups?: string[] | undefined;
  resources?: string[] | undefined;
  resourceNames?: string[] | undefined;
  nonResourceURLs?: string[] | undefined;
};

export type GrantKey = { namespace: string; name: string; uid: string };

type Metadata = { name: string; namespace: string | undefined; labels: Record<string, string> };

/** An object as an owner: what it owns goes when it does. */
export type Owner = { apiVersion: string; kind: string; name: string; uid: string };

/**
 * How long after a grant's end its Job fires, in milliseconds: late enough that a living hallpass has withdrawn the access long
 * before, early enough that a dead one is not missed.
 */
export const DEAD_MAN_SLACK = 5_000;

/** A Job that started later than planned fires later; its deadline is corrected when it is off by more than this. */
const DEADLINE_TOLERANCE = 2_000;

/** Name and labels of a grant's objects, alike in each namespace; without one, of what is in none. */
export function grantMetadata(grant: GrantKey, namespace: string | undefined): Metadata {
  return { name: grantObjectName(grant.uid), namespace, labels: grantLabels(grant) };
}

/** The Role, or without a namespace the ClusterRole. */
export function renderRole(grant: GrantKey, namespace: string | undefined, rules: Rule[]) {
  return { metadata: grantMetadata(grant, namespace), rules };
}

/**
 * The binding as it is created: owned by what goes when the Job does, if there is one, and naming nobody yet. The agent is added
 * under the uid of this binding, which no leader that was overtaken can do to another's.
 */
export function renderBinding(grant: GrantKey, namespace: string | undefined, owner: Owner | undefined) {
  const metadata = grantMetadata(grant, namespace);
  const kind = namespace === undefined ? 'ClusterRole' : 'Role';
  return {
    metadata: { ...metadata, ownerReferences: owner ? [ownedBy(owner)] : [] },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: metadata.name },
    subjects: [],
  };
}

/** A Job as the owner of a binding in its namespace. */
export function jobAsOwner({ name, uid }: { name: string; uid: string }): Owner {
  return { apiVersion: 'batch/v1', kind: 'Job', name, uid };
}

/** The IPAddress of a Service as the owner of a ClusterRoleBinding. */
export function addressAsOwner({ name, uid }: { name: string; uid: string }): Owner {
  return { apiVersion: 'networking.k8s.io/v1', kind: 'IPAddress', name, uid };
}

function ownedBy(owner: Owner) {
  return { ...owner, controller: false, blockOwnerDeletion: false };
}

/**
 * What joins a ClusterRoleBinding to its Job. Nothing in a namespace can own what is in none; but a Service has an address, that
 * address is an IPAddress, which is in no namespace, and the API server removes it with the Service. So the Job owns this Service,
 * and its IPAddress owns the binding. It selects no pods, and nothing answers at its address.
 */
export function renderService(grant: GrantKey, job: { name: string; uid: string }) {
  return {
    metadata: { ...grantMetadata(grant, SYSTEM_NAMESPACE), ownerReferences: [ownedBy(jobAsOwner(job))] },
    spec: { type: 'ClusterIP', ipFamilyPolicy: 'SingleStack', ports: [{ port: 1, protocol: 'TCP' }] },
  };
}

/** Whom the binding names once access is given: the agent's own ServiceAccount. */
export function renderSubjects(identity: { namespace: string; name: string }) {
  return [{ kind: 'ServiceAccount', name: serviceAccountName(identity.name), namespace: identity.namespace }];
}

/**
 * The dead-man Job. It never runs a pod (parallelism 0). When its deadline passes, the Job controller ends it, the TTL controller
 * deletes it (or the controller of CronJobs, for a `reaper`), and the garbage collector deletes what it owns: all of them core
 * Kubernetes. Its template would
 * pass the restricted Pod Security Standard, since some admission policies judge templates.
 *
 * Its selector is our label instead of the generated one: the Job controller adopts every pod that the selector fits, and
 * ends no Job before the last of them has ended. A guard keeps pods with our label from being made.
 */
export function renderJob(
  grant: GrantKey,
  namespace: string,
  deadlineSeconds: number,
  image: string,
  reaper?: { name: string; uid: string },
) {
  return {
    metadata: { ...grantMetadata(grant, namespace), ...reapedBy(reaper).metadata },
    spec: {
      parallelism: 0,
      activeDeadlineSeconds: deadlineSeconds,
      ...reapedBy(reaper).spec,
      backoffLimit: 0,
      manualSelector: true,
      selector: { matchLabels: { [LABELS.grant]: grant.uid } },
      template: {
        metadata: { labels: grantLabels(grant) },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: 'none',
              image,
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              resources: {
                requests: { cpu: '1m', memory: '1Mi' },
                limits: { cpu: '1m', memory: '1Mi' },
              },
            },
          ],
        },
      },
    } satisfies V1Job['spec'],
  };
}

/**
 * What has a Job deleted once it has failed: the time to live or, where there is a `reaper`, the CronJob that keeps no failed Jobs.
 * The time to live deletes in the foreground, so that an object of anybody's that claims to depend on a Service of the Job would be
 * waited for; a CronJob deletes in the background.
 */
export function reapedBy(reaper?: { name: string; uid: string }) {
  if (!reaper) return { metadata: {}, spec: { ttlSecondsAfterFinished: 0 } };
  const { name, uid } = reaper;
  const owner = { apiVersion: 'batch/v1', kind: 'CronJob', name, uid, controller: true, blockOwnerDeletion: false };
  return { metadata: { ownerReferences: [owner] }, spec: {} };
}

/** The deadline of a Job, in whole seconds, that fires DEAD_MAN_SLACK after `end` when it starts at `start`. Never below 1. */
export function deadlineSeconds(end: number, start: number): number {
  return Math.max(1, Math.ceil((end + DEAD_MAN_SLACK - start) / 1000));
}

type StartedJob = {
  metadata: { creationTimestamp?: string | undefined };
  spec: { activeDeadlineSeconds?: number | undefined };
  status?: { startTime?: string | undefined; recordedAt?: string | undefined } | undefined;
};

/**
 * When a Job started, by the API server's clock as far as that tells: a start that the controller manager claims to lie before
 * the Job's creation, or after the start was stored, is its clock's fault, and its deadline counts by that same clock.
 */
function startOf({ metadata, status }: StartedJob): number | undefined {
  if (status?.startTime === undefined) return undefined;
  const start = Date.parse(status.startTime);
  const recorded = status.recordedAt === undefined ? start : Date.parse(status.recordedAt);
  const created = metadata.creationTimestamp === undefined ? start : Date.parse(metadata.creationTimestamp);
  return Math.max(created, Math.min(start, recorded));
}

/** The deadline that a Job should have instead of its own; undefined while its own will do. */
export function correctedDeadline(job: StartedJob, end: number): number | undefined {
  const start = startOf(job);
  if (start === undefined) return undefined;
  const fires = start + (job.spec.activeDeadlineSeconds ?? Infinity) * 1000;
  const due = end + DEAD_MAN_SLACK;
  // A deadline is in whole seconds and so is the start that it counts from.
  return fires > due + DEADLINE_TOLERANCE || fires < due - 1_000 ? deadlineSeconds(end, start) : undefined;
}

/** Whether two lists of rules are the same, field by field; an absent list and an empty one are. */
export function sameRules(a: Rule[], b: Rule[]): boolean {
  const lists = (rule: Rule) => [rule.verbs, rule.apiGroups, rule.resources, rule.resourceNames, rule.nonResourceURLs];
  return (
    a.length === b.length &&
    a.every((rule, at) => {
      const other = b[at];
      return other !== undefined && lists(rule).every((list, field) => sameList(list ?? [], lists(other)[field] ?? []));
    })
  );
}

function sameList(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}
