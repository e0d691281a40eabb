// Guards of reviews: who made the decision is on record, may make it, and nobody changes it afterwards.
import { GROUP, VERSION } from '../../api/names.ts';
import { harmlessUpdate } from './expressions.ts';
import { type Guard, mutating, validating } from './policy.ts';
import { namesCaller, stampOf } from './stamp.ts';

const reviews = { apiGroup: GROUP, version: VERSION, resources: ['agentreviews'] };

const stamp = mutating({
  name: 'hallpass-reviewers',
  resources: [{ ...reviews, operations: ['CREATE'] }],
  mutations: [
    {
      patchType: 'JSONPatch',
      expression: `[JSONPatch{op: "add", path: "/stamps", value: {"reviewer": ${stampOf('request.userInfo')}}}]`,
    },
  ],
});

const plural = "(object.spec.target.kind == 'AgentGrant' ? 'agentgrants' : 'agentidentities')";
const may = (verb: string) =>
  `authorizer.group('${GROUP}').resource(${plural}).namespace(request.namespace).name(object.spec.target.name).check('${verb}').allowed()`;
/** Who owns an agent stands in the identity, which admission can't read: `own` lets its holder say so, and hallpass judges. */
const mayDecide = `(object.spec.decision == 'Certify' ? ${may('certify')} || ${may('own')} : ${may('approve')})`;

const reviewed = validating({
  name: 'hallpass-reviews',
  resources: [{ ...reviews, operations: ['CREATE', 'UPDATE'] }],
  rules: [
    {
      holds: `request.operation != "CREATE" || (has(object.stamps) && ${namesCaller('object.stamps.reviewer')})`,
      message:
        'stamps must say who made the decision. The MutatingAdmissionPolicy hallpass-reviewers sets them and did not run: a cluster admin restores it with kubectl apply -k deploy/guards',
    },
    {
      holds: `request.operation != "CREATE" || ${mayDecide}`,
      message:
        'who reviews needs the verb approve on what the review is about, who certifies the verb certify or own: a cluster admin binds ClusterRole hallpass-reviewer, hallpass-certifier or hallpass-owner in its namespace',
      says: `"you may not review " + ${plural} + " " + object.spec.target.name + " in namespace " + request.namespace + (object.spec.decision == "Certify" ? ": to certify takes the verb certify on it, or own for its owner; a cluster admin binds ClusterRole hallpass-certifier or hallpass-owner to you in that namespace" : ": it takes the verb approve on it; a cluster admin binds ClusterRole hallpass-reviewer to you in that namespace")`,
    },
    {
      holds: 'request.operation != "CREATE" || object.metadata.?ownerReferences.orValue([]).size() == 0',
      message:
        'metadata.ownerReferences: a review has no owner, with whose end the garbage collector would undo what was decided. Leave them out',
    },
    {
      holds: `request.operation != "UPDATE" || ${harmlessUpdate(['.spec', '.stamps'])}`,
      message: 'a review is a decision that was made and never changes: make another one',
    },
  ],
});

export const reviewGuards: readonly Guard[] = [stamp, reviewed];
