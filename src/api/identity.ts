// AgentIdentity: who an agent is, who answers for it, and the most that it can ever be granted.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { nameRule, openEnvelope, type Parsed, readObject } from './object.ts';
import {
  duration,
  integer,
  line,
  listOf,
  namespaceName,
  objectName,
  PRINTABLE,
  recordedTime,
  required,
  text,
  time,
  uid,
} from './schema.ts';
import { dataSensitivity } from './sensitivity.ts';
import { conditions, observedGeneration, STATUS_LIMITS } from './status.ts';

const OWNER_WANTED = 'name the user or group that answers for the agent';

const owner = z.object({
  kind: required(z.enum(['User', 'Group']), 'say whether the owner is a User or a Group: set spec.owner.kind').describe(
    'Required. Whether name is the name of a User or of a Group.',
  ),
  name: required(line(256, OWNER_WANTED), `${OWNER_WANTED}: set spec.owner.name`).describe(
    'Required. The user or group that answers for the agent, as the cluster knows it (`kubectl auth whoami` prints both).',
  ),
  contact: line(256, 'say how to reach the owner, or leave contact out')
    .optional()
    .describe('How to reach the owner: a mail address, a channel, an on-call rota.'),
});

const boundary = z.object({
  namespaces: listOf(namespaceName(), { max: 64 })
    .optional()
    .describe(
      'Namespaces that grants of this agent may reach into. Left out or empty: only the namespace of the identity.',
    ),
  clusterScope: z
    .boolean()
    .optional()
    .describe(
      'Whether grants of this agent may have permissions of scope Cluster, which hold in every namespace. Left out: false.',
    ),
  maxGrantDuration: duration()
    .optional()
    .describe(
      'The longest time that one grant may last, such as 45m or 1h30m. Left out: 2160h, the most that any grant can ask for.',
    ),
  maxDataSensitivity: dataSensitivity()
    .optional()
    .describe(
      'The most sensitive data that a grant may reach: public, internal, confidential or restricted. It goes by the label hallpass.dev/data-sensitivity of the namespace. Left out: no limit of its own.',
    ),
  maxActiveGrants: integer(1, 1000)
    .optional()
    .describe('How many grants of this agent may be active at the same time. One more waits until another ends.'),
});

export const identitySpec = z.object({
  purpose: required(
    line(512, 'say what the agent is for'),
    'say what the agent is for, so that a reader can judge whether its grants fit: set spec.purpose',
  ).describe(
    'Required. What the agent is for, in a sentence or two that let a stranger judge whether a grant fits. One line.',
  ),
  owner: required(
    owner,
    'an agent needs someone who answers for it: set spec.owner.kind (User or Group) and spec.owner.name',
  ).describe('Required. Who answers for the agent. There are no anonymous agents.'),
  boundary: boundary
    .optional()
    .describe(
      "The owning team's own limit on what the agent can be granted. Narrowing it suspends live grants beyond it at once.",
    ),
  review: z
    .object({
      every: required(
        duration(),
        'say how often the agent is to be certified: set spec.review.every, such as 720h',
      ).describe(
        'Required. At the latest this long after the last certification, or after the identity was created, an AgentReview with decision Certify is due.',
      ),
    })
    .optional()
    .describe(
      'That somebody who answers for the agent says every so often that it is still wanted as it is. While that is overdue, its grants are suspended. Left out: nobody has to.',
    ),
  expiresAt: time()
    .optional()
    .describe(
      'When the identity ends, for good: its grants are ended first, then its ServiceAccount goes. Left out: it has no end.',
    ),
});

const count = integer(0, 2 ** 31 - 1);

const standingAccess = z.object({
  binding: z.enum(['RoleBinding', 'ClusterRoleBinding']).describe('Kind of the binding.'),
  namespace: text({ max: 63 }).optional().describe('Namespace of a RoleBinding.'),
  name: text({ max: STATUS_LIMITS.name }).describe('Name of the binding.'),
  role: text({ max: STATUS_LIMITS.name }).describe('What is bound: Role/<name> or ClusterRole/<name>.'),
  subject: text({ max: STATUS_LIMITS.name }).describe(
    'The subject that includes the agent, such as `Group system:authenticated`.',
  ),
});

