// The objects that the guards' tests stand on: a team's namespace, an agent in it, and what hallpass made for both.
import { join } from 'node:path';
import type { Call } from './caller.ts';

export const deploy = (part: string) => join(import.meta.dirname, '../../../deploy', part);

export const api = '/api/v1/namespaces/team';
export const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/team';
export const batch = '/apis/batch/v1/namespaces/team';
export const ours = '/apis/hallpass.dev/v1alpha1/namespaces/team';
export const receipts = '/apis/hallpass.dev/v1alpha1/namespaces/hallpass-system/agentreceipts';

const rbacVersion = 'rbac.authorization.k8s.io/v1';
/** The uid of a grant, and the name of what gives its access. */
export const uid = '11111111-2222-4333-8444-555555555555';
export const uidName = `hallpass-${uid}`;
/** Of a grant that nothing was made for. */
export const otherUid = '99999999-8888-4777-8666-555555555555';
export const otherName = `hallpass-${otherUid}`;

export const grantLabels = (of: string) => ({
  'app.kubernetes.io/managed-by': 'hallpass',
  'hallpass.dev/grant': of,
  'hallpass.dev/grant-namespace': 'team',
  'hallpass.dev/grant-name': 'triage',
});

export const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
export const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } };

/** Binds a built-in role to a user, in `team`. */
export const binding = (user: string, role: string): Call => ({
  method: 'POST',
  path: `${rbac}/rolebindings`,
  body: {
    apiVersion: rbacVersion,
    kind: 'RoleBinding',
    metadata: { name: user },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
  },
});

/** A review of the grant `reviewed`, in the namespace `team` unless told otherwise. */
type ReviewParts = { decision?: string; stamps?: unknown; target?: object; ownerReferences?: object[] };
export const review = (name: string, o: ReviewParts = {}): Call => ({
  method: 'POST',
  path: `${ours}/agentreviews`,
  body: {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentReview',
    metadata: { name, ...(o.ownerReferences && { ownerReferences: o.ownerReferences }) },
    spec: {
      target: { kind: 'AgentGrant', name: 'reviewed', uid, generation: 1, specHash: 'v1-0', ...o.target },
      decision: o.decision ?? 'Approve',
      comment: 'fits',
    },
    ...(o.stamps === undefined ? {} : { stamps: o.stamps }),
  },
});

/** More than ships, so that the agent can write something: configmaps. */
export const raisedCeiling: Call = {
  method: 'POST',
  path: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  body: {
    apiVersion: rbacVersion,
    kind: 'ClusterRole',
    metadata: { name: 'more-to-grant', labels: { 'hallpass.dev/aggregate-to-grantable': 'true' } },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create'] }],
  },
};

/** Rights that only somebody careless would give: without the guards, each of them is a hole. */
export const insiderRole: Call = {
  method: 'POST',
  path: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  body: {
    apiVersion: rbacVersion,
    kind: 'ClusterRole',
    metadata: { name: 'insider' },
    rules: [
      {
        apiGroups: ['hallpass.dev'],
        resources: ['*'],
        verbs: ['get', 'create', 'update', 'patch', 'delete', 'deletecollection'],
      },
      { apiGroups: ['batch'], resources: ['jobs/status'], verbs: ['update', 'patch'] },
      { apiGroups: [''], resources: ['pods/status', 'pods/ephemeralcontainers'], verbs: ['update', 'patch'] },
      { apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterrolebindings'], verbs: ['create'] },
      {
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['clusterroles'],
        resourceNames: ['view'],
        verbs: ['bind'],
      },
      { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['impersonate'] },
    ],
  },
};
export const insiderBinding: Call = {
  method: 'POST',
  path: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  body: {
    apiVersion: rbacVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'insider' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'insider' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'insider' }],
  },
};

const enable = (name: string): Call => ({
  method: 'POST',
  path: `${rbac}/rolebindings`,
  body: {
    apiVersion: rbacVersion,
    kind: 'RoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name: 'hallpass', namespace: 'hallpass-system' }],
  },
});
/** As deploy/namespace does. */
export const enabling: readonly [Call, Call] = [enable('hallpass-grantable'), enable('hallpass-issuer')];

export const account = {
  method: 'POST',
  path: `${api}/serviceaccounts`,
  name: 'hallpass-bot',
  body: {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'hallpass-bot',
      labels: { 'app.kubernetes.io/managed-by': 'hallpass', 'hallpass.dev/identity-uid': uid },
    },
    automountServiceAccountToken: false,
  },
} satisfies Call & { name: string };

export const roleNamed = (name: string, labels: Record<string, string> = {}, verb = 'create'): Call => ({
  method: 'POST',
  path: `${rbac}/roles`,
  body: {
    apiVersion: rbacVersion,
    kind: 'Role',
    metadata: { name, labels },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: [verb] }],
  },
});
export const role = roleNamed(uidName, grantLabels(uid));

