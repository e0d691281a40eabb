// The gates a grant passes, in the order of docs/concepts.md. Each says all that it has against the grant.

import { formatDuration, MAX_DURATION_SECONDS } from '../api/duration.ts';
import { GATES, type Gate, type Outcomes } from '../api/gates.ts';
import type { Answer } from '../cel/question.ts';
import { listed } from '../text.ts';
import type { Access } from './access.ts';
import { approvalGate } from './approvals.ts';
import { authorsGate, authorsKnown } from './authors.ts';
import { ceilingGate } from './ceiling.ts';
import { certificationGate } from './certification.ts';
import { conditionGate } from './conditions.ts';
import { consentGate } from './consent.ts';
import { creationGate } from './dead-man.ts';
import { type Finding, finding, NOTHING, together } from './finding.ts';
import { type Concerned, isEnforced, policyGate } from './policies.ts';
import { milliseconds, type Term, time, timestamp } from './schedule.ts';
import { aboveLimit } from './sensitivity.ts';
import { signalGate } from './signals.ts';
import type { Snapshot } from './snapshot.ts';
import { agentSuspension, grantSuspension } from './stops.ts';
import { taskGate } from './task.ts';
import { windowGate } from './windows.ts';

export type GateInput = Snapshot & {
  access: Access[];
  policies: Concerned;
  term: Term | undefined;
  /** The grant is about to be issued, so that what is asked only at issue is asked. */
  atIssue: boolean;
  /** What the expressions came to that this rests on, about just what stands here. */
  answered: ReadonlyMap<string, Answer>;
};

type Ask = (input: GateInput) => readonly Finding[];

/** The boundary where an identity names none. */
const LONGEST = { text: formatDuration(MAX_DURATION_SECONDS), milliseconds: MAX_DURATION_SECONDS * 1000 };

/** Everything that stands against the grant, in gate order; empty when it passes. */
export function gates(input: GateInput): Finding[] {
  const findings: Finding[] = [];
  for (const { gate, ask } of IN_ORDER) {
    const against = ask(input);
    if (against.length > 0) findings.push(...against.map((found) => ({ ...found, gate })));
    // A spec that can't be read can't be held against anything else.
    if (input.grant.spec === undefined) break;
  }
  return findings;
}

const allBeing = (outcome: 'Passed' | 'NotAsked'): Outcomes => Object.fromEntries(GATES.map((gate) => [gate, outcome]));
const ALL_PASSED = allBeing('Passed');
/** Copied, it is filled in faster than an object that grows gate by gate. */
const UNASKED = allBeing('NotAsked');

/** How each gate stands, by what was found against the grant; one that is not asked now, as when this request last asked it. */
export function outcomes(input: GateInput, findings: Finding[]): Outcomes {
  const making = input.atIssue || !input.intact;
  if (findings.length === 0 && making && input.identity?.spec && authorsKnown(input)) return ALL_PASSED;
  const failed = (gate: Gate) => findings.some((found) => found.gate === gate);
  const asked = (gate: Gate): boolean => {
    if (gate === 'authors') return authorsKnown(input);
    if (gate === 'guards' || gate === 'knowledge' || gate === 'task') return making;
    if (gate === 'conditions') return input.identity?.spec !== undefined;
    return gate === 'spec' || input.grant.spec !== undefined;
  };
  const { specHash, gates: before } = input.grant.status;
  const unasked = (gate: Gate) => (specHash === input.hash && before?.[gate] === 'Passed' ? 'Passed' : 'NotAsked');
  const found = { ...UNASKED };
  for (const gate of GATES) found[gate] = failed(gate) ? 'Failed' : asked(gate) ? 'Passed' : unasked(gate);
  return found;
}

function specGate({ grant }: GateInput): readonly Finding[] {
  if (grant.spec) return NOTHING;
  return [
    finding({
      reason: 'InvalidSpec',
      what: `the stored spec is not one that this version accepts (${grant.invalid ?? 'unreadable'})`,
      remedy: 'correct it and apply it again',
      by: ['Requester'],
      needsEdit: true,
    }),
  ];
}

const identityGate: Ask = (input) => {
  const found = identityProblem(input);
  return found ? [found] : NOTHING;
};

function identityProblem({ identity, grant, now }: GateInput): Finding | undefined {
  const agent = () => `AgentIdentity ${grant.spec?.agent} in namespace ${grant.metadata.namespace}`;
  if (!identity) {
    const help = { remedy: 'create it, or correct spec.agent', by: ['IdentityOwner', 'Requester'] } as const;
    return finding({ reason: 'AgentNotFound', what: `${agent()} does not exist`, ...help });
  }
  if (identity.metadata.deletionTimestamp) {
    const remedy = 'create it anew once it is gone, or correct spec.agent';
    const what = `${agent()} is being deleted`;
    return finding({ reason: 'AgentDeleted', what, remedy, by: ['IdentityOwner', 'Requester'] });
  }
  if (!identity.spec) {
    const what = `${agent()} is not valid (${identity.invalid ?? 'unreadable'})`;
    return finding({ reason: 'AgentNotReady', what, remedy: 'correct it', by: ['IdentityOwner'] });
  }
  const end = time(identity.spec.expiresAt);
  if (end !== undefined && end <= now) {
    const what = `${agent()} expired at ${timestamp(end)}`;
    const remedy = 'its owner can set a later spec.expiresAt';
    return finding({ reason: 'AgentExpired', what, remedy, by: ['IdentityOwner'] });
  }
  if (!identity.status.serviceAccount) {
    const what = `${agent()} has no ServiceAccount yet`;
    return finding({ reason: 'AgentNotReady', what, remedy: 'see its status', by: ['Hallpass', 'IdentityOwner'] });
  }
  return undefined;
}