export const identityStatus = z.object({
  observedGeneration: observedGeneration.optional(),
  conditions: conditions.optional(),
  serviceAccount: z
    .object({
      name: objectName().describe('Its name, in the namespace of the identity.'),
      uid: uid().describe('Its uid. It changes when the ServiceAccount was re-created; pods must then be restarted.'),
    })
    .optional()
    .describe(
      'The ServiceAccount that pods of the agent run as. Give a pod the label hallpass.dev/agent: <name of the identity>.',
    ),
  certifiedAt: recordedTime().optional().describe('When the agent was certified last.'),
  certifiedBy: z
    .object({
      review: text({ max: 253 }).describe('Name of the AgentReview, in the namespace of the identity.'),
      uid: uid().describe('Its uid.'),
      reviewer: text({ max: 1024, pattern: PRINTABLE }).describe(
        'User name of the reviewer, made safe to print: what a terminal would act on stands there as an escape.',
      ),
    })
    .optional()
    .describe('The AgentReview that certified it. When that is deleted, the one before counts.'),
  reviewDueAt: recordedTime().optional().describe('When the next certification is due. Left out where spec.review is.'),
  activeGrants: integer(0, 2 ** 31 - 1)
    .optional()
    .describe('How many grants of this agent are active right now.'),
  blastRadius: z
    .object({
      namespaces: count.describe(
        'In how many namespaces the agent holds anything, beside what it holds in the whole cluster.',
      ),
      clusterRules: count
        .optional()
        .describe('How many different rules it holds in the whole cluster. Left out: none.'),
      rules: count.describe('How many different rules it holds; the same rule in two namespaces is one.'),
      mutatingRules: count.describe('Those of them that may change something: with a verb beside get, list and watch.'),
      sensitiveRules: count.describe(
        'Those of them that an AgentPolicy refuses where no exception is made (spec.deny of a policy of the namespace).',
      ),
    })
    .optional()
    .describe('How much the agent can do right now by its active grants. Left out while it has none.'),
  standingAccess: listOf(standingAccess, { max: STATUS_LIMITS.standingAccess })
    .optional()
    .describe(
      'Bindings that hallpass did not make and that give the agent rights beside its grants, directly or by a group.',
    ),
});

export type IdentitySpec = z.infer<typeof identitySpec>;
export type IdentityStatus = z.infer<typeof identityStatus>;
export type ParsedIdentity = Parsed<IdentitySpec, IdentityStatus>;

/** Everything that the CRD and the reference say about the kind. */
export const agentIdentityKind: KindDefinition = {
  kind: 'AgentIdentity',
  plural: 'agentidentities',
  singular: 'agentidentity',
  shortNames: ['agentid'],
  description:
    'An AgentIdentity says who an AI agent is, who answers for it, and the most that it can ever be granted. It gives no access: that takes an AgentGrant. ' +
    'hallpass makes a ServiceAccount for it that can do nothing but prove who it is; a pod with the label hallpass.dev/agent: <name> runs as it.',
  spec: identitySpec,
  specDescription: 'Who the agent is, as its team declares it.',
  status: identityStatus,
  statusDescription: 'What hallpass made of it. Only hallpass writes it.',
  rules: [nameRule],
  columns: [
    { name: 'Owner', type: 'string', jsonPath: '.spec.owner.name', description: 'Who answers for the agent.' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether its ServiceAccount is there.',
    },
    { name: 'Grants', type: 'integer', jsonPath: '.status.activeGrants', description: 'Active grants right now.' },
    {
      name: 'Standing',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="StandingAccess")].status',
      description: 'Whether other bindings give it rights.',
    },
    { name: 'Expires', type: 'string', jsonPath: '.spec.expiresAt', description: 'When the identity ends.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
    {
      name: 'Rules',
      type: 'integer',
      jsonPath: '.status.blastRadius.rules',
      description: 'How many different rules it holds right now.',
      priority: 1,
    },
    {
      name: 'Mutating',
      type: 'integer',
      jsonPath: '.status.blastRadius.mutatingRules',
      description: 'Those of them that may change something.',
      priority: 1,
    },
    {
      name: 'Sensitive',
      type: 'integer',
      jsonPath: '.status.blastRadius.sensitiveRules',
      description: 'Those of them that a policy refuses where no exception is made.',
      priority: 1,
    },
    {
      name: 'Certify by',
      type: 'string',
      jsonPath: '.status.reviewDueAt',
      description: 'When its next certification is due.',
      priority: 1,
    },
    { name: 'Purpose', type: 'string', jsonPath: '.spec.purpose', description: 'What the agent is for.', priority: 1 },
  ],
};

/** Reads a stored AgentIdentity. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parseIdentity(value: unknown): ParsedIdentity {
  return readObject(
    'AgentIdentity',
    { spec: identitySpec, status: identityStatus, rules: [nameRule] },
    openEnvelope(value),
  );
}

export const agentIdentities: Resource<ParsedIdentity> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentidentities',
  kind: 'AgentIdentity',
  namespaced: true,
  parse: parseIdentity,
};
