// AgentGrant: one request for access, for one task and a bounded time, and what became of it.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import { credential } from './credential.ts';
import type { KindDefinition } from './definition.ts';
import { gateOutcomes } from './gates.ts';
import { GROUP, VERSION } from './names.ts';
import { nameRule, openEnvelope, type Parsed, readObject, readStamps } from './object.ts';
import { permission } from './permission.ts';
import { specHash } from './request.ts';
import { grantConditions, windows } from './restrictions.ts';
import {
  duration,
  identityName,
  line,
  listOf,
  objectName,
  PRINTABLE,
  recordedTime,
  required,
  ruled,
  TIME,
  text,
  time,
  uid,
} from './schema.ts';
import { stamp } from './stamp.ts';
import { conditions, ENDED_AT, observedGeneration, STATUS_LIMITS } from './status.ts';

/** So many people are remembered as authors of one grant. With as many, nobody is known not to be one, and nobody approves it. */
export const MOST_AUTHORS = 32;

/** When one of the two is a time that can't be read, another rule says so. */
function endsAfterBeginning({ notBefore, notAfter }: { notBefore?: string; notAfter?: string }): boolean {
  if (notBefore === undefined || notAfter === undefined) return true;
  return Date.parse(notAfter) > Date.parse(notBefore);
}

const END_MISSING =
  'access needs an end in time: set validity.duration, such as 1h30m, or validity.notAfter, such as 2026-03-01T17:00:00Z, or both';

/** A Job or a Pod beside the grant. */
export const endsWith = z.object({
  kind: required(
    z.enum(['Job', 'Pod']),
    'say whether access ends with a Job or with a Pod: set spec.validity.endsWith.kind',
  ).describe('Required. Job or Pod.'),
  name: required(
    objectName(),
    'say which Job or Pod access ends with: set spec.validity.endsWith.name to its name, in the namespace of the grant',
  ).describe('Required. Its name, in the namespace of the grant.'),
});

const validity = ruled(
  z.object({
    notBefore: time().optional().describe('When access may begin. Left out: at once.'),
    notAfter: time()
      .optional()
      .describe(
        'When access ends at the latest, at most 2160h after it begins. One that has passed is accepted and gives nothing, so that old manifests can be applied again.',
      ),
    duration: duration()
      .optional()
      .describe(
        'How long access lasts from when it begins, in whole seconds, such as 90s, 45m or 1h30m; at most 2160h. With notAfter too, the earlier end counts.',
      ),
    endsWith: endsWith
      .optional()
      .describe(
        'The task that access ends with, when that comes before the end in time: once the Job or Pod has finished, is being deleted or is gone. Access does not wait for it to begin.',
      ),
  }),
  [
    {
      cel: 'has(self.notAfter) || has(self.duration)',
      message: END_MISSING,
      reason: 'FieldValueRequired',
      holds: (value) => value.notAfter !== undefined || value.duration !== undefined,
    },
    {
      cel: `!has(self.notBefore) || !has(self.notAfter) || !self.notBefore.matches('${TIME}') || !self.notAfter.matches('${TIME}') || timestamp(self.notAfter) > timestamp(self.notBefore)`,
      fieldPath: '.notAfter',
      message:
        'the end must be later than the beginning: move validity.notAfter after validity.notBefore, or leave notBefore out',
      holds: endsAfterBeginning,
    },
  ],
);

const task = z.object({
  description: required(
    line(1024, 'say what the agent is to do'),
    'say what the access is for: set spec.task.description',
  ).describe(
    'Required. What the agent is to do, for people and the record, in one line. It never decides anything, and editing it is no new request.',
  ),
  ref: line(256, 'say where the task is tracked, or leave ref out')
    .optional()
    .describe(
      'Where the task is tracked: a ticket, an incident, a URL. A new ref makes the same request a new one, which is how to ask again.',
    ),
});