const boundaryGate: Ask = (input) => {
  const { identity, grant, access, term, atIssue, activeBefore } = input;
  if (!identity?.spec) return NOTHING;
  const boundary = identity.spec.boundary ?? {};
  const findings: Finding[] = [];
  const agent = () => `AgentIdentity ${grant.spec?.agent}`;
  const allowed = boundary.namespaces?.length ? boundary.namespaces : [grant.metadata.namespace ?? ''];
  const outside = access.filter(({ namespace }) => namespace !== undefined && !allowed.includes(namespace));
  if (!boundary.clusterScope && access.some(({ namespace }) => namespace === undefined)) {
    findings.push(
      finding({
        reason: 'OutsideBoundary',
        what: `the whole cluster is outside the boundary of ${agent()}`,
        remedy: 'ask for access in namespaces, or have its owner set spec.boundary.clusterScope to true',
        by: ['Requester', 'IdentityOwner'],
      }),
    );
  }
  if (outside.length > 0) {
    findings.push(
      finding({
        reason: 'OutsideBoundary',
        what: `namespace ${outside.map(({ namespace }) => namespace).join(', ')} is outside the boundary of ${agent()} (${allowed.join(', ')})`,
        remedy: 'ask for less, or have its owner add to spec.boundary.namespaces',
        by: ['Requester', 'IdentityOwner'],
      }),
    );
  }
  const most = boundary.maxDataSensitivity;
  for (const { namespace, level, from } of most === undefined ? [] : aboveLimit(input, most, isEnforced)) {
    findings.push(
      finding({
        reason: 'TooSensitive',
        what: `the data of namespace ${namespace} is ${level} (${from}), above the ${most} that the boundary of ${agent()} allows`,
        remedy: 'ask for access elsewhere, or have its owner raise spec.boundary.maxDataSensitivity',
        by: ['Requester', 'IdentityOwner'],
      }),
    );
  }
  const own = boundary.maxGrantDuration;
  const longest = own === undefined ? LONGEST.milliseconds : milliseconds(own);
  if (term && term.end - term.start > longest) {
    // Without a duration the term of what is yet to be given shrinks by itself, until it fits.
    const shrinks = atIssue && grant.spec?.validity.duration === undefined;
    const limit =
      own === undefined
        ? `the ${LONGEST.text} that any grant may last`
        : `the ${own} that the boundary of ${agent()} allows`;
    findings.push(
      finding({
        reason: 'DurationExceedsBoundary',
        what: `its ${Math.ceil((term.end - term.start) / 1000)} s are longer than ${limit}`,
        remedy: `ask for less time${own === undefined ? '' : ', or have its owner raise spec.boundary.maxGrantDuration'}`,
        by: [
          'Requester',
          ...(own === undefined ? [] : (['IdentityOwner'] as const)),
          ...(shrinks ? (['Time'] as const) : []),
        ],
        needsEdit: own === undefined && !shrinks,
        nextCheck: shrinks ? term.end - longest : undefined,
      }),
    );
  }
  if (boundary.maxActiveGrants !== undefined && activeBefore >= boundary.maxActiveGrants) {
    findings.push(
      finding({
        reason: 'TooManyActiveGrants',
        what: `${agent()} has ${activeBefore} active grants and its boundary allows ${boundary.maxActiveGrants}`,
        remedy: 'this one follows when one of them ends',
        by: ['Time'],
      }),
    );
  }
  return findings;
};

const guardsGate: Ask = ({ atIssue, intact, guardProblems }) =>
  (atIssue || !intact) && guardProblems.length > 0
    ? [
        finding({
          reason: 'GuardsMissing',
          what: `hallpass grants nothing while its admission guards are not whole (${listed(guardProblems, 3)})`,
          remedy: 'a cluster admin runs: kubectl apply -k deploy/guards',
          by: ['ClusterAdmin'],
        }),
      ]
    : NOTHING;

/** How soon it is looked at again whether the caches are in step, in milliseconds: nothing tells. */
const STEP_CHECK = 15_000;

const stepGate: Ask = ({ atIssue, intact, outOfStep, now }) =>
  (atIssue || !intact) && outOfStep.length > 0
    ? [
        finding({
          reason: 'CheckFailed',
          what: `hallpass grants nothing on what it knows of the cluster while that may be out of date (${listed(outOfStep, 3)})`,
          remedy: 'it is tried again',
          by: ['Hallpass'],
          nextCheck: now + STEP_CHECK,
        }),
      ]
    : NOTHING;

const scheduleGate: Ask = ({ term, now }) => {
  if (!term || term.start <= now) return NOTHING;
  const remedy = `it starts at ${timestamp(term.start)}`;
  return [finding({ reason: 'NotYetStarted', remedy, by: ['Time'], nextCheck: term.start })];
};

const stopGate: Ask = (input) => together(agentSuspension(input), grantSuspension(input));

const ASK: Record<Gate, Ask> = {
  spec: specGate,
  agent: identityGate,
  stops: stopGate,
  certification: certificationGate,
  signals: signalGate,
  boundary: boundaryGate,
  policies: policyGate,
  authors: authorsGate,
  consent: consentGate,
  ceiling: ceilingGate,
  guards: guardsGate,
  knowledge: stepGate,
  task: taskGate,
  creation: creationGate,
  approvals: approvalGate,
  schedule: scheduleGate,
  windows: windowGate,
  conditions: conditionGate,
};

const IN_ORDER = GATES.map((gate) => ({ gate, ask: ASK[gate] }));
