// AgentReview: one decision of one person about a grant or an identity. It never changes, and Git does not undo it.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { openEnvelope, type Parsed, readObject, readStamps } from './object.ts';
import { integer, line, objectName, PRINTABLE, required, ruled, text, uid } from './schema.ts';
import { stamp } from './stamp.ts';

const READ_IT = 'read it from the object that you have looked at, as kubectl hallpass approve does';

const target = z.object({
  kind: required(
    z.enum(['AgentGrant', 'AgentIdentity']),
    'say what the review is about: set spec.target.kind to AgentGrant or AgentIdentity',
  ).describe('Required. Whether the review is about an AgentGrant or an AgentIdentity.'),
  name: required(objectName(), 'say what the review is about: set spec.target.name').describe(
    'Required. Its name, in the namespace of the review.',
  ),
  uid: required(uid(), `say which object of that name was looked at: set spec.target.uid; ${READ_IT}`).describe(
    'Required. Its metadata.uid: an object that was deleted and created anew is another one.',
  ),
  generation: required(
    integer(1, Number.MAX_SAFE_INTEGER),
    `say which state of it was looked at: set spec.target.generation; ${READ_IT}`,
  ).describe('Required. Its metadata.generation: what was edited since is not what was approved.'),
  specHash: text({ min: 1, max: 128 })
    .optional()
    .describe(
      'Of a grant, and required for one: its status.specHash, the digest of the request. An object that was created anew starts at generation 1 again; its request has this digest only when it asks for the same.',
    ),
});

const immutable = {
  cel: 'self == oldSelf',
  message: 'a review is a decision that was made and never changes: make another one',
  holds: () => true,
};

export const DECISIONS = {
  Approve: 'The grant may be given as it was looked at.',
  Deny: 'The request is refused for good, also when it is made again under the same name. What it was given is withdrawn.',
  Suspend:
    'What the grant gives, or every grant of the identity, is withdrawn and nothing more is given, until a Resume.',
  Resume: 'Ends what an earlier Suspend began.',
  Certify: 'Of an identity: the agent is still wanted as it is (spec.review.every of the identity).',
  Revoke: 'The grant, or every grant of the identity, ends for good, and nothing more is given under that name.',
} as const;

export const reviewSpec = ruled(
  z.object({
    target: required(target, 'say what the review is about: set spec.target').describe(
      'Required. What the review is about, and in which state it was looked at.',
    ),
    decision: required(
      z.enum(['Approve', 'Deny', 'Suspend', 'Resume', 'Certify', 'Revoke']),
      'say what was decided: set spec.decision to Approve, Deny, Suspend, Resume, Certify or Revoke',
    ).describe(
      `Required. ${Object.entries(DECISIONS)
        .map(([decision, meaning]) => `${decision}: ${meaning}`)
        .join(' ')}`,
    ),
    comment: required(
      line(1024, 'say why, for whoever reads the record'),
      'say why, for whoever reads the record: set spec.comment',
    ).describe('Required. Why, in one line, for whoever reads the record.'),
  }),
  [
    {
      cel: "self.target.kind != 'AgentGrant' || has(self.target.specHash)",
      fieldPath: '.target.specHash',
      message: `say which request was looked at: set spec.target.specHash to the grant's status.specHash; ${READ_IT}`,
      reason: 'FieldValueRequired',
      holds: ({ target: { kind, specHash } }) => kind !== 'AgentGrant' || specHash !== undefined,
    },
    {
      cel: "self.target.kind == 'AgentGrant' || !(self.decision in ['Approve', 'Deny'])",
      fieldPath: '.decision',
      message: 'only grants are approved or denied: use Suspend, Resume, Certify or Revoke for an AgentIdentity',
      holds: ({ target: { kind }, decision }) => kind === 'AgentGrant' || !['Approve', 'Deny'].includes(decision),
    },
    {
      cel: "self.target.kind == 'AgentIdentity' || self.decision != 'Certify'",
      fieldPath: '.decision',
      message: 'only an AgentIdentity is certified: use Approve for a grant',
      holds: ({ target: { kind }, decision }) => kind === 'AgentIdentity' || decision !== 'Certify',
    },
    immutable,
  ],
);

export const reviewStamps = z.object({
  reviewer: stamp
    // A column prints it: who has a name that can't be printed can't be told from others by it.
    .extend({
      username: text({ max: 1024, pattern: PRINTABLE }).describe('User name, as the API server authenticated it.'),
    })
    .describe('Who made the decision.'),
});

const reviewStatus = z.object({});

export type ReviewSpec = z.infer<typeof reviewSpec>;
export type ReviewStamps = z.infer<typeof reviewStamps>;
export type ParsedReview = Parsed<ReviewSpec, Record<string, never>> & { stamps?: ReviewStamps };

/** Everything that the CRD and the reference say about the kind. */
export const agentReviewKind: KindDefinition = {
  kind: 'AgentReview',
  plural: 'agentreviews',
  singular: 'agentreview',
  shortNames: ['agreview'],
  description:
    'An AgentReview is one decision of one person about a grant or an identity: it approves, denies, suspends, resumes, certifies or revokes. ' +
    'Who creates it needs the verb approve on what it is about; to certify, to be its owner or hold the verb certify. It names the state that was looked at, so that an edit after an approval voids it, and it never changes. ' +
    'It lives outside Git: applying manifests again undoes no stop.',
  spec: reviewSpec,
  specDescription: 'What was decided, about what, and why. It never changes.',
  stamps: reviewStamps,
  stampsDescription:
    'Who made the decision, as the API server authenticated them. Admission sets it; whatever a manifest says here is replaced.',
  rules: [],
  columns: [
    { name: 'Decision', type: 'string', jsonPath: '.spec.decision', description: 'What was decided.' },
    { name: 'Kind', type: 'string', jsonPath: '.spec.target.kind', description: 'Kind of what it is about.' },
    { name: 'Target', type: 'string', jsonPath: '.spec.target.name', description: 'Name of what it is about.' },
    {
      name: 'Reviewer',
      type: 'string',
      jsonPath: '.stamps.reviewer.username',
      description: 'Who made the decision.',
    },
    { name: 'Comment', type: 'string', jsonPath: '.spec.comment', description: 'Why.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was made.' },
  ],
};

/** Reads a stored AgentReview. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parseReview(value: unknown): ParsedReview {
  const envelope = openEnvelope(value);
  const object = readObject('AgentReview', { spec: reviewSpec, status: reviewStatus, rules: [] }, envelope);
  return readStamps(object, reviewStamps, envelope);
}

export const agentReviews: Resource<ParsedReview> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentreviews',
  kind: 'AgentReview',
  namespaced: true,
  parse: parseReview,
};
