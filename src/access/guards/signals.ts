// Guards of signals: who reported one is on record, nobody changes it, and only whom policies trust takes it away.
import { GROUP, SYSTEM_NAMESPACE, VERSION } from '../../api/names.ts';
import { callerIsOneOf, harmlessUpdate, isAgentUser, literal, mayRelease, namespaceController } from './expressions.ts';
import { type Guard, mutating, validating } from './policy.ts';
import { namesCaller, stampOf } from './stamp.ts';

const signals = { apiGroup: GROUP, version: VERSION, resources: ['agentsignals'] };

const stamp = mutating({
  name: 'hallpass-reporters',
  resources: [{ ...signals, operations: ['CREATE'] }],
  mutations: [
    {
      patchType: 'JSONPatch',
      expression: `[JSONPatch{op: "add", path: "/stamps", value: {"reporter": ${stampOf('request.userInfo')}}}]`,
    },
  ],
});

const byAgent = isAgentUser('request.userInfo.username');

const reported = validating({
  name: 'hallpass-signals',
  resources: [{ ...signals, operations: ['CREATE', 'UPDATE'] }],
  rules: [
    {
      holds: `request.operation != "CREATE" || (has(object.stamps) && ${namesCaller('object.stamps.reporter')})`,
      message:
        'stamps must say who reported the signal. The MutatingAdmissionPolicy hallpass-reporters sets them and did not run: a cluster admin restores it with kubectl apply -k deploy/guards',
    },
    {
      holds: `request.operation != "CREATE" || !(${byAgent})`,
      message: 'agents report no signals: have what watches over them report it, under an account of its own',
    },
    {
      holds:
        'request.operation != "CREATE" || (object.metadata.?ownerReferences.orValue([]).size() == 0 && object.metadata.?finalizers.orValue([]).size() == 0)',
      message:
        'a signal has no owners, whose end would delete it and lift what it stopped, and no finalizers, which would keep its namespace from going: leave out metadata.ownerReferences and metadata.finalizers',
    },
    {
      holds: `request.operation != "CREATE" || request.namespace != ${literal(SYSTEM_NAMESPACE)} || !has(object.spec.agent)`,
      message: `a signal in ${SYSTEM_NAMESPACE} holds for the whole cluster: leave out spec.agent, or report it in the namespace of that agent`,
    },
    {
      holds:
        'request.operation != "CREATE" || timestamp(object.spec.expiresAt) > timestamp(object.metadata.creationTimestamp)',
      message: 'spec.expiresAt has passed, so that nothing would follow from it by itself: set a time to come',
    },
    {
      holds: `request.operation != "UPDATE" || ${harmlessUpdate(['.spec', '.stamps'])}`,
      message: 'a signal is a fact that was reported and never changes: report another, and have this one deleted',
    },
  ],
});

/**
 * Deleting a signal lifts what policies did because of it. Who is trusted with that, by all of these policies, is in its
 * status, which only the operator writes. Namespaces go with all that is in them, their grants included.
 */
const lifted = validating({
  name: 'hallpass-signal-lifters',
  resources: [{ ...signals, operations: ['DELETE'] }],
  variables: {
    told: 'has(oldObject.status) && has(oldObject.status.responses)',
    distrusting: `!variables.told ? [] : oldObject.status.responses.filter(response, !(request.userInfo.username in response.?users.orValue([])) && !response.?groups.orValue([]).exists(group, group in request.userInfo.?groups.orValue([])))`,
  },
  rules: [
    {
      holds: `${callerIsOneOf(namespaceController)} || ${mayRelease('oldObject.metadata.name')} || (variables.told && variables.distrusting.size() == 0 && !(${byAgent}))`,
      message:
        'who deletes a signal lifts what policies did because of it, and has to be trusted with that by all of them (spec.reporters of the AgentPolicy), or to hold the verb release on it, as cluster admins do',
      says: `!variables.told ? "agentsignals " + request.namespace + "/" + oldObject.metadata.name + ": hallpass has not said yet which policies respond to it (status.responses), so only who holds the verb release on it, as cluster admins do, may delete it" : "agentsignals " + request.namespace + "/" + oldObject.metadata.name + ": who deletes it lifts what policies did because of it, and you are not among those whom AgentPolicy " + variables.distrusting.map(response, response.policy).join(", ") + " trusts with that: whoever maintains AgentPolicies adds you to its spec.reporters"`,
    },
  ],
});

export const signalGuards: readonly Guard[] = [stamp, reported, lifted];
