// The kinds of Kubernetes that are read or written, cut down to what is used; kinds that are replaced keep every field.
import { z } from 'zod';
import { type KubeObject, type ObjectMeta, objectMetaSchema, type Resource } from './object.ts';

const metadata = objectMetaSchema;
const strings = z.array(z.string()).optional();

const policyRuleSchema = z.object({
  verbs: z.array(z.string()),
  apiGroups: strings,
  resources: strings,
  resourceNames: strings,
  nonResourceURLs: strings,
});

/** A rule of RBAC as a Role holds it. */
export type StoredPolicyRule = z.infer<typeof policyRuleSchema>;

// An empty list of rules comes as `null`.
const rules = z
  .array(policyRuleSchema)
  .nullish()
  .transform((value) => value ?? []);
// Of a ClusterRole too: one that collects its rules from others is never replaced here.
const roleSchema = z.object({ metadata, rules });
const subjectSchema = z.object({
  kind: z.string(),
  apiGroup: z.string().optional(),
  name: z.string(),
  namespace: z.string().optional(),
});

/** Whom a binding names. */
export type Subject = z.infer<typeof subjectSchema>;

const bindingSchema = z.object({
  metadata,
  roleRef: z.object({ apiGroup: z.string(), kind: z.string(), name: z.string() }),
  subjects: z.array(subjectSchema).optional(),
});

const conditionSchema = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().optional(),
  message: z.string().optional(),
  lastTransitionTime: z.string().nullish(),
});

const storedJobSchema = z.object({
  metadata: objectMetaSchema.extend({
    managedFields: z.array(z.object({ subresource: z.string().optional(), time: z.string().optional() })).optional(),
  }),
  // Replaced as a whole, so what isn't named here (the pod template, the selector) is kept as it came.
  spec: z.looseObject({
    parallelism: z.number().optional(),
    activeDeadlineSeconds: z.number().optional(),
    ttlSecondsAfterFinished: z.number().optional(),
    suspend: z.boolean().optional(),
  }),
  status: z
    .object({
      startTime: z.string().optional(),
      completionTime: z.string().optional(),
      active: z.number().optional(),
      conditions: z.array(conditionSchema).optional(),
    })
    .optional(),
});

type StoredJob = z.infer<typeof storedJobSchema>;

/** `status.recordedAt` is when the status was last written, by the API server's clock; the times in it are the writer's. */
export type Job = {
  metadata: ObjectMeta;
  spec: StoredJob['spec'];
  status?: (NonNullable<StoredJob['status']> & { recordedAt?: string | undefined }) | undefined;
};

const jobSchema = storedJobSchema.transform(({ metadata: { managedFields = [], ...metadata }, spec, status }): Job => {
  const times = managedFields.flatMap(({ subresource, time }) => (subresource === 'status' && time ? [time] : []));
  const recordedAt = times.sort().at(-1);
  return { metadata, spec, ...(status && { status: { ...status, ...(recordedAt && { recordedAt }) } }) };
});

const cronJobSchema = z.object({ metadata, spec: z.looseObject({ failedJobsHistoryLimit: z.number().optional() }) });

const serviceSchema = z.object({ metadata, spec: z.looseObject({ clusterIP: z.string().optional() }) });

const ipAddressSchema = z.object({ metadata });

const serviceAccountSchema = z.object({
  metadata,
  automountServiceAccountToken: z.boolean().optional(),
});

const namespaceSchema = z.object({
  metadata,
  status: z.object({ phase: z.string().optional() }).optional(),
});

const leaseSchema = z.object({
  metadata,
  spec: z
    .looseObject({
      holderIdentity: z.string().optional(),
      leaseDurationSeconds: z.number().optional(),
      acquireTime: z.string().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.number().optional(),
    })
    .optional(),
});

const objectReferenceSchema = z.object({
  apiVersion: z.string().optional(),
  kind: z.string().optional(),
  namespace: z.string().optional(),
  name: z.string().optional(),
  uid: z.string().optional(),
});

const eventSchema = z.object({
  metadata,
  eventTime: z.string().nullish(),
  reportingController: z.string().optional(),
  reportingInstance: z.string().optional(),
  action: z.string().optional(),
  reason: z.string().optional(),
  type: z.string().optional(),
  note: z.string().optional(),
  regarding: objectReferenceSchema.optional(),
  related: objectReferenceSchema.nullish(),
  series: z.object({ count: z.number(), lastObservedTime: z.string() }).nullish(),
});

