// Guards of our own kinds: who wrote a grant, our finalizer, and that only the operator writes status and receipts.
import { MOST_AUTHORS } from '../../api/grant.ts';
import { FINALIZER, GROUP, SYSTEM_NAMESPACE, VERSION } from '../../api/names.ts';
import { callerVariables, harmlessUpdate, literal, mayRelease, unchanged } from './expressions.ts';
import { type Guard, mutating, validating } from './policy.ts';
import { namesCaller, stampOf } from './stamp.ts';

const ours = { apiGroup: GROUP, version: VERSION };

/** Everybody who wrote the spec before; older stamps name only two. */
const authorsBefore =
  'oldObject.stamps.?authors.orValue([oldObject.stamps.creator.username, oldObject.stamps.requester.username])';

const sameSpec = 'oldObject != null && object.?spec == oldObject.?spec';

/**
 * On every write: an unchanged spec keeps the old stamps, a changed one is the caller's. A match condition "spec changed"
 * would let an edit of labels carry forged stamps; server-side apply of lists would merge forged groups into the real ones.
 */
const stamp = mutating({
  name: 'hallpass-stamps',
  resources: [{ ...ours, operations: ['CREATE', 'UPDATE'], resources: ['agentgrants'] }],
  variables: {
    sameSpec,
    stamped: 'oldObject != null && has(oldObject.stamps)',
    authors: `!variables.stamped ? [] : ${authorsBefore}`,
    known: `variables.sameSpec || request.userInfo.username in variables.authors || variables.authors.size() >= ${MOST_AUTHORS}`,
  },
  mutations: [
    {
      patchType: 'JSONPatch',
      expression: `variables.sameSpec && !variables.stamped
  ? (has(object.stamps) ? [JSONPatch{op: "remove", path: "/stamps"}] : [])
  : [JSONPatch{op: "add", path: "/stamps", value: {
      "creator": dyn(variables.stamped ? ${stampOf('oldObject.stamps.creator')} : ${stampOf('request.userInfo')}),
      "requester": dyn(variables.sameSpec ? ${stampOf('oldObject.stamps.requester')} : ${stampOf('request.userInfo')}),
      "authors": dyn((variables.authors + (variables.known ? [] : [request.userInfo.username])).map(author, author))}}]`,
    },
  ],
});

/** The same rule once more, which refuses all requests for access while the policy above is missing. */
const stamped = validating({
  name: 'hallpass-stamps',
  resources: [{ ...ours, operations: ['CREATE', 'UPDATE'], resources: ['agentgrants'] }],
  variables: { sameSpec },
  rules: [
    {
      holds: `variables.sameSpec ? ${unchanged(['.stamps'])} : has(object.stamps) && ${namesCaller('object.stamps.requester')}`,
      message:
        'stamps must say who wrote the request. The MutatingAdmissionPolicy hallpass-stamps sets them and did not run: a cluster admin restores it with kubectl apply -k deploy/guards',
    },
    {
      holds: `oldObject != null && has(oldObject.stamps) ? has(object.stamps) && object.stamps.creator == oldObject.stamps.creator : variables.sameSpec || has(object.stamps) && ${namesCaller('object.stamps.creator')}`,
      message:
        'stamps.creator must say who created the grant. The MutatingAdmissionPolicy hallpass-stamps sets it and did not run: a cluster admin restores it with kubectl apply -k deploy/guards',
    },
    {
      holds: `variables.sameSpec || has(object.stamps) && (object.stamps.?authors.orValue([]).size() >= ${MOST_AUTHORS} || request.userInfo.username in object.stamps.?authors.orValue([])) && (oldObject == null || !has(oldObject.stamps) || ${authorsBefore}.all(author, author in object.stamps.authors))`,
      message:
        'stamps.authors must name everybody who wrote the spec. The MutatingAdmissionPolicy hallpass-stamps sets it and did not run: a cluster admin restores it with kubectl apply -k deploy/guards',
    },
  ],
});

const hasFinalizer = (object: string) => `${literal(FINALIZER)} in ${object}.metadata.?finalizers.orValue([])`;
const finalized = ['agentidentities', 'agentgrants'];

