// AgentSignal: a fact about a namespace or an agent, such as an incident, until it passes. Policies say what follows from it.

import * as z from 'zod';
import type { Resource } from '../kube/object.ts';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { openEnvelope, type Parsed, readObject, readStamps } from './object.ts';
import { identityName, integer, line, listOf, objectName, PRINTABLE, required, ruled, text, time } from './schema.ts';
import { stamp } from './stamp.ts';

/** The kinds of fact, and what each means. */
const SIGNALS = {
  Incident: 'something is broken, or under attack',
  ChangeFreeze: 'nothing should change for now',
  Risk: 'something looks wrong, and nobody knows yet whether it is',
  PolicyViolation: 'a rule was broken',
} as const;

export const signalName = z.enum(['Incident', 'ChangeFreeze', 'Risk', 'PolicyViolation']);

/** From the least to the gravest. */
export const severity = z.enum(['Low', 'Medium', 'High', 'Critical']);

export const signalSpec = ruled(
  z.object({
    signal: required(
      signalName,
      'say what kind of fact it is: set spec.signal to Incident, ChangeFreeze, Risk or PolicyViolation',
    ).describe(
      `Required. What kind of fact it is. ${Object.entries(SIGNALS)
        .map(([name, meaning]) => `${name}: ${meaning}.`)
        .join(' ')}`,
    ),
    severity: required(severity, 'say how grave it is: set spec.severity to Low, Medium, High or Critical').describe(
      'Required. How grave it is: Low, Medium, High or Critical. Policies respond from a severity on.',
    ),
    agent: identityName()
      .optional()
      .describe(
        'The AgentIdentity, in the namespace of the signal, that it is about. Left out: the whole namespace, which is every grant in it and every grant that reaches into it; in hallpass-system, every grant of the cluster.',
      ),
    message: required(
      line(1024, 'say what happened, for everybody whose access stops'),
      'say what happened, for everybody whose access stops: set spec.message',
    ).describe('Required. What happened, in one line. It is shown in the status of every grant that it stops.'),
    expiresAt: required(
      time(),
      'say until when it is taken to be true: set spec.expiresAt; it can be deleted before',
    ).describe(
      'Required. Until when it is taken to be true. Where a policy that responds to it trusts its reporter, what it stopped comes back then; where none does, somebody whom the policy trusts has to delete it.',
    ),
  }),
  [
    {
      cel: 'self == oldSelf',
      message: 'a signal is a fact that was reported and never changes: report another, and have this one deleted',
      holds: () => true,
    },
  ],
);

export const signalStamps = z.object({
  reporter: stamp
    // A column prints it.
    .extend({
      username: text({ max: 1024, pattern: PRINTABLE }).describe('User name, as the API server authenticated it.'),
    })
    .describe('Who reported it.'),
});

/** So many policies are on record as responding to one signal; of one to which more respond, none is. */
export const MOST_RESPONSES = 16;

/** So many users, and so many groups, may lift one by one policy. */
export const MOST_LIFTERS = 64;

const response = z.object({
  policy: objectName().describe('The AgentPolicy.'),
  line: integer(0, 1000)
    .optional()
    .describe('Which entry of its spec.responses, counted from 0; absent where the action is Read.'),
  action: z
    .enum(['Suspend', 'Revoke', 'Read'])
    .describe(
      'What it does about the grants concerned. Read: its conditions or approvals read signals, and say what follows.',
    ),
  users: listOf(text({ max: 512 }), { max: MOST_LIFTERS })
    .optional()
    .describe('Users who may lift it by deleting the signal, as spec.reporters of the policy has them.'),
  groups: listOf(text({ max: 512 }), { max: MOST_LIFTERS })
    .optional()
    .describe('Groups of which each member may.'),
});

export const signalStatus = z.object({
  effect: z
    .enum(['None', 'Read', 'Suspend', 'Revoke'])
    .optional()
    .describe(
      'The most that policies do because of it now. Read: what their expressions make of it. None: nothing, or nothing any more.',
    ),
  responses: listOf(response, { max: MOST_RESPONSES })
    .optional()
    .describe(
      'Which policies respond to it or read it now, and who may lift it: whom all of them trust. Absent until hallpass has looked, and where more than 16 respond: then only cluster admins lift it.',
    ),
});

export type SignalSpec = z.infer<typeof signalSpec>;
export type SignalStamps = z.infer<typeof signalStamps>;
export type SignalStatus = z.infer<typeof signalStatus>;
export type ParsedSignal = Parsed<SignalSpec, SignalStatus> & { stamps?: SignalStamps };

/** Everything that the CRD and the reference say about the kind. */
export const agentSignalKind: KindDefinition = {
  kind: 'AgentSignal',
  plural: 'agentsignals',
  singular: 'agentsignal',
  shortNames: ['agsig'],
  description:
    'An AgentSignal is a fact about a namespace, or about one agent in it: an incident, a change freeze, a risk, a policy violation. In hallpass-system it holds for the whole cluster. ' +
    'By itself it does nothing: `spec.responses` of AgentPolicies say from which severity on it suspends or revokes grants. ' +
    'It never changes, and ends what it does when it is deleted or expires; both only by the word of somebody whom the policy trusts (`spec.reporters`).',
  spec: signalSpec,
  specDescription: 'The fact. It never changes.',
  stamps: signalStamps,
  stampsDescription:
    'Who reported it, as the API server authenticated them. Admission sets it; whatever a manifest says here is replaced.',
  status: signalStatus,
  statusDescription: 'What policies do because of it, and who may lift that.',
  rules: [],
  columns: [
    { name: 'Signal', type: 'string', jsonPath: '.spec.signal', description: 'What kind of fact it is.' },
    { name: 'Severity', type: 'string', jsonPath: '.spec.severity', description: 'How grave it is.' },
    { name: 'Agent', type: 'string', jsonPath: '.spec.agent', description: 'Whom it is about; empty: everybody.' },
    {
      name: 'Effect',
      type: 'string',
      jsonPath: '.status.effect',
      description: 'The most that policies do because of it now.',
    },
    { name: 'Expires', type: 'string', jsonPath: '.spec.expiresAt', description: 'Until when it is taken to be true.' },
    { name: 'Reporter', type: 'string', jsonPath: '.stamps.reporter.username', description: 'Who reported it.' },
    { name: 'Message', type: 'string', jsonPath: '.spec.message', description: 'What happened.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was reported.' },
  ],
};

/** Reads a stored AgentSignal. Never throws: what today's schema refuses has no spec, and `invalid` says why. */
export function parseSignal(value: unknown): ParsedSignal {
  const envelope = openEnvelope(value);
  const object = readObject('AgentSignal', { spec: signalSpec, status: signalStatus, rules: [] }, envelope);
  return readStamps(object, signalStamps, envelope);
}

export const agentSignals: Resource<ParsedSignal> = {
  group: GROUP,
  version: VERSION,
  plural: 'agentsignals',
  kind: 'AgentSignal',
  namespaced: true,
  parse: parseSignal,
};
