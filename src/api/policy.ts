// AgentPolicy: what may be granted in the namespaces that it selects, whoever asks. Guardrails, as an object that admins edit.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import { credential } from './credential.ts';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { openEnvelope, type Parsed, readObject } from './object.ts';
import { permission, scope } from './permission.ts';
import { expression, policyConditions } from './restrictions.ts';
import {
  duration,
  integer,
  line,
  listOf,
  mapOf,
  namespaceName,
  objectName,
  PRINTABLE,
  required,
  ruled,
  text,
} from './schema.ts';
import { dataSensitivity } from './sensitivity.ts';
import { severity, signalName } from './signal.ts';

const LABEL_KEY = text({ min: 1, max: 317 });
const LABEL_VALUE = text({ max: 63 });

/** A LabelSelector as meta/v1 has it. */
const labelSelector = z.object({
  matchLabels: mapOf(LABEL_VALUE, { max: 16 })
    .optional()
    .describe('Labels that a namespace must have, with these values.'),
  matchExpressions: listOf(
    ruled(
      z.object({
        key: LABEL_KEY.describe('The label that this is about.'),
        operator: z
          .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
          .describe('In and NotIn go by values; Exists and DoesNotExist by whether the label is there.'),
        values: listOf(LABEL_VALUE, { max: 32 }).optional().describe('For In and NotIn, and only for these.'),
      }),
      [
        {
          cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
          fieldPath: '.values',
          message: 'In and NotIn need values, Exists and DoesNotExist must have none: add or remove values',
          holds: ({ operator, values }) =>
            (operator === 'In' || operator === 'NotIn') === (values !== undefined && values.length > 0),
        },
      ],
    ),
    { max: 16 },
  )
    .optional()
    .describe('Further conditions on labels; all must hold.'),
});

const WHY_WANTED = 'say why, for whoever is refused by this line or reviews it';
const { namespaces: _, scope: __, ...rule } = permission.shape;

const deny = z.object({
  why: required(line(256, WHY_WANTED), `${WHY_WANTED}: set why`).describe(
    'Required. Why. It is shown to whoever is refused.',
  ),
  unlessAllowed: z
    .boolean()
    .optional()
    .describe(
      'Whether this line gives way to an `allow` of any policy that selects the namespace. Left out or false: nothing lifts it.',
    ),
  ...rule,
});

const allow = z.object({
  why: required(line(256, WHY_WANTED), `${WHY_WANTED}: set why`).describe('Required. Why. For whoever reviews it.'),
  scope: scope
    .optional()
    .describe(
      'Cluster: the line allows permissions of scope Cluster, which no other line does, to grants that live in the namespaces that the policy selects, and allows nothing else. Verbs that write must be named there: * stands for get, list and watch. Left out or Namespace: the line allows permissions in the namespaces that the policy selects.',
    ),
  ...rule,
});

const limits = z.object({
  maxGrantDuration: duration()
    .optional()
    .describe('The longest time that one grant may last, such as 45m or 8h. The strictest of all limits counts.'),
  maxDataSensitivity: dataSensitivity()
    .optional()
    .describe(
      'The most sensitive data that a grant may reach, by the label hallpass.dev/data-sensitivity of the namespace: public, internal, confidential or restricted.',
    ),
  maxActiveGrants: integer(1, 1000)
    .optional()
    .describe('How many grants of one agent may be active at the same time. One more waits until another ends.'),
});

const approval = z.object({
  when: expression()
    .optional()
    .describe(
      'For which grants this line is, in CEL, over agent, grant and signals; docs/expressions.md has what there is. Where it cannot be evaluated, the line is for that grant. Left out: for every grant.',
    ),
  why: required(line(256, WHY_WANTED), `${WHY_WANTED}: set why`).describe(
    'Required. Why. It is shown to whoever waits for it.',
  ),
  count: required(integer(1, 10), 'say how many people must approve: set count, from 1 to 10').describe(
    'Required. How many different people must approve.',
  ),
  groups: listOf(line(256, 'name a group as the cluster knows it'), { max: 16 })
    .optional()
    .describe(
      'Only people of one of these groups count, by their groups at the time of the review. Left out or empty: whoever holds the verb approve on the grant.',
    ),
});

const serviceAccounts = listOf(
  z.object({
    namespace: namespaceName().describe('Namespace of the ServiceAccount.'),
    name: objectName().describe('Name of the ServiceAccount. That of an agent never counts.'),
  }),
  { max: 32 },
);

const reviewers = z.object({
  serviceAccounts: serviceAccounts
    .optional()
    .describe('ServiceAccounts whose reviews count as those of people do. Left out: none.'),
});

