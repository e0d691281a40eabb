// Guards of what hallpass makes for access in the whole cluster: ClusterRoles, ClusterRoleBindings, and in its own namespace the
// Services that join those to their Jobs.
import { SYSTEM_NAMESPACE } from '../../api/names.ts';
import { literal } from './expressions.ts';
import { accessGuard, agentsOnly, grantObject, harmlessRules, inNamespace, inNone, isOurs, rbac } from './managed.ts';
import type { Guard } from './policy.ts';

/** Others hold ClusterRoles named hallpass-: those of deploy/, and what admins add to the ceilings. */
const clusterRoles = accessGuard({
  name: 'hallpass-clusterroles',
  kind: 'ClusterRole',
  resource: { ...rbac, resources: ['clusterroles'] },
  ours: isOurs(grantObject),
  named: inNone,
  content: ['.rules', '.aggregationRule'],
  writes: {
    holds: `!has(object.aggregationRule) && ${harmlessRules}`,
    bound:
      ', that collects no rules from others, and without rules over RBAC, ServiceAccounts, kinds of hallpass or all groups, and without writing Jobs',
  },
});

const clusterRoleBindings = accessGuard({
  name: 'hallpass-clusterrolebindings',
  kind: 'ClusterRoleBinding',
  resource: { ...rbac, resources: ['clusterrolebindings'] },
  ours: isOurs(grantObject),
  named: inNone,
  content: ['.roleRef', '.subjects'],
  writes: {
    holds: `object.roleRef.name == object.metadata.name && ${agentsOnly}`,
    bound: ', that binds the ClusterRole of the same name to ServiceAccounts hallpass-* and nobody else',
  },
});

const home = `request.namespace == ${literal(SYSTEM_NAMESPACE)}`;

/** Whoever takes its owner off, or gives its address another Service, would make the access outlive its Job. */
const services = accessGuard({
  name: 'hallpass-services',
  kind: 'Service',
  resource: { apiGroup: '', version: 'v1', resources: ['services'] },
  ours: `(${home} && (${isOurs(grantObject)}))`,
  named: inNamespace,
  content: ['.spec'],
  writes: {
    holds: `${home} && object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && !has(object.spec.selector) && !has(object.spec.externalIPs)`,
    bound: `, in namespace ${SYSTEM_NAMESPACE}, that sends nobody's traffic anywhere`,
  },
});

export const clusterObjectGuards: readonly Guard[] = [clusterRoles, clusterRoleBindings, services];
