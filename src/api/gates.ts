// The gates of the decision about a grant, in the order in which they are asked, as its status lists them.

import * as z from 'zod';

/** NotAsked: it is asked only once all else is in order, or only when something is about to be made; this request has not got there. */
const outcome = z.enum(['Passed', 'Failed', 'NotAsked']);

const holds = (what: string) => outcome.optional().describe(what);

/** Each gate is described by what is so when it is passed. */
export const gateOutcomes = z.object({
  spec: holds('The stored spec is one that this version of hallpass accepts.'),
  agent: holds('The AgentIdentity exists, has its ServiceAccount and has not expired.'),
  stops: holds('No review has suspended the grant or its agent.'),
  certification: holds('The agent was certified in time, where its AgentIdentity wants that.'),
  signals: holds('No AgentPolicy withholds the grant because of an AgentSignal.'),
  boundary: holds('The grant stays inside the boundary of its AgentIdentity.'),
  policies: holds(
    'An AgentPolicy selects each namespace, one allows by name what is for the whole cluster, and none refuses the grant.',
  ),
  authors: holds(
    'Creator and requester, or for a pipeline the group that owns the agent, hold what the grant hands out; asked when it is about to be given, and from then on where policies want it.',
  ),
  consent: holds(
    'Every target namespace exists, is enabled for grants, and accepts those from the own one; the whole cluster is enabled.',
  ),
  ceiling: holds(
    'ClusterRole hallpass-grantable, as bound in each target namespace, covers the permissions; for the whole cluster hallpass-grantable-cluster does.',
  ),
  guards: holds('The admission guards are whole; asked when something is about to be made.'),
  knowledge: holds('What hallpass knows of the cluster is up to date; asked when something is about to be made.'),
  task: holds(
    'It can be seen whether the task that validity.endsWith names goes on; asked when something is about to be made.',
  ),
  creation: holds('What gives the access, and the Job that ends it, can be made.'),
  approvals: holds('As many people have approved the grant as AgentPolicies want.'),
  schedule: holds('The time at which access begins has come.'),
  windows: holds('One of the windows of the grant is open, or it has none.'),
  conditions: holds('What the grant and AgentPolicies want to be true is; asked once the agent is known.'),
});

export type Outcomes = z.infer<typeof gateOutcomes>;
export type Gate = keyof Outcomes;

/** Every gate, in order. */
export const GATES: readonly Gate[] = gateOutcomes.keyof().options;
