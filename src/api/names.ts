// Every name, label and annotation that hallpass derives or reserves, each written once.

export const GROUP = 'hallpass.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

/** The one namespace that holds the operator, its Lease and every AgentReceipt. */
export const SYSTEM_NAMESPACE = 'hallpass-system';
export const OPERATOR_SERVICE_ACCOUNT = 'hallpass';
export const OPERATOR_USER = `system:serviceaccount:${SYSTEM_NAMESPACE}:${OPERATOR_SERVICE_ACCOUNT}`;
/** The leader's Lease, in the system namespace. */
export const LEASE_NAME = 'hallpass';
/** Set by admission on identities and grants when they are created; hallpass removes it once nothing of theirs is left. */
export const FINALIZER = 'hallpass.dev/cleanup';

/** ClusterRole that an admin aggregates: the most that a grant can hand out in a namespace bound to it. */
export const GRANTABLE_ROLE = 'hallpass-grantable';
/** ClusterRole of what hallpass itself needs to issue in a namespace. */
export const ISSUER_ROLE = 'hallpass-issuer';

/** ClusterRole that an admin aggregates: the most that a grant can hand out in the whole cluster, where bound for the cluster. */
export const GRANTABLE_CLUSTER_ROLE = 'hallpass-grantable-cluster';
/** ClusterRole of what hallpass itself needs to issue in the whole cluster. */
export const CLUSTER_ISSUER_ROLE = 'hallpass-cluster-issuer';
/** In hallpass's own namespace: the CronJob that deletes the dead-man Jobs of the whole cluster, and the role to make those. */
export const CLUSTER_DEAD_MAN = 'hallpass-cluster-dead-man';

/** Longest name of an identity or a grant: derived names and label values must fit into 63 characters. */
export const NAME_LIMIT = 52;

/** Labels, by what they say. */
export const LABELS = {
  /** On everything that hallpass made; its value is `MANAGED_BY`. */
  managedBy: 'app.kubernetes.io/managed-by',
  /** On an agent's ServiceAccount: the uid of its AgentIdentity. */
  identityUid: 'hallpass.dev/identity-uid',
  /** On whatever gives a grant's access: the uid of that grant. */
  grant: 'hallpass.dev/grant',
  grantNamespace: 'hallpass.dev/grant-namespace',
  grantName: 'hallpass.dev/grant-name',
  /** On a pod, by its owner: the AgentIdentity, in the pod's namespace, that the pod acts as. */
  agent: 'hallpass.dev/agent',
  /** On a namespace, by an admin: how sensitive its data is (see sensitivity.ts). */
  dataSensitivity: 'hallpass.dev/data-sensitivity',
  /** On a ClusterRole, by an admin, with value "true": its rules are added to the ceiling. */
  aggregateToGrantable: 'hallpass.dev/aggregate-to-grantable',
  /** The same for the ceiling of what holds in the whole cluster. */
  aggregateToGrantableCluster: 'hallpass.dev/aggregate-to-grantable-cluster',
} as const;
export const MANAGED_BY = 'hallpass';

export const ANNOTATIONS = {
  /** On a namespace, by whoever owns it: comma-separated namespaces whose grants may reach into it. */
  acceptsGrantsFrom: 'hallpass.dev/accepts-grants-from',
  /** On each guard (admission policy or binding): the version of the rules that it holds. */
  guardsVersion: 'hallpass.dev/guards-version',
} as const;
export const GUARDS_VERSION = '1';

const PREFIX = 'hallpass-';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Name of the ServiceAccount that the agent of this name runs as, in the identity's namespace. */
export function serviceAccountName(identity: string): string {
  return PREFIX + identity;
}

/** User name under which the API server knows that ServiceAccount. */
export function serviceAccountUser(namespace: string, identity: string): string {
  return `system:serviceaccount:${namespace}:${serviceAccountName(identity)}`;
}

/** The ServiceAccount that a user name is of; undefined when it is of none. */
export function serviceAccountOf(username: string): { namespace: string; name: string } | undefined {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

/** Whether a user name is that of an agent's ServiceAccount, in any namespace. */
export function isAgentUser(username: string): boolean {
  return /^system:serviceaccount:[^:]+:hallpass-/.test(username);
}

/** Name of everything that gives the access of the grant with this uid, the same wherever it reaches. */
export function grantObjectName(uid: string): string {
  return PREFIX + uid;
}

/** The uid of the grant that an object of this name belongs to; undefined when the name is none of ours. */
export function grantUidOf(name: string): string | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  const uid = name.slice(PREFIX.length);
  return UUID.test(uid) ? uid : undefined;
}

/** Whether an object was made for this very grant; one that only has the name is somebody else's. */
export function isOfGrant(object: { metadata: { labels?: Record<string, string> | undefined } }, uid: string): boolean {
  return object.metadata.labels?.[LABELS.grant] === uid;
}

/** The uid of the grant that an object was surely made for: by its label and its name, since a label alone is easily copied. */
export function grantUidOfObject({
  name,
  labels,
}: {
  name: string;
  labels?: Record<string, string>;
}): string | undefined {
  const uid = grantUidOf(name);
  return uid !== undefined && isOfGrant({ metadata: { labels } }, uid) ? uid : undefined;
}

/** The uid of the grant whose label an object has that is not its own, by its name. */
export function copiedGrantUid({
  name,
  labels,
}: {
  name: string;
  labels?: Record<string, string>;
}): string | undefined {
  const uid = labels?.[LABELS.grant];
  return uid === grantUidOf(name) ? undefined : uid;
}

type Binding = {
  metadata: { name: string; labels?: Record<string, string> | undefined };
  roleRef: { kind: string; name: string };
  subjects?: { kind: string; name: string }[] | undefined;
};

/**
 * The uid of the grant that a binding is of, or poses as: by its name, when it carries the label, names an agent or binds the
 * Role or ClusterRole of that name. Labels can be taken off while a guard is away; what it gives stays.
 */
export function grantUidOfBinding({ metadata, roleRef, subjects }: Binding): string | undefined {
  const uid = grantUidOf(metadata.name);
  if (uid === undefined || isOfGrant({ metadata }, uid)) return uid;
  return roleRef.name === metadata.name || subjects?.some(isAgent) ? uid : undefined;
}

/** Whether a subject of a binding is the ServiceAccount of an agent, under either of its names. */
function isAgent({ kind, name }: { kind: string; name: string }): boolean {
  if (kind === 'ServiceAccount') return name.startsWith(PREFIX);
  return kind === 'User' && isAgentUser(name);
}

/** Labels of every object that gives a grant's access. */
export function grantLabels(grant: { namespace: string; name: string; uid: string }): Record<string, string> {
  return {
    [LABELS.managedBy]: MANAGED_BY,
    [LABELS.grant]: grant.uid,
    [LABELS.grantNamespace]: grant.namespace,
    [LABELS.grantName]: grant.name,
  };
}

/** Labels of an agent's ServiceAccount. */
export function identityLabels(identityUid: string): Record<string, string> {
  return { [LABELS.managedBy]: MANAGED_BY, [LABELS.identityUid]: identityUid };
}

/** Namespaces that a namespace's annotations let grants come from. Spaces around a name do not matter; `*` is no name. */
export function acceptedNamespaces(annotations: Record<string, string> | undefined): string[] {
  const value = annotations?.[ANNOTATIONS.acceptsGrantsFrom] ?? '';
  return value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