export const grantSpec = z.object({
  agent: required(
    identityName(),
    'say which agent the access is for: set spec.agent to the name of an AgentIdentity in this namespace',
  ).describe('Required. Name of the AgentIdentity, in the namespace of the grant, that gets the access.'),
  task: required(task, 'say what the access is for: set spec.task.description').describe(
    'Required. What the access is for.',
  ),
  permissions: required(
    listOf(permission, {
      max: 32,
      atLeastOne: 'ask for at least one permission, or delete the grant to end its access',
    }),
    'say what the agent may do: set spec.permissions to 1 to 32 entries of apiGroups, resources and verbs',
  ).describe(
    'Required. What the agent may do. Each entry is a rule as RBAC has it, in the namespaces that it names or in the whole cluster; whoever asks must hold all of it.',
  ),
  validity: required(validity, END_MISSING).describe(
    'Required. When the access holds. It must have an end: notAfter, duration or both. The end is fixed when access begins and never moves later.',
  ),
  windows: windows
    .optional()
    .describe(
      'Hours of the day and the week in which the access holds, within its validity. Outside of all of them it is withdrawn. Left out or empty: always.',
    ),
  conditions: grantConditions
    .optional()
    .describe('What must be true for the access to be given and to stay. Every one must be.'),
  credential: credential()
    .optional()
    .describe(
      "How the agent proves itself. Identity: by the token of its own ServiceAccount, to which the grant's rights are bound. Left out: the first that AgentPolicies allow.",
    ),
});

export const grantStamps = z.object({
  creator: stamp.describe('Who created the grant.'),
  requester: stamp.describe('Who last changed its spec.'),
  authors: listOf(text({ max: 1024 }), { max: MOST_AUTHORS })
    .optional()
    .describe('User names of everybody who has written its spec, each once. None of them can approve it.'),
});

const reason = z.object({
  reason: text({ max: 128 }).describe(
    'The check that is not passed, or what should be known, as one word for machines. The reference lists every reason.',
  ),
  message: text({ max: STATUS_LIMITS.message }).describe('What is wrong and what helps, for people.'),
  gate: text({ max: 63 }).optional().describe('The gate that is not passed, one of status.gates.'),
  policy: text({ max: 253 })
    .optional()
    .describe('Name of the AgentPolicy that decided. Left out where none did by itself.'),
  line: text({ max: STATUS_LIMITS.line })
    .optional()
    .describe('The path in that policy that decided, such as spec.deny[3] or spec.limits.maxGrantDuration.'),
  remedy: text({ max: STATUS_LIMITS.remedy })
    .optional()
    .describe('What would have to change, for people; part of the message.'),
  by: listOf(text({ max: 63 }), { max: STATUS_LIMITS.by })
    .optional()
    .describe(
      'Who can do that, or a part of it, as words for machines, such as Requester or PolicyAdmin. The reference lists every one. Left out where nothing has to be done, or nothing helps any more.',
    ),
});

const decision = z.object({
  id: text({ max: 64 }).describe(
    'Digest of what was decided and of everything that it rests on. The log of hallpass has a line "decision" with this id and the versions of all inputs.',
  ),
  time: recordedTime().describe('When this was decided first. As long as the verdict stays the same, so does this.'),
  policies: listOf(text({ max: 253 }), { max: STATUS_LIMITS.policies })
    .optional()
    .describe('Names of the AgentPolicies that the grant was held against.'),
});

const approval = z.object({
  review: text({ max: 253 }).describe('Name of the AgentReview, in the namespace of the grant.'),
  uid: uid().describe('Its uid.'),
  reviewer: text({ max: 1024, pattern: PRINTABLE }).describe(
    'User name of the reviewer, made safe to print: what a terminal would act on stands there as an escape.',
  ),
  specHash: text({ max: 128 }).describe(
    'Digest of the request that was approved. Narrowing a live grant needs no new approval.',
  ),
});

const createdObject = z.object({
  kind: text({ max: 63 }).describe('Kind of the object.'),
  namespace: text({ max: 63 })
    .optional()
    .describe('Its namespace. Left out of what is in none, such as a ClusterRole.'),
  name: text({ max: 253 }).describe('Its name.'),
  uid: text({ max: 128 })
    .optional()
    .describe('Its uid. Left out of bindings and Services: who knows it could hold up their deletion.'),
});