export const jobNamed = (name: string, labels: Record<string, string> = {}, parallelism = 0): Call => ({
  method: 'POST',
  path: `${batch}/jobs`,
  body: {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, labels },
    spec: {
      parallelism,
      activeDeadlineSeconds: 3600,
      ttlSecondsAfterFinished: 0,
      template: { spec: { restartPolicy: 'Never', containers: [{ name: 'none', image: 'none' }] } },
    },
  },
});
export const job = jobNamed(uidName, grantLabels(uid));

export const agentSubject = { kind: 'ServiceAccount', name: 'hallpass-bot', namespace: 'team' };

export const bindingNamed = (
  name: string,
  o: { labels?: Record<string, string>; roleRef?: object; subjects?: object[]; ownerReferences?: object[] } = {},
): Call => ({
  method: 'POST',
  path: `${rbac}/rolebindings`,
  body: {
    apiVersion: rbacVersion,
    kind: 'RoleBinding',
    metadata: { name, labels: o.labels, ownerReferences: o.ownerReferences },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name, ...o.roleRef },
    subjects: o.subjects ?? [],
  },
});
export const ownedBy = (jobName: string, jobUid: string) => [
  { apiVersion: 'batch/v1', kind: 'Job', name: jobName, uid: jobUid, controller: false, blockOwnerDeletion: false },
];
export const roleBinding = (jobUid: string) =>
  bindingNamed(uidName, { labels: grantLabels(uid), ownerReferences: ownedBy(uidName, jobUid) });
/** The binding replaced, as hallpass writes it: with the agent in it, or others. */
export const bindingNaming = (subjects: object[], jobUid: string): Call => {
  const { body } = bindingNamed(uidName, {
    labels: grantLabels(uid),
    ownerReferences: ownedBy(uidName, jobUid),
    subjects,
  });
  return { method: 'PUT', path: `${rbac}/rolebindings/${uidName}`, body };
};

export const identityNamed = (name: string, metadata: object = {}): Call => ({
  method: 'POST',
  path: `${ours}/agentidentities`,
  body: {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentIdentity',
    metadata: { name, ...metadata },
    spec: { purpose: 'Looks after incidents.', owner: { kind: 'Group', name: 'team' } },
  },
});
export const identity = identityNamed('bot');

export const grantBody = (name: string, o: { metadata?: object; validity?: object; stamps?: object } = {}) => ({
  apiVersion: 'hallpass.dev/v1alpha1',
  kind: 'AgentGrant',
  metadata: { name, ...o.metadata },
  spec: {
    agent: 'bot',
    task: { description: 'Look at the incident.' },
    permissions: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
    validity: o.validity ?? { duration: '1h' },
  },
  ...(o.stamps && { stamps: o.stamps }),
});
export const grant = (name: string, o: Parameters<typeof grantBody>[1] = {}): Call => ({
  method: 'POST',
  path: `${ours}/agentgrants`,
  body: grantBody(name, o),
});

export const receiptBody = (name: string) => ({
  apiVersion: 'hallpass.dev/v1alpha1',
  kind: 'AgentReceipt',
  metadata: { name },
  spec: {
    grant: { namespace: 'team', name: 'triage', uid },
    specHash: `v1-${'0'.repeat(64)}`,
    agent: { name: 'bot', uid },
    creator: { username: 'editor' },
    requester: { username: 'editor' },
    task: { description: 'Look at the incident.' },
    access: [{ namespace: 'team', rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] }],
    startTime: '2026-01-01T00:00:00Z',
    expiresAt: '2026-01-01T01:00:00Z',
  },
});

export type PodOptions = { labels?: Record<string, string>; spec?: object; volumes?: object[] };
export const pod = (name: string, o: PodOptions = {}): Call => ({
  method: 'POST',
  path: `${api}/pods`,
  body: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: o.labels },
    spec: { containers: [{ name: 'main', image: 'none' }], volumes: o.volumes, ...o.spec },
  },
});
export const agentLabel = { 'hallpass.dev/agent': 'bot' };
export const tokenVolume = (name: string, serviceAccountToken: object) => ({
  name,
  projected: { sources: [{ serviceAccountToken: { path: 'token', ...serviceAccountToken } }] },
});
/** Runs on node-1; has a mesh's token, too, and spells out the volume that admission would add. */
export const agentPod = pod('agent', {
  labels: agentLabel,
  volumes: [
    tokenVolume('hallpass-token', { expirationSeconds: 600 }),
    tokenVolume('mesh', { audience: 'istio-ca', expirationSeconds: 43_200 }),
  ],
  spec: { nodeName: 'node-1', serviceAccountName: 'hallpass-bot' },
});

export const tokenSecret = (name: string, of: string): Call => ({
  method: 'POST',
  path: `${api}/secrets`,
  body: {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/service-account-token',
    metadata: { name, annotations: { 'kubernetes.io/service-account.name': of } },
  },
});