const subject = ruled(
  z.object({
    kind: z.enum(['User', 'Group', 'ServiceAccount']).describe('What name is the name of.'),
    name: line(1024, 'name a user, a group or a ServiceAccount as the cluster knows it').describe('Its name.'),
    namespace: namespaceName().optional().describe('Namespace of a ServiceAccount, and only of one.'),
  }),
  [
    {
      cel: "(self.kind == 'ServiceAccount') == has(self.namespace)",
      fieldPath: '.namespace',
      message: 'a ServiceAccount has a namespace, a User and a Group have none: add or remove namespace',
      holds: ({ kind, namespace }) => (kind === 'ServiceAccount') === (namespace !== undefined),
    },
  ],
);

/** Of Kubernetes' own groups, which stand for cluster admins, or for whoever is let in at all. */
export const SYSTEM_PREFIX = 'system:';

const ownerGroup = ruled(text({ min: 1, max: 256, pattern: PRINTABLE }), [
  {
    cel: `!self.startsWith('${SYSTEM_PREFIX}')`,
    message: `a group that begins with ${SYSTEM_PREFIX} is Kubernetes' own and owns no agent: name the group of a team`,
    holds: (group) => !group.startsWith(SYSTEM_PREFIX),
  },
]);

const pipeline = z.object({
  subjects: required(
    listOf(subject, { max: 16, atLeastOne: 'name whom this is about: add to subjects' }),
    'name whom this is about: set subjects',
  ).describe('Required. Users, groups and ServiceAccounts that write what others have decided: GitOps, restores.'),
  ownerGroups: required(
    listOf(ownerGroup, { max: 32, atLeastOne: 'name the groups that may answer for agents here: add to ownerGroups' }),
    'name the groups that may answer for agents here: set ownerGroups',
  ).describe(
    "Required. The groups of which one must be the owner of the agent, and must hold what the grant hands out, in place of the pipeline. Never one of Kubernetes' own (system:).",
  ),
  review: z
    .enum(['Waived'])
    .optional()
    .describe(
      'Waived: what the pipeline writes needs no approval for that, where whoever changes its source has been reviewed there. Left out: one person must approve it.',
    ),
});

const response = z.object({
  signal: required(
    signalName,
    'say which facts this is about: set signal to Incident, ChangeFreeze, Risk or PolicyViolation',
  ).describe('Required. The kind of fact that this is about.'),
  severity: required(severity, 'say from which severity on: set severity to Low, Medium, High or Critical').describe(
    'Required. From which severity on.',
  ),
  action: required(z.enum(['Suspend', 'Revoke']), 'say what happens then: set action to Suspend or Revoke').describe(
    'Required. Suspend: what the grants concerned give is withdrawn until the signal is lifted. Revoke: those that gave access end for good, and nothing new is given until it is lifted.',
  ),
});

const reporters = z.object({
  users: listOf(line(256, 'name a user as the cluster knows them'), { max: 32 })
    .optional()
    .describe('Users, by the names that the API server knows.'),
  groups: listOf(line(256, 'name a group as the cluster knows it'), { max: 32 })
    .optional()
    .describe('Groups, of which each member counts.'),
  serviceAccounts: serviceAccounts.optional().describe('ServiceAccounts.'),
});

const freeze = z.object({
  reason: required(
    line(256, 'say why, for everybody whose access stops'),
    'say why, for everybody whose access stops: set spec.freeze.reason',
  ).describe('Required. Why. It is shown in the status of every grant that it stops.'),
});

