// Ways from a granted right to cluster-admin or to another's credentials, each with the right that it takes.
// test/integration/access/escalation.test.ts takes them; docs/escalation.md explains them.

type Permission = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };

export type EscalationRoute = {
  name: string;
  permission: Permission;
  /** What it takes beside that, and often is there. */
  besides: Permission[];
  /** Why hallpass refuses it. `ForbiddenPermission`: by itself, whatever policies say. */
  refusedBy: 'DeniedByPolicy' | 'WildcardRefused' | 'ForbiddenPermission';
  /** Why no test takes the way to its end; left out where one does. */
  notTried?: string;
};

type Remarks = Partial<Pick<EscalationRoute, 'besides' | 'refusedBy' | 'notTried'>>;

const permission = (verbs: string, group: string, resources: string, resourceName?: string): Permission => ({
  verbs: verbs.split(','),
  apiGroups: [group],
  resources: resources.split(','),
  ...(resourceName === undefined ? {} : { resourceNames: [resourceName] }),
});

const route = (
  name: string,
  verbs: string,
  group: string,
  resources: string,
  { besides = [], refusedBy = 'DeniedByPolicy', notTried }: Remarks = {},
): EscalationRoute => ({ name, permission: permission(verbs, group, resources), besides, refusedBy, notTried });

const RBAC = 'rbac.authorization.k8s.io';
const CERTIFICATES = 'certificates.k8s.io';
const ADMISSION = 'admissionregistration.k8s.io';
/** By hallpass itself. */
const refusedBy = 'ForbiddenPermission';
const kubelet = 'a kubelet answers it';
const loopback = 'the API server forwards to no loopback address, where the test would have to listen';

export const ESCALATION_ROUTES: EscalationRoute[] = [
  route('read a Secret', 'get', '', 'secrets'),
  route('list Secrets, which shows what is in them', 'list', '', 'secrets'),
  route('write a Secret that another trusts', 'update', '', 'secrets'),
  route('create a pod as another ServiceAccount', 'create', '', 'pods'),
  route("change a running pod's image", 'patch', '', 'pods'),
  route('change the template of a Deployment', 'patch', 'apps', 'deployments'),
  route('create a DaemonSet, which runs on every node', 'create', 'apps', 'daemonsets'),
  route('change a StatefulSet', 'update', 'apps', 'statefulsets'),
  route('create a ReplicationController', 'create', '', 'replicationcontrollers'),
  route('create a Job as another ServiceAccount', 'create', 'batch', 'jobs', { refusedBy }),
  route('change what a CronJob runs', 'patch', 'batch', 'cronjobs'),
  route('run a command in a pod', 'create', '', 'pods/exec', { notTried: kubelet }),
  route('attach to a pod', 'get', '', 'pods/attach', { notTried: kubelet }),
  route('forward a port of a pod', 'create', '', 'pods/portforward', { notTried: kubelet }),
  route('put a container into a running pod', 'update', '', 'pods/ephemeralcontainers'),
  route('reach what the network keeps away, through the API server', 'get', '', 'services/proxy', {
    notTried: loopback,
  }),
  route('run commands in any pod, through the kubelet', 'create', '', 'nodes/proxy', { notTried: kubelet }),
  route('ask for a token of a ServiceAccount', 'create', '', 'serviceaccounts/token', { refusedBy }),
  route('create a ServiceAccount that a binding waits for', 'create', '', 'serviceaccounts', {
    refusedBy,
    besides: [permission('create', '', 'serviceaccounts/token', 'migrator')],
  }),
  route('write a Role that gives more', 'escalate', RBAC, 'roles', {
    refusedBy,
    besides: [permission('patch', RBAC, 'roles', 'mine')],
  }),
  route('bind a role', 'create', RBAC, 'rolebindings', {
    refusedBy,
    besides: [permission('bind', RBAC, 'clusterroles', 'cluster-admin')],
  }),
  route('impersonate a user', 'impersonate', '', 'users'),
  route('approve a certificate of any user', 'update', CERTIFICATES, 'certificatesigningrequests/approval', {
    besides: [
      permission('create,get', CERTIFICATES, 'certificatesigningrequests'),
      permission('approve', CERTIFICATES, 'signers', 'kubernetes.io/kube-apiserver-client'),
    ],
  }),
  route('see and change every request by a webhook', 'create', ADMISSION, 'mutatingwebhookconfigurations'),
  route('take the guards away', 'delete', ADMISSION, 'validatingadmissionpolicies', {
    besides: [permission('create,get', '', 'secrets')],
  }),
  route('mount any directory of a node', 'create', '', 'persistentvolumes', {
    besides: [permission('create', '', 'pods,persistentvolumeclaims')],
  }),
  route('convert every object of a kind', 'update', 'apiextensions.k8s.io', 'customresourcedefinitions', {
    besides: [permission('get', 'apiextensions.k8s.io', 'customresourcedefinitions')],
  }),
  route('serve an API group', 'create', 'apiregistration.k8s.io', 'apiservices', {
    besides: [permission('create', '', 'services')],
  }),
  route('move a namespace out of its pod security, by its labels', 'patch', '', 'namespaces', {
    besides: [permission('create', '', 'pods')],
  }),
  route('take over the traffic of a Service', 'update', 'discovery.k8s.io', 'endpointslices'),
  route('hand on to an agent what one holds', 'create', 'hallpass.dev', 'agentgrants', {
    refusedBy,
    besides: [permission('list', '', 'pods')],
  }),
  route('lift what policies refuse', 'update', 'hallpass.dev', 'agentpolicies', {
    refusedBy,
    besides: [permission('get', 'hallpass.dev', 'agentpolicies')],
  }),
  route('keep a watch open past the end', 'watch', '', 'configmaps'),
  route('every verb', '*', '', 'configmaps', { refusedBy: 'WildcardRefused' }),
  route('every group', 'get', '*', 'configmaps', { refusedBy }),
  route('every subresource', 'get', 'apps', '*/status', { refusedBy: 'WildcardRefused' }),
];
