// Rights that an agent has from bindings that hallpass did not make. hallpass can't take them away, so it reports them.

import { grantUidOfBinding, serviceAccountName, serviceAccountUser } from '../api/names.ts';
import { STATUS_LIMITS } from '../api/status.ts';
import { printable } from '../text.ts';

type Binding = {
  metadata: { name: string; namespace?: string | undefined; labels?: Record<string, string> | undefined };
  roleRef: { kind: string; name: string };
  subjects?: Subject[] | undefined;
};

type Subject = { kind: string; name: string; namespace?: string | undefined };

/** One binding that gives an agent something, as the identity's status lists it. */
export type StandingAccess = {
  binding: 'RoleBinding' | 'ClusterRoleBinding';
  namespace?: string;
  name: string;
  role: string;
  subject: string;
};

/**
 * What Kubernetes itself gives to everybody who is authenticated (discovery, asking about oneself). An agent without
 * these would be no client at all, so they are no news. Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
 */
const EVERYBODYS: ReadonlySet<string> = new Set([
  'system:basic-user',
  'system:discovery',
  'system:public-info-viewer',
  'system:service-account-issuer-discovery',
  'system:cluster-trust-bundle-discovery',
]);

/** A subject as a key of an index of bindings, such as `Group system:authenticated`. */
export function subjectKey(subject: Subject): string {
  const namespace = subject.kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/` : '';
  return `${subject.kind} ${namespace}${subject.name}`;
}

/** Every subject that is, or includes, the agent: its ServiceAccount under both names, and the groups it is in. */
export function subjectKeysOf(identity: { namespace: string; name: string }): string[] {
  return [
    subjectKey({ kind: 'ServiceAccount', namespace: identity.namespace, name: serviceAccountName(identity.name) }),
    subjectKey({ kind: 'User', name: serviceAccountUser(identity.namespace, identity.name) }),
    subjectKey({ kind: 'Group', name: `system:serviceaccounts:${identity.namespace}` }),
    ...GROUPS_OF_ALL.map((name) => subjectKey({ kind: 'Group', name })),
  ];
}

/** Groups that every ServiceAccount is in. */
export const GROUPS_OF_ALL = ['system:serviceaccounts', 'system:authenticated'];

/** Which of these bindings give the agent something beside its grants and what everybody has; sorted. */
export function standingAccess(
  identity: { namespace: string; name: string },
  bindings: Iterable<Binding>,
): StandingAccess[] {
  const keys = new Set(subjectKeysOf(identity));
  const found: StandingAccess[] = [];
  for (const { metadata, roleRef, subjects } of bindings) {
    // Bindings of a grant are the grant controller's to judge: what has no living grant is removed, not reported.
    if (grantUidOfBinding({ metadata, roleRef, subjects }) !== undefined || isEverybodys(metadata, roleRef)) continue;
    const subject = subjects?.map(subjectKey).find((key) => keys.has(key));
    if (subject === undefined) continue;
    const { namespace, name } = metadata;
    const binding = namespace ? 'RoleBinding' : 'ClusterRoleBinding';
    found.push({
      binding,
      ...(namespace ? { namespace } : {}),
      // RBAC takes almost anything for a name, and this is for a status.
      name: printable(name, STATUS_LIMITS.name),
      role: printable(`${roleRef.kind}/${roleRef.name}`, STATUS_LIMITS.name),
      subject,
    });
  }
  return found.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

function isEverybodys(metadata: Binding['metadata'], roleRef: Binding['roleRef']): boolean {
  return !metadata.namespace && EVERYBODYS.has(metadata.name) && roleRef.name === metadata.name;
}

function sortKey(entry: StandingAccess): string {
  return `${entry.namespace ?? ''}/${entry.name}`;
}