export const policySpec = z.object({
  namespaceSelector: required(
    labelSelector,
    'say which namespaces this is for: set spec.namespaceSelector; {} selects every namespace',
  ).describe(
    'Required. The namespaces that this is for, by their labels; {} is every namespace. A grant is held against the policies of its own namespace and of those it reaches into. Select by labels that tenants cannot change, such as kubernetes.io/metadata.name.',
  ),
  limits: limits.optional().describe('Limits on each grant. Of several policies the strictest counts.'),
  unlabelledDataSensitivity: dataSensitivity()
    .optional()
    .describe(
      'What a namespace without the label hallpass.dev/data-sensitivity counts as. Left out: internal. Of several policies the highest counts; a label with any other word counts as restricted.',
    ),
  deny: listOf(deny, { max: 64 })
    .optional()
    .describe(
      'What no grant may hold here: a grant that asks for any part of a line is refused. Every line of every policy counts, and a grant for the whole cluster is held against all policies.',
    ),
  allow: listOf(allow, { max: 64 })
    .optional()
    .describe(
      'What a grant may hold here although a line with `unlessAllowed` refuses it, although it is a wildcard, or (scope: Cluster) although it is for the whole cluster. It lifts nothing else, and gives nothing: who asks must hold it, and the ceiling must cover it.',
    ),
  approvals: listOf(approval, { max: 16 })
    .optional()
    .describe(
      'Who must approve a grant before it is given, by an AgentReview. Every line of every policy counts; one person can count for several lines. Nobody approves what they wrote, or what somebody wrote as whom they may act.',
    ),
  conditions: policyConditions
    .optional()
    .describe(
      'What must be true of a grant and its agent for access to be given and to stay. Every line of every policy counts.',
    ),
  credentials: listOf(credential(), {
    max: 8,
    atLeastOne:
      'name a credential that grants may use, such as Identity, or leave credentials out to say nothing of them',
    distinct: 'each credential has one place in the order of preference: take out of credentials what is there twice',
  })
    .optional()
    .describe(
      'How agents may prove themselves under grants of the namespaces that this selects, in order of preference: a grant that names none gets the first. Identity: by the token of their own ServiceAccount, as which whoever holds edit in its namespace can act. Of several policies only what each of those lists that have one; where none has, nothing is granted.',
    ),
  reviewers: reviewers.optional().describe('Who may review beside people, in the namespaces of the grants.'),
  requesterCheck: z
    .enum(['Continuous', 'AtIssue', 'Off'])
    .optional()
    .describe(
      'Whether creator and requester must hold what a grant hands out. Continuous: when it is issued, and from then on by RBAC; who loses it suspends the grant. AtIssue: when it is issued. Off: never. Left out: Continuous. Of several policies the strictest counts.',
    ),
  pipelines: listOf(pipeline, { max: 16 })
    .optional()
    .describe(
      'Whose own rights say nothing, since they hold everything and write for others. For grants of the namespaces that this selects, the group that owns the agent must hold what is handed out in their place, and a person must approve it.',
    ),
  deadMan: z
    .enum(['Required', 'BestEffort'])
    .optional()
    .describe(
      'What happens where a quota or an admission policy refuses the Job that ends access when hallpass is down. Required: nothing is given. BestEffort: access is given without it, and would outlive its end if every hallpass replica were dead, until the Job can be made. Left out: Required. Of several policies the strictest counts; what reaches the whole cluster always requires it.',
    ),
  responses: listOf(response, { max: 16 })
    .optional()
    .describe(
      'What follows from an AgentSignal in the namespaces that this selects, or in hallpass-system. Of several entries that meet one signal, the gravest action counts.',
    ),
  reporters: reporters
    .optional()
    .describe(
      'Who may lift what `responses` did, and what `conditions` and `approvals` that read signals withhold: by deleting the signal, or, of one that they reported themselves, by its expiry. Agents never count. Left out: nobody but cluster admins, and no signal ends by itself.',
    ),
  freeze: freeze
    .optional()
    .describe(
      'While set, nothing is granted here and all access is withdrawn, at once. It comes back when this is taken out, where its time has not run out.',
    ),
  enforcement: z
    .enum(['Enforce', 'Warn'])
    .optional()
    .describe(
      'Warn: nothing is refused or allowed; the status of each grant says what Enforce would refuse. Left out: Enforce.',
    ),
});

const policyStatus = z.object({});

export type PolicySpec = z.infer<typeof policySpec>;
export type ParsedPolicy = Parsed<PolicySpec, Record<string, never>>;

/** Everything that the CRD and the reference say about the kind. */
export const agentPolicyKind: KindDefinition = {
  kind: 'AgentPolicy',
  plural: 'agentpolicies',
  singular: 'agentpolicy',
  shortNames: ['agpol'],
  scope: 'Cluster',
  description:
    'An AgentPolicy says what grants may hold in the namespaces that it selects, whoever asks for them. Where no policy selects a namespace, nothing is granted. ' +
    'Of several, the strictest limit and every line of `deny` count. A change is held against every grant at once: what it refuses is withdrawn.',
  spec: policySpec,
  specDescription: 'The guardrails.',
  rules: [],
  columns: [
    {
      name: 'Enforcement',
      type: 'string',
      jsonPath: '.spec.enforcement',
      description: 'Warn refuses nothing; left out, it is Enforce.',
    },
    {
      name: 'Longest',
      type: 'string',
      jsonPath: '.spec.limits.maxGrantDuration',
      description: 'How long a grant may last.',
    },
    { name: 'Frozen', type: 'string', jsonPath: '.spec.freeze.reason', description: 'Why all access is stopped.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
  ],
};

/** Reads a stored AgentPolicy. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parsePolicy(value: unknown): ParsedPolicy {
  return readObject('AgentPolicy', { spec: policySpec, status: policyStatus, rules: [] }, openEnvelope(value));
}

export const agentPolicies: Resource<ParsedPolicy> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentpolicies',
  kind: 'AgentPolicy',
  namespaced: false,
  parse: parsePolicy,
};
