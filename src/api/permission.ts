// One entry of a grant's permissions: a rule as RBAC has it, and where it is to hold.

import * as z from 'zod';
import { listOf, namespaceName, required, ruled, UNPRINTABLE, worded } from './schema.ts';

const NAME_PART = '[a-z]([-a-z0-9]*[a-z0-9])?';
const API_GROUP = '^([*]|[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$';
const RESOURCE = `^([*]|${NAME_PART})(/([*]|${NAME_PART})){0,3}$`;
const VERB = '^([*]|[a-z]([-a-z0-9:]*[a-z0-9])?)$';
const RESOURCE_NAME = `^[^ /%${UNPRINTABLE}]+$`;

const API_GROUPS_WANTED =
  'name at least one API group, such as apps; "" is the core group of pods, services and configmaps';
const RESOURCES_WANTED = 'name at least one resource, such as pods or deployments/scale';
const VERBS_WANTED = 'name at least one verb, such as get or list';

/** Where a permission holds. */
export const scope = z.enum(['Namespace', 'Cluster']);

const fields = z.object({
  scope: scope
    .optional()
    .describe(
      'Namespace: in namespaces. Cluster: in every namespace, those to come included, and on what is in none; it takes an identity whose boundary has clusterScope, a policy that allows it by name, and deploy/cluster-scope. Left out: Namespace.',
    ),
  namespaces: listOf(namespaceName(), {
    max: 16,
    atLeastOne: 'name at least one namespace, or leave namespaces out to mean the namespace of the grant',
  })
    .optional()
    .describe(
      'Namespaces in which the permission holds. Left out: the namespace of the grant. Others must be within the boundary of the identity and must accept grants from here.',
    ),
  apiGroups: required(
    listOf(worded(253, API_GROUP, 'must be an API group, such as apps; "" for the core group, or * for every group'), {
      max: 16,
      atLeastOne: API_GROUPS_WANTED,
    }),
    API_GROUPS_WANTED,
  ).describe(
    'Required. API groups of the resources, such as apps. "" is the core group (pods, services, configmaps); * is every group.',
  ),
  resources: required(
    listOf(
      worded(
        253,
        RESOURCE,
        'must be a resource in lower-case plural, such as pods or deployments/scale; * is every one',
      ),
      { max: 16, atLeastOne: RESOURCES_WANTED },
    ),
    RESOURCES_WANTED,
  ).describe(
    'Required. Resources in lower-case plural, such as pods, or with a subresource, such as pods/log or deployments/scale. * is every resource.',
  ),
  resourceNames: listOf(
    worded(253, RESOURCE_NAME, 'must be the name of one object, without spaces, /, %, and marks that nobody sees'),
    { max: 32, atLeastOne: 'name at least one object, or leave resourceNames out to mean every object' },
  )
    .optional()
    .describe(
      'Names of single objects that the permission is limited to. Left out: every object. list, watch, create and deletecollection do not go by name.',
    ),
  verbs: required(
    listOf(worded(63, VERB, 'must be a verb in lower case, such as get or list; * is every verb'), {
      max: 16,
      atLeastOne: VERBS_WANTED,
    }),
    VERBS_WANTED,
  ).describe(
    'Required. What may be done: get, list, watch, create, update, patch, delete, deletecollection. * is every verb.',
  ),
});

export const permission = ruled(fields, [
  {
    cel: "!has(self.scope) || self.scope != 'Cluster' || !has(self.namespaces)",
    fieldPath: '.namespaces',
    message:
      'a permission of scope Cluster holds in every namespace: leave namespaces out, or take scope out to mean these namespaces',
    holds: ({ scope, namespaces }) => scope !== 'Cluster' || namespaces === undefined,
  },
]);
