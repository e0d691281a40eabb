// Ways from a granted right to cluster-admin or to another's credentials, each with the right that it takes.

export type EscalationRoute = {
  name: string;
  permission: { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] };
  /** Why hallpass refuses it. `ForbiddenPermission`: by itself, whatever policies say. */
  refusedBy: 'DeniedByPolicy' | 'WildcardRefused' | 'ForbiddenPermission';
};

const route = (
  name: string,
  verbs: string,
  apiGroups: string,
  resources: string,
  refusedBy: EscalationRoute['refusedBy'] = 'DeniedByPolicy',
): EscalationRoute => ({
  name,
  permission: { verbs: verbs.split(','), apiGroups: apiGroups.split(','), resources: resources.split(',') },
  refusedBy,
});

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
  route('create a Job as another ServiceAccount', 'create', 'batch', 'jobs', 'ForbiddenPermission'),
  route('change what a CronJob runs', 'patch', 'batch', 'cronjobs'),
  route('run a command in a pod', 'create', '', 'pods/exec'),
  route('attach to a pod', 'get', '', 'pods/attach'),
  route('forward a port of a pod', 'create', '', 'pods/portforward'),
  route('put a container into a running pod', 'update', '', 'pods/ephemeralcontainers'),
  route('reach what the network keeps away, through the API server', 'get', '', 'services/proxy'),
  route('run commands in any pod, through the kubelet', 'create', '', 'nodes/proxy'),
  route('ask for a token of a ServiceAccount', 'create', '', 'serviceaccounts/token', 'ForbiddenPermission'),
  route('create a ServiceAccount', 'create', '', 'serviceaccounts', 'ForbiddenPermission'),
  route('write a Role that gives more', 'escalate', 'rbac.authorization.k8s.io', 'roles', 'ForbiddenPermission'),
  route('bind a role', 'create', 'rbac.authorization.k8s.io', 'rolebindings', 'ForbiddenPermission'),
  route('impersonate a user', 'impersonate', '', 'users'),
  route(
    'approve a certificate for system:masters',
    'update',
    'certificates.k8s.io',
    'certificatesigningrequests/approval',
  ),
  route('see every request by a webhook', 'create', 'admissionregistration.k8s.io', 'mutatingwebhookconfigurations'),
  route('take the guards away', 'delete', 'admissionregistration.k8s.io', 'validatingadmissionpolicies'),
  route('mount any directory of a node', 'create', '', 'persistentvolumes'),
  route('convert every object of a kind', 'update', 'apiextensions.k8s.io', 'customresourcedefinitions'),
  route('serve an API group', 'create', 'apiregistration.k8s.io', 'apiservices'),
  route('move a namespace to other policies, by its labels', 'patch', '', 'namespaces'),
  route('take over traffic of another namespace', 'update', 'discovery.k8s.io', 'endpointslices'),
  route('request access for oneself', 'create', 'hallpass.dev', 'agentgrants', 'ForbiddenPermission'),
  route('approve policies for oneself', 'update', 'hallpass.dev', 'agentpolicies', 'ForbiddenPermission'),
  route('keep a watch open past the end', 'watch', '', 'configmaps'),
  route('every verb', '*', '', 'configmaps', 'WildcardRefused'),
  route('every group', 'get', '*', 'configmaps', 'ForbiddenPermission'),
  route('every subresource', 'get', 'apps', '*/status', 'WildcardRefused'),
];
