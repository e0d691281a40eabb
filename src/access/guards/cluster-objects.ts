// Guards of what hallpass makes for access in the whole cluster: ClusterRoles, ClusterRoleBindings, and in its own namespace the
// Services that join those to their Jobs.
import { SYSTEM_NAMESPACE } from '../../api/names.ts';
import { callerIsNamedOperator, callerVariables, harmlessUpdate, hasUidName, literal } from './expressions.ts';
import {
  agentsOnly,
  byName,
  grantObject,
  harmlessRules,
  inNamespace,
  inNone,
  isOurs,
  onlyOperator,
  operatorBound,
  operatorDeletes,
  operatorDeletionBound,
  operatorWrites,
  rbac,
} from './managed.ts';
import { type Guard, validating } from './policy.ts';

/** Others hold ClusterRoles named hallpass-: those of deploy/, and what admins add to the ceilings. */
const clusterRoles = validating({
  name: 'hallpass-clusterroles',
  resources: [{ ...rbac, operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['clusterroles'] }],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(grantObject)}` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.rules', '.aggregationRule']) },
  rules: [
    onlyOperator('ClusterRole', inNone),
    {
      holds: operatorWrites(`!has(object.aggregationRule) && ${harmlessRules}`),
      message: operatorBound(
        'ClusterRole',
        ', that collects no rules from others, and without rules over RBAC, ServiceAccounts, kinds of hallpass or all groups, and without writing Jobs',
      ),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('ClusterRole', byName) },
  ],
});

const clusterRoleBindings = validating({
  name: 'hallpass-clusterrolebindings',
  resources: [{ ...rbac, operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['clusterrolebindings'] }],
  when: { ours: `${callerIsNamedOperator} || ${isOurs(grantObject)}` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.roleRef', '.subjects']) },
  rules: [
    onlyOperator('ClusterRoleBinding', inNone),
    {
      holds: operatorWrites(`object.roleRef.name == object.metadata.name && ${agentsOnly}`),
      message: operatorBound(
        'ClusterRoleBinding',
        ', that binds the ClusterRole of the same name to ServiceAccounts hallpass-* and nobody else',
      ),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('ClusterRoleBinding', byName) },
  ],
});

const home = `request.namespace == ${literal(SYSTEM_NAMESPACE)}`;

/** Whoever takes its owner off, or gives its address another Service, would make the access outlive its Job. */
const services = validating({
  name: 'hallpass-services',
  resources: [{ apiGroup: '', version: 'v1', operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['services'] }],
  when: { ours: `${callerIsNamedOperator} || (${home} && (${isOurs(grantObject)}))` },
  variables: { ...callerVariables, harmless: harmlessUpdate(['.spec']) },
  rules: [
    onlyOperator('Service', inNamespace),
    {
      holds: operatorWrites(
        `${home} && object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && !has(object.spec.selector) && !has(object.spec.externalIPs)`,
      ),
      message: operatorBound('Service', `, in namespace ${SYSTEM_NAMESPACE}, that sends nobody's traffic anywhere`),
    },
    { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound('Service', byName) },
  ],
});

export const clusterObjectGuards: readonly Guard[] = [clusterRoles, clusterRoleBindings, services];
