// Pieces of CEL that several guards share: who the caller is, which names are ours, what an update left alone.
import { OPERATOR_USER } from '../../api/names.ts';

/** A CEL string literal. Only for text of our own: quotes and backslashes are refused, not escaped. */
export function literal(text: string): string {
  if (/['\\\n]/.test(text)) throw new Error(`a CEL literal must hold no quote, backslash or line break: ${text}`);
  return `'${text}'`;
}

/** A name that derives from an object's uid: `hallpass-<uid>`. */
const uidName = "'^hallpass-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'";

const credentialId = "'authentication.kubernetes.io/credential-id'";

/**
 * The caller shows a ServiceAccount token that the API server issued for a limited time. An impersonator carries no such
 * extra (the built-in roles let nobody impersonate it), and neither does the token of a token Secret.
 */
export const callerHoldsIssuedToken = `request.userInfo.?extra[?${credentialId}].orValue([]).exists(id, id.startsWith('JTI='))`;

/** The caller has the operator's name, whether or not it is the operator. */
export const callerIsNamedOperator = `(request.userInfo.username == ${literal(OPERATOR_USER)})`;

/** The caller is the operator, by a token of its own. */
export const callerIsOperator = `(${callerIsNamedOperator} && ${callerHoldsIssuedToken})`;

/** Whether a user name is that of an agent's ServiceAccount, in any namespace. The prefix first: it is cheaper. */
export function isAgentUser(name: string): string {
  return `${name}.startsWith('system:serviceaccount:') && ${name}.matches('^system:serviceaccount:[^:]+:hallpass-')`;
}

/** Variables by which the rules of a policy ask who the caller is; match conditions see no variables. */
export const callerVariables = { namedOperator: callerIsNamedOperator, operator: callerIsOperator };

/**
 * Whether the caller holds the verb `release` on the object: cluster admins do, so that nothing hangs once hallpass is gone.
 * `name` is its name; that of the request is empty where a whole collection is deleted.
 */
export function mayRelease(name = 'request.name'): string {
  return `authorizer.group(request.resource.group).resource(request.resource.resource).namespace(request.namespace).name(${name}).check("release").allowed()`;
}

/** Whether the caller is one of these users. */
export function callerIsOneOf(users: readonly string[]): string {
  return `request.userInfo.username in [${users.map(literal).join(', ')}]`;
}

/**
 * Controllers of Kubernetes itself, under the names they have with and without ServiceAccounts of their own. The
 * garbage collector edits finalizers and owner references; the Job controller writes Job status; the TTL controller
 * deletes Jobs that have ended.
 */
export const garbageCollector = [
  'system:serviceaccount:kube-system:generic-garbage-collector',
  'system:kube-controller-manager',
] as const;
export const jobController = [
  'system:serviceaccount:kube-system:job-controller',
  'system:kube-controller-manager',
] as const;
export const timeToLiveController = [
  'system:serviceaccount:kube-system:ttl-after-finished-controller',
  'system:kube-controller-manager',
] as const;

/** Empties namespaces that are being deleted. */
export const namespaceController = [
  'system:serviceaccount:kube-system:namespace-controller',
  'system:kube-controller-manager',
] as const;

/** Whether this object's name is `hallpass-<uid>`. */
export function hasUidName(object: string): string {
  return `${object}.metadata.name.matches(${uidName})`;
}

/** Whether this object carries the label. */
export function hasLabel(object: string, label: string): string {
  return `${object}.metadata.?labels[?${literal(label)}].hasValue()`;
}

/** The label's value, or an empty string. */
export function labelOf(object: string, label: string): string {
  return `${object}.metadata.?labels[?${literal(label)}].orValue('')`;
}

/** Whether an update left these fields as they were. Fields are paths below the object, such as `.metadata.labels`. */
export function unchanged(fields: readonly string[]): string {
  return fields.map((field) => `object${optional(field)} == oldObject${optional(field)}`).join(' && ');
}

/** `.metadata.labels` as `.metadata.?labels`: absent on both sides counts as the same. */
function optional(field: string): string {
  const dot = field.lastIndexOf('.');
  return `${field.slice(0, dot)}.?${field.slice(dot + 1)}`;
}

/**
 * What others than the operator must be able to do to an object of ours, so that nothing hangs: write it back as it is
 * (storage migration), and take finalizers off one that is being deleted (garbage collector: also off a living one, and
 * owner references with them). `content` is what the object says, beyond its metadata.
 */
export function harmlessUpdate(content: readonly string[]): string {
  const said = unchanged(['.metadata.labels', '.metadata.annotations', ...content]);
  const owners = unchanged(['.metadata.ownerReferences']);
  const finalizers = unchanged(['.metadata.finalizers']);
  return `(request.operation == "UPDATE" && ${said} && (${callerIsOneOf(garbageCollector)} || (${owners} && (has(oldObject.metadata.deletionTimestamp) || ${finalizers}))))`;
}
