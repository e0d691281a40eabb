// Pieces that the guards of what hallpass makes share: what is ours, and what hallpass itself is held to.
import { GROUP, LABELS, MANAGED_BY } from '../../api/names.ts';
import {
  callerIsNamedOperator,
  callerVariables,
  harmlessUpdate,
  hasLabel,
  hasUidName,
  labelOf,
  literal,
} from './expressions.ts';
import { type Guard, type ResourceRule, validating } from './policy.ts';

export const rbac = { apiGroup: 'rbac.authorization.k8s.io', version: 'v1' };

export const grantObject = (object: string) => `(${hasUidName(object)} || ${hasLabel(object, LABELS.grant)})`;

/** Ours by name or label, before or after the write. */
export function isOurs(ours: (object: string) => string): string {
  return `(request.operation != "DELETE" && ${ours('object')}) || (request.operation != "CREATE" && ${ours('oldObject')})`;
}

/** The name and the labels that the operator gives a grant's objects, and finds them again by. */
const namedAfterGrant = (object: string) =>
  `${hasUidName(object)} && ${object}.metadata.name == "hallpass-" + ${labelOf(object, LABELS.grant)}`;

export const managed = `${labelOf('object', LABELS.managedBy)} == ${literal(MANAGED_BY)}`;

/** Nobody else's object of that name is taken over, and nothing of ours is turned into something else. */
export const operatorWrites = (content: string) =>
  `!variables.namedOperator || request.operation == "DELETE" || (variables.operator && ${namedAfterGrant('object')} && ${managed} && (request.operation == "CREATE" || ${namedAfterGrant('oldObject')}) && ${content})`;

export const operatorDeletes = (ours: string) =>
  `!variables.namedOperator || request.operation != "DELETE" || (variables.operator && ${ours})`;

/** How a message names the object, in a namespace and in none. */
export const inNamespace = 'request.namespace + "/" + object.metadata.name';
export const inNone = 'object.metadata.name';

/** What people read when they touch an object of a grant. */
export function onlyOperator(kind: string, named: string) {
  return {
    holds: 'request.operation == "DELETE" || variables.operator || variables.harmless',
    message: `this ${kind} gives a grant's access, and only hallpass creates or changes it. To change the access, edit or delete the AgentGrant; for a ${kind} of your own, choose a name and labels without hallpass`,
    says: `"${kind} " + ${named} + " has a name or label of hallpass's: only hallpass creates or changes what gives a grant's access. To change the access, edit or delete its AgentGrant (" + ${grantOf} + "); for a ${kind} of your own, choose another name and labels"`,
  };
}

const grantOf = `${labelOf('object', LABELS.grantNamespace)} + "/" + ${labelOf('object', LABELS.grantName)}`;

export const operatorBound = (kind: string, rule: string) =>
  `hallpass itself may write only a ${kind} named hallpass-<uid of a grant>, labelled with that uid and with ${LABELS.managedBy}${rule}. Report this as a defect of hallpass, or find out who uses its credentials`;
export const operatorDeletionBound = (kind: string, carrying: string) =>
  `hallpass itself may delete only a ${kind} ${carrying}. Report this as a defect of hallpass, or find out who uses its credentials`;

/** Without the label, too: who takes it off while a guard is away must not make the access immortal. */
export const byName = 'named hallpass-<uid>';

/**
 * Whatever hallpass itself holds in a namespace, the API server lets it hand on: what it issues with, too (but for Events, by
 * which nobody gains access). As `forbiddenReach` in src/policy has it, once more, where a defect of hallpass does not reach.
 */
export const harmlessRules = `object.?rules.orValue([]).all(rule,
  !rule.?apiGroups.orValue([]).exists(group, group in ['*', ${literal(rbac.apiGroup)}, ${literal(GROUP)}]) &&
  !(rule.?apiGroups.orValue([]).exists(group, group == '') && rule.?resources.orValue([]).exists(resource,
    resource == '*' || resource.startsWith('*/') || resource == 'serviceaccounts' || resource.startsWith('serviceaccounts/'))) &&
  !(rule.?apiGroups.orValue([]).exists(group, group == 'batch') && rule.?resources.orValue([]).exists(resource,
    resource == '*' || resource.startsWith('*/') || resource == 'jobs' || resource.startsWith('jobs/')) &&
    rule.?verbs.orValue([]).exists(verb, !(verb in ['get', 'list', 'watch']))))`;

/**
 * The guard of one kind of what gives access: only hallpass creates or changes it, and hallpass makes and deletes nothing else of
 * that kind. `content` are the fields that say what it gives, `ours` the match condition, `writes` what hallpass is held to.
 */
export function accessGuard(o: {
  name: string;
  kind: string;
  resource: Omit<ResourceRule, 'operations'>;
  ours: string;
  named: string;
  content: readonly string[];
  writes: { holds: string; bound: string };
}): Guard {
  return validating({
    name: o.name,
    resources: [{ ...o.resource, operations: ['CREATE', 'UPDATE', 'DELETE'] }],
    when: { ours: `${callerIsNamedOperator} || ${o.ours}` },
    variables: { ...callerVariables, harmless: harmlessUpdate(o.content) },
    rules: [
      onlyOperator(o.kind, o.named),
      { holds: operatorWrites(o.writes.holds), message: operatorBound(o.kind, o.writes.bound) },
      { holds: operatorDeletes(hasUidName('oldObject')), message: operatorDeletionBound(o.kind, byName) },
    ],
  });
}

/** Whom a binding of ours may name. */
export const agentsOnly =
  "(!has(object.subjects) || object.subjects.all(s, s.kind == 'ServiceAccount' && s.name.startsWith('hallpass-')))";