const podSchema = z.object({
  metadata,
  spec: z.object({ serviceAccountName: z.string().optional(), nodeName: z.string().optional() }),
  status: z.object({ phase: z.string().optional() }).optional(),
});

// Guards are compared with what was shipped, so nothing of their spec is cut away.
const admissionPolicySchema = z.object({ metadata, spec: z.looseObject({}) });

const customResourceDefinitionSchema = z.object({
  metadata,
  spec: z.object({
    group: z.string(),
    names: z.object({ plural: z.string(), kind: z.string() }),
    versions: z.array(z.object({ name: z.string(), served: z.boolean(), storage: z.boolean() })),
  }),
  status: z.object({ conditions: z.array(conditionSchema).nullish() }).optional(),
});

export type Role = z.infer<typeof roleSchema>;
export type RoleBinding = z.infer<typeof bindingSchema>;
export type ClusterRoleBinding = z.infer<typeof bindingSchema>;
export type CronJob = z.infer<typeof cronJobSchema>;
export type Service = z.infer<typeof serviceSchema>;
export type ServiceAccount = z.infer<typeof serviceAccountSchema>;
export type Namespace = z.infer<typeof namespaceSchema>;
export type Lease = z.infer<typeof leaseSchema>;
export type Event = z.infer<typeof eventSchema>;
export type Pod = z.infer<typeof podSchema>;
export type AdmissionPolicy = z.infer<typeof admissionPolicySchema>;
export type CustomResourceDefinition = z.infer<typeof customResourceDefinitionSchema>;

function kind<T extends KubeObject>(
  group: string,
  version: string,
  plural: string,
  kindName: string,
  namespaced: boolean,
  schema: { parse: (value: unknown) => T },
): Resource<T> {
  return { group, version, plural, kind: kindName, namespaced, parse: (value) => schema.parse(value) };
}

const rbac = 'rbac.authorization.k8s.io';
const admission = 'admissionregistration.k8s.io';

export const roles = kind(rbac, 'v1', 'roles', 'Role', true, roleSchema);
export const roleBindings = kind(rbac, 'v1', 'rolebindings', 'RoleBinding', true, bindingSchema);
export const clusterRoles = kind(rbac, 'v1', 'clusterroles', 'ClusterRole', false, roleSchema);
export const clusterRoleBindings = kind(rbac, 'v1', 'clusterrolebindings', 'ClusterRoleBinding', false, bindingSchema);
export const jobs = kind('batch', 'v1', 'jobs', 'Job', true, jobSchema);
export const cronJobs = kind('batch', 'v1', 'cronjobs', 'CronJob', true, cronJobSchema);
export const services = kind('', 'v1', 'services', 'Service', true, serviceSchema);
export const ipAddresses = kind('networking.k8s.io', 'v1', 'ipaddresses', 'IPAddress', false, ipAddressSchema);
export const serviceAccounts = kind('', 'v1', 'serviceaccounts', 'ServiceAccount', true, serviceAccountSchema);
export const namespaces = kind('', 'v1', 'namespaces', 'Namespace', false, namespaceSchema);
export const pods = kind('', 'v1', 'pods', 'Pod', true, podSchema);
export const leases = kind('coordination.k8s.io', 'v1', 'leases', 'Lease', true, leaseSchema);
export const events = kind('events.k8s.io', 'v1', 'events', 'Event', true, eventSchema);
export const mutatingAdmissionPolicies = kind(
  admission,
  'v1',
  'mutatingadmissionpolicies',
  'MutatingAdmissionPolicy',
  false,
  admissionPolicySchema,
);
export const mutatingAdmissionPolicyBindings = kind(
  admission,
  'v1',
  'mutatingadmissionpolicybindings',
  'MutatingAdmissionPolicyBinding',
  false,
  admissionPolicySchema,
);
export const validatingAdmissionPolicies = kind(
  admission,
  'v1',
  'validatingadmissionpolicies',
  'ValidatingAdmissionPolicy',
  false,
  admissionPolicySchema,
);
export const validatingAdmissionPolicyBindings = kind(
  admission,
  'v1',
  'validatingadmissionpolicybindings',
  'ValidatingAdmissionPolicyBinding',
  false,
  admissionPolicySchema,
);
export const customResourceDefinitions = kind(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  false,
  customResourceDefinitionSchema,
);