export const grantStatus = z.object({
  observedGeneration: observedGeneration.optional(),
  phase: z
    .enum(['Pending', 'AwaitingApproval', 'Scheduled', 'Active', 'Suspended', 'Expired', 'Revoked', 'Denied'])
    .optional()
    .describe(
      'Where the grant stands, in one word. The agent has access only while it is Active; Expired, Revoked and Denied are final.',
    ),
  message: text({ max: STATUS_LIMITS.message, pattern: PRINTABLE })
    .optional()
    .describe('Where the grant stands, and what helps, in a sentence for people.'),
  reasons: listOf(reason, { max: STATUS_LIMITS.reasons })
    .optional()
    .describe('Every check that is not passed, not only the first.'),
  gates: gateOutcomes.optional().describe('Every check, with its outcome. Left out once the grant has ended.'),
  decision: decision.optional().describe('The decision that this status follows.'),
  warnings: listOf(reason, { max: STATUS_LIMITS.reasons })
    .optional()
    .describe(
      'What keeps nothing from being granted and should be known: what AgentPolicies that only warn would refuse, and permissions that do not do what they seem to.',
    ),
  requester: text({ max: 1024, pattern: PRINTABLE })
    .optional()
    .describe(
      'User name of stamps.requester, made safe to print: what a terminal would act on stands there as an escape.',
    ),
  requestedAt: recordedTime().optional().describe('When hallpass first saw this request.'),
  startTime: recordedTime().optional().describe('When access began.'),
  expiresAt: recordedTime()
    .optional()
    .describe('When access ends. It is fixed before access begins and never moves later.'),
  endedAt: recordedTime().optional().describe(ENDED_AT),
  task: endsWith
    .extend({ uid: uid().describe('Its uid. Another object that takes the name later is another task.') })
    .optional()
    .describe('The Job or Pod that access ends with, once hallpass has seen it.'),
  passingSince: recordedTime()
    .optional()
    .describe('While suspended: since when every check has been passed again, windows aside.'),
  specHash: text({ max: 128 })
    .optional()
    .describe('Digest of the request that this status speaks of. Another digest is another request.'),
  receipt: text({ max: 253 })
    .optional()
    .describe('Name of the AgentReceipt in hallpass-system, the record that this request was used.'),
  approvals: listOf(approval, { max: STATUS_LIMITS.approvals })
    .optional()
    .describe('The reviews that count as approvals of this request.'),
  created: listOf(createdObject, { max: STATUS_LIMITS.created })
    .optional()
    .describe('What was created to give the access, and where.'),
  conditions: conditions.optional(),
});

export type GrantSpec = z.infer<typeof grantSpec>;
export type GrantStamps = z.infer<typeof grantStamps>;
export type GrantStatus = z.infer<typeof grantStatus>;
export type ParsedGrant = Parsed<GrantSpec, GrantStatus> & {
  stamps?: GrantStamps;
  /** specHash of the spec as it is stored, valid or not. */
  hash: string;
};

/** Everything that the CRD and the reference say about the kind. */
export const agentGrantKind: KindDefinition = {
  kind: 'AgentGrant',
  plural: 'agentgrants',
  singular: 'agentgrant',
  shortNames: ['aggrant'],
  description:
    'An AgentGrant asks for access for one agent, for one task and a bounded time. When every check is passed, hallpass gives the access and fixes its end; at the end it is gone, also when hallpass is down. ' +
    'Deleting the grant ends its access at once. A request is granted at most once: to ask again, change task.ref or use a new name.',
  spec: grantSpec,
  specDescription: 'What is asked for, and why. A changed spec is a new request.',
  stamps: grantStamps,
  stampsDescription:
    'Who wrote the request, as the API server authenticated them. Admission sets it; whatever a manifest says here is replaced.',
  status: grantStatus,
  statusDescription: 'What became of the request. Only hallpass writes it.',
  rules: [nameRule],
  columns: [
    { name: 'Agent', type: 'string', jsonPath: '.spec.agent', description: 'Who gets the access.' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the grant stands.' },
    { name: 'Expires', type: 'string', jsonPath: '.status.expiresAt', description: 'When access ends.' },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Granted")].reason',
      description: 'Why it stands there.',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created.' },
    {
      name: 'Requester',
      type: 'string',
      jsonPath: '.status.requester',
      description: 'Who last changed the spec.',
      priority: 1,
    },
    {
      name: 'Task',
      type: 'string',
      jsonPath: '.spec.task.ref',
      description: 'Where the task is tracked.',
      priority: 1,
    },
    {
      name: 'Message',
      type: 'string',
      jsonPath: '.status.message',
      description: 'Where it stands, in a sentence.',
      priority: 1,
    },
  ],
};

/** Reads a stored AgentGrant. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parseGrant(value: unknown): ParsedGrant {
  const envelope = openEnvelope(value);
  const kind = { spec: grantSpec, status: grantStatus, rules: [nameRule] };
  const object = { ...readObject('AgentGrant', kind, envelope), hash: specHash(envelope.spec) };
  return readStamps(object, grantStamps, envelope);
}

export const agentGrants: Resource<ParsedGrant> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentgrants',
  kind: 'AgentGrant',
  namespaced: true,
  parse: parseGrant,
};