/** Set at creation, so that nothing can be created for an object before its clean-up is certain. */
const finalizer = mutating({
  name: 'hallpass-finalizer',
  resources: [{ ...ours, operations: ['CREATE'], resources: finalized }],
  when: { missing: `!(${hasFinalizer('object')})` },
  mutations: [
    {
      patchType: 'JSONPatch',
      expression: `has(object.metadata.finalizers)
  ? [JSONPatch{op: "add", path: "/metadata/finalizers/-", value: ${literal(FINALIZER)}}]
  : [JSONPatch{op: "add", path: "/metadata/finalizers", value: [${literal(FINALIZER)}]}]`,
    },
  ],
});

const finalizerKept = validating({
  name: 'hallpass-finalizer',
  resources: [{ ...ours, operations: ['CREATE', 'UPDATE'], resources: finalized }],
  variables: callerVariables,
  rules: [
    {
      holds: `request.operation != "CREATE" || ${hasFinalizer('object')}`,
      message: `the finalizer ${FINALIZER} must be on it from the start. The MutatingAdmissionPolicy hallpass-finalizer sets it and did not run: a cluster admin restores it with kubectl apply -k deploy/guards`,
    },
    {
      holds: `request.operation != "UPDATE" || !(${hasFinalizer('oldObject')}) || ${hasFinalizer('object')} || variables.operator || ${mayRelease()}`,
      message: `the finalizer ${FINALIZER} stands for access that may still exist, and only hallpass takes it off. Keep it in metadata.finalizers (kubectl apply does). When hallpass is gone for good, whoever holds the verb release on the object may remove it`,
      says: `request.resource.resource + " " + request.namespace + "/" + request.name + ": the finalizer ${FINALIZER} stands for access that may still exist, and only hallpass takes it off. Keep it in metadata.finalizers (kubectl apply does). When hallpass is gone for good, whoever holds the verb release on it may remove the finalizer"`,
    },
    {
      holds: `!variables.namedOperator || (request.operation == "UPDATE" && ${unchanged(['.spec', '.metadata.labels', '.metadata.annotations'])})`,
      message:
        "hallpass itself changes nothing of a grant or an identity but finalizers and status: a request is its author's",
    },
  ],
});

const records = validating({
  name: 'hallpass-records',
  resources: [
    {
      ...ours,
      operations: ['CREATE', 'UPDATE'],
      resources: [
        'agentidentities/status',
        'agentgrants/status',
        'agentsignals/status',
        'agentreceipts',
        'agentreceipts/status',
      ],
    },
  ],
  variables: callerVariables,
  rules: [
    {
      holds: `variables.operator || (request.?subResource.orValue("") == "" && ${harmlessUpdate(['.spec'])})`,
      message:
        'only hallpass writes status and receipts: they are the record of what it did. To change access, change the spec of the grant or delete the grant',
      says: 'request.resource.resource + " " + request.namespace + "/" + request.name + ": only hallpass writes status and receipts, they are the record of what it did. To change access, change the spec of the grant or delete the grant"',
    },
    {
      holds: `request.resource.resource != "agentreceipts" || request.namespace == ${literal(SYSTEM_NAMESPACE)}`,
      message: `receipts exist only in the namespace ${SYSTEM_NAMESPACE}, where hallpass writes them: a request for access is an AgentGrant`,
    },
  ],
});

/** Accepted, so that a Git repository can be applied again; but nobody should wonder why nothing happens. */
const bornExpired = validating({
  name: 'hallpass-born-expired',
  warns: true,
  resources: [{ ...ours, operations: ['CREATE'], resources: ['agentgrants'] }],
  when: { 'ends-at-a-time': 'has(object.spec.validity.notAfter)' },
  rules: [
    {
      holds: 'timestamp(object.spec.validity.notAfter) > timestamp(object.metadata.creationTimestamp)',
      message:
        'spec.validity.notAfter has passed: the grant is born Expired and gives no access. For access, set a time in the future',
      says: '"spec.validity.notAfter (" + string(object.spec.validity.notAfter) + ") has passed: the grant is born Expired and gives no access. For access, set a time in the future"',
    },
  ],
});

export const ownKindGuards: readonly Guard[] = [stamp, stamped, finalizer, finalizerKept, records, bornExpired];
