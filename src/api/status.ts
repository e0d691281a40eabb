// The parts of status that the kinds share, with the limits that whoever writes a status must keep to.

import * as z from 'zod';
import { integer, recordedTime, text } from './schema.ts';

/** The API server refuses a status beyond these, so writers cut texts (in code points) and lists to them. */
export const STATUS_LIMITS = {
  message: 4096,
  remedy: 2048,
  line: 128,
  by: 8,
  reasons: 32,
  created: 256,
  approvals: 64,
  policies: 64,
  standingAccess: 32,
  name: 1100,
} as const;

/** Of `endedAt`. The time is that of the record, since nothing tells when a Job's controller took the last binding. */
export const ENDED_AT =
  'When hallpass found that access had been removed everywhere, and recorded it. Where hallpass was down at the end, access had ended before: by its Job, at expiresAt or seconds after it.';

export const condition = z.object({
  type: text({ min: 1, max: 63, pattern: '^[A-Za-z0-9./_-]+$' }).describe(
    'What the condition is about, such as Ready. The reference lists every type.',
  ),
  status: z.enum(['True', 'False', 'Unknown']).describe('True, False or Unknown.'),
  reason: text({ max: 128, pattern: '^[A-Za-z][A-Za-z0-9]*$' }).describe(
    'Why the condition has this status, as one word for machines. The reference lists every reason.',
  ),
  message: text({ max: STATUS_LIMITS.message }).describe('Why the condition has this status, for people.'),
  lastTransitionTime: recordedTime().describe('When the status of the condition last changed.'),
  observedGeneration: integer(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('The metadata.generation that the condition speaks of.'),
});

export type Condition = z.infer<typeof condition>;

export const conditions = z
  .array(condition)
  .max(16)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
  .describe(
    'What is known about the object, one entry per type. Wait for one with `kubectl wait --for=condition=<type>`.',
  );

export const observedGeneration = integer(0, Number.MAX_SAFE_INTEGER).describe(
  'The metadata.generation that this status speaks of. While it is lower than the current one, hallpass has not seen the latest edit.',
);
