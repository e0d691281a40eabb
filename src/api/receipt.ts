// AgentReceipt: the record that a request was used, written before its first right exists and kept when all else is gone.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import { PHASES, REASONS } from './conditions.ts';
import type { KindDefinition } from './definition.ts';
import { endsWith } from './grant.ts';
import { GROUP, VERSION } from './names.ts';
import { openEnvelope, type Parsed, readObject } from './object.ts';
import { line, listOf, namespaceName, objectName, PRINTABLE, recordedTime, ruled, text, uid } from './schema.ts';
import { ENDED_AT } from './status.ts';

const person = z.object({
  username: text({ max: 1024, pattern: PRINTABLE }).describe(
    'User name, as the API server authenticated it; what a terminal would act on stands there as an escape.',
  ),
  uid: text({ max: 1024 }).optional().describe('Uid of the user, where the API server knew one.'),
});

const rule = z.object({
  apiGroups: listOf(text({ max: 253 }), { max: 16 })
    .optional()
    .describe('API groups of the resources; "" is the core group.'),
  resources: listOf(text({ max: 253 }), { max: 16 })
    .optional()
    .describe('Resources, with a subresource where one is meant.'),
  resourceNames: listOf(text({ max: 253 }), { max: 32 })
    .optional()
    .describe('Names of single objects; left out: every object.'),
  verbs: listOf(text({ max: 63 }), { max: 16 }).describe('What could be done.'),
});

const access = z.object({
  namespace: namespaceName().optional().describe('Namespace in which the rules held. Left out: the whole cluster.'),
  rules: listOf(rule, { max: 32 }).describe('The rules, as RBAC has them.'),
});

/** Code points that the summary of what was given may have: it is a column of `kubectl get`. */
export const SUMMARY_LIMIT = 256;

const immutable = {
  cel: 'self == oldSelf',
  message: 'a receipt is a record and never changes: leave spec as it was',
  holds: () => true,
};

export const receiptSpec = ruled(
  z.object({
    grant: z
      .object({
        namespace: namespaceName().describe('Its namespace.'),
        name: objectName().describe('Its name.'),
        uid: uid().describe('Its uid.'),
      })
      .describe('The AgentGrant that made the request.'),
    specHash: text({ min: 1, max: 128 }).describe(
      'Digest of the request. No other grant of that namespace and name with this digest is ever granted again.',
    ),
    agent: z
      .object({
        name: objectName().describe('Name of its AgentIdentity.'),
        uid: uid().describe('Uid of its AgentIdentity.'),
      })
      .describe('The agent that got the access.'),
    creator: person.describe('Who created the grant.'),
    requester: person.describe('Who last changed its spec.'),
    task: z
      .object({
        description: line(1024, 'say what the access was for').describe('What the access was for.'),
        ref: line(256, 'say where the task is tracked').optional().describe('Where the task is tracked.'),
      })
      .describe('The task, as the grant stated it.'),
    decision: text({ max: 64 })
      .optional()
      .describe('Id of the decision by which it was given. The log of hallpass has a line "decision" with it.'),
    access: listOf(access, { max: 64 }).describe(
      'What was given, namespace by namespace; what holds in the whole cluster is an entry without one.',
    ),
    restrictions: text({ min: 1, max: 128 })
      .optional()
      .describe('Digest of the conditions and windows of the grant. Left out: it had none.'),
    summary: text({ max: SUMMARY_LIMIT, pattern: PRINTABLE })
      .optional()
      .describe('What was given, in a line for people, cut where it is long. access is the record.'),
    endsWith: endsWith
      .optional()
      .describe('The Job or Pod that access was to end with, in the namespace of the grant.'),
    startTime: recordedTime().describe('When access began.'),
    expiresAt: recordedTime().describe(
      'When access was to end at the latest. It may have ended before; status says so.',
    ),
  }),
  [immutable],
);

export const receiptStatus = z.object({
  outcome: z
    .enum(['Expired', 'Revoked', 'Superseded'])
    .optional()
    .describe(
      `How the access ended. Expired: ${PHASES.Expired} Revoked: ${PHASES.Revoked} Superseded: ${REASONS.Superseded} Absent while it is live.`,
    ),
  endedAt: recordedTime().optional().describe(ENDED_AT),
  reason: text({ max: 128, pattern: PRINTABLE }).optional().describe('Why it ended, as one word for machines.'),
  message: text({ max: 4096 }).optional().describe('Why it ended, for people.'),
});

export type ReceiptSpec = z.infer<typeof receiptSpec>;
export type ReceiptStatus = z.infer<typeof receiptStatus>;
export type ParsedReceipt = Parsed<ReceiptSpec, ReceiptStatus>;

/** Everything that the CRD and the reference say about the kind. */
export const agentReceiptKind: KindDefinition = {
  kind: 'AgentReceipt',
  plural: 'agentreceipts',
  singular: 'agentreceipt',
  shortNames: ['agrec'],
  description:
    'An AgentReceipt is the record that a request for access was used: who asked, for which agent and task, what was given, from when to when, and how it ended. ' +
    'hallpass writes it before access begins, in hallpass-system only, and it outlives the grant: it is why no request is granted twice, and the history for auditors. Back it up.',
  spec: receiptSpec,
  specDescription: 'What was given. It never changes.',
  status: receiptStatus,
  statusDescription: 'How the access ended.',
  rules: [],
  columns: [
    { name: 'Grant', type: 'string', jsonPath: '.spec.grant.name', description: 'Name of the grant.' },
    { name: 'Namespace', type: 'string', jsonPath: '.spec.grant.namespace', description: 'Namespace of the grant.' },
    { name: 'Agent', type: 'string', jsonPath: '.spec.agent.name', description: 'Who got the access.' },
    { name: 'Requester', type: 'string', jsonPath: '.spec.requester.username', description: 'Who asked for it.' },
    { name: 'Start', type: 'string', jsonPath: '.spec.startTime', description: 'When access began.' },
    { name: 'End', type: 'string', jsonPath: '.spec.expiresAt', description: 'When it was to end at the latest.' },
    {
      name: 'Outcome',
      type: 'string',
      jsonPath: '.status.outcome',
      description: 'How it ended; empty while it is live.',
    },
    {
      name: 'Ended',
      type: 'string',
      jsonPath: '.status.endedAt',
      description: 'When hallpass found it ended everywhere; where hallpass was down, later than it did.',
    },
    { name: 'Access', type: 'string', jsonPath: '.spec.summary', description: 'What was given.' },
    { name: 'Reason', type: 'string', jsonPath: '.status.reason', description: 'Why it ended.', priority: 1 },
    { name: 'Task', type: 'string', jsonPath: '.spec.task.description', description: 'What it was for.', priority: 1 },
  ],
};

/** Reads a stored AgentReceipt. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parseReceipt(value: unknown): ParsedReceipt {
  return readObject('AgentReceipt', { spec: receiptSpec, status: receiptStatus, rules: [] }, openEnvelope(value));
}

export const agentReceipts: Resource<ParsedReceipt> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentreceipts',
  kind: 'AgentReceipt',
  namespaced: true,
  parse: parseReceipt,
};
