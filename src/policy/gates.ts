// The gates a grant passes, in the order of docs/concepts.md. Each says all that it has against the grant.

import type { Reason } from '../api/conditions.ts';
import { formatDuration, MAX_DURATION_SECONDS } from '../api/duration.ts';
import { GATES, type Gate, type Outcomes } from '../api/gates.ts';
import { GRANTABLE_CLUSTER_ROLE, GRANTABLE_ROLE, LABELS } from '../api/names.ts';
import type { Answer } from '../cel/question.ts';
import { listed } from '../text.ts';
import { type Access, describePlace, describeRule } from './access.ts';
import { approvalGate } from './approvals.ts';
import { authorsGate, authorsKnown } from './authors.ts';
import { raiseCeilingCommand } from './ceiling-command.ts';
import { certificationGate } from './certification.ts';
import { conditionGate } from './conditions.ts';
import { consentGate } from './consent.ts';
import { creationGate } from './dead-man.ts';
import { forbiddenReach } from './forbidden.ts';
import { once, onceForBoth } from './once.ts';
import { type Concerned, isEnforced, policyGate } from './policies.ts';
import { covers, type PolicyRule, uncoveredRules } from './rules.ts';
import { milliseconds, type Term, timestamp } from './schedule.ts';
import { aboveLimit } from './sensitivity.ts';
import { signalGate } from './signals.ts';
import { type Snapshot, viewOf } from './snapshot.ts';
import { agentSuspension, grantSuspension } from './stops.ts';
import { taskGate } from './task.ts';
import { windowGate } from './windows.ts';

/** Something that stands against a grant (or, in a verdict, speaks for it): a known reason and a sentence with the remedy. */
export type Finding = {
  reason: Reason;
  message: string;
  /** The gate that says so; undefined for what is no gate's. */
  gate?: Gate;
  /** Only an edit of the grant itself helps, or creating it anew: nothing that others change, the identity's owner included. */
  needsEdit?: boolean;
  /** When time alone changes this. */
  nextCheck?: number;
};

export type GateInput = Snapshot & {
  access: Access[];
  policies: Concerned;
  term: Term | undefined;
  /** The grant is about to be issued, so that what is asked only at issue is asked. */
  atIssue: boolean;
  /** What the expressions came to that this rests on, about just what stands here. */
  answered: ReadonlyMap<string, Answer>;
};

type Ask = (input: GateInput) => Finding[];

/** The boundary where an identity names none. */
const LONGEST = formatDuration(MAX_DURATION_SECONDS);

/** Everything that stands against the grant, in gate order; empty when it passes. */
export function gates(input: GateInput): Finding[] {
  // A spec that can't be read can't be held against anything else.
  const asked: readonly Gate[] = input.grant.spec ? GATES : ['spec'];
  return asked.flatMap((gate) => ASK[gate](input).map((finding) => ({ ...finding, gate })));
}

/** How each gate stands, by what was found against the grant; one that is not asked now, as when this request last asked it. */
export function outcomes(input: GateInput, findings: Finding[]): Outcomes {
  const failed = new Set(findings.map(({ gate }) => gate));
  const making = input.atIssue || !input.intact;
  const asked = (gate: Gate): boolean => {
    if (gate === 'authors') return authorsKnown(input);
    if (gate === 'guards' || gate === 'knowledge' || gate === 'task') return making;
    if (gate === 'conditions') return input.identity?.spec !== undefined;
    return gate === 'spec' || input.grant.spec !== undefined;
  };
  const { specHash, gates: before } = input.grant.status;
  const unasked = (gate: Gate) => (specHash === input.hash && before?.[gate] === 'Passed' ? 'Passed' : 'NotAsked');
  const found: Outcomes = {};
  for (const gate of GATES) found[gate] = failed.has(gate) ? 'Failed' : asked(gate) ? 'Passed' : unasked(gate);
  return found;
}

function specGate({ grant }: GateInput): Finding[] {
  if (grant.spec) return [];
  return [
    {
      reason: 'InvalidSpec',
      message: `the stored spec is not one that this version accepts (${grant.invalid ?? 'unreadable'}); correct it and apply it again`,
      needsEdit: true,
    },
  ];
}

const identityGate: Ask = ({ identity, grant, now }) => {
  const agent = `AgentIdentity ${grant.spec?.agent} in namespace ${grant.metadata.namespace}`;
  if (!identity) {
    return [{ reason: 'AgentNotFound', message: `${agent} does not exist; create it, or correct spec.agent` }];
  }
  if (identity.metadata.deletionTimestamp) return [{ reason: 'AgentDeleted', message: `${agent} is being deleted` }];
  if (!identity.spec) {
    return [
      { reason: 'AgentNotReady', message: `${agent} is not valid (${identity.invalid ?? 'unreadable'}); correct it` },
    ];
  }
  const end = identity.spec.expiresAt === undefined ? undefined : Date.parse(identity.spec.expiresAt);
  if (end !== undefined && end <= now) {
    return [
      {
        reason: 'AgentExpired',
        message: `${agent} expired at ${timestamp(end)}; its owner can set a later spec.expiresAt`,
      },
    ];
  }
  if (!identity.status.serviceAccount) {
    return [{ reason: 'AgentNotReady', message: `${agent} has no ServiceAccount yet; see its status` }];
  }
  return [];
};

const boundaryGate: Ask = (input) => {
  const { identity, grant, access, term, atIssue, activeBefore } = input;
  if (!identity?.spec) return [];
  const boundary = identity.spec.boundary ?? {};
  const findings: Finding[] = [];
  const agent = `AgentIdentity ${grant.spec?.agent}`;
  const allowed = boundary.namespaces?.length ? boundary.namespaces : [grant.metadata.namespace ?? ''];
  const outside = access
    .flatMap(({ namespace }) => namespace ?? [])
    .filter((namespace) => !allowed.includes(namespace));
  if (access.some(({ namespace }) => namespace === undefined) && !boundary.clusterScope) {
    findings.push({
      reason: 'OutsideBoundary',
      message: `the whole cluster is outside the boundary of ${agent}; ask for access in namespaces, or have its owner set spec.boundary.clusterScope to true`,
    });
  }
  if (outside.length > 0) {
    findings.push({
      reason: 'OutsideBoundary',
      message: `namespace ${outside.join(', ')} is outside the boundary of ${agent} (${allowed.join(', ')}); ask for less, or have its owner add to spec.boundary.namespaces`,
    });
  }
  const most = boundary.maxDataSensitivity;
  for (const { namespace, level, from } of most === undefined ? [] : aboveLimit(input, most, isEnforced)) {
    findings.push({
      reason: 'TooSensitive',
      message: `the data of namespace ${namespace} is ${level} (${from}), above the ${most} that the boundary of ${agent} allows; ask for access elsewhere, or have its owner raise spec.boundary.maxDataSensitivity`,
    });
  }
  const longest = milliseconds(boundary.maxGrantDuration ?? LONGEST);
  if (term && term.end - term.start > longest) {
    // Without a duration the term of what is yet to be given shrinks by itself, until it fits.
    const shrinks = atIssue && grant.spec?.validity.duration === undefined;
    const limit =
      boundary.maxGrantDuration === undefined
        ? `the ${LONGEST} that any grant may last; ask for less time`
        : `the ${boundary.maxGrantDuration} that the boundary of ${agent} allows; ask for less time, or have its owner raise spec.boundary.maxGrantDuration`;
    findings.push({
      reason: 'DurationExceedsBoundary',
      message: `its ${Math.ceil((term.end - term.start) / 1000)} s are longer than ${limit}`,
      needsEdit: boundary.maxGrantDuration === undefined && !shrinks,
      nextCheck: shrinks ? term.end - longest : undefined,
    });
  }
  if (boundary.maxActiveGrants !== undefined && activeBefore >= boundary.maxActiveGrants) {
    findings.push({
      reason: 'TooManyActiveGrants',
      message: `${agent} has ${activeBefore} active grants and its boundary allows ${boundary.maxActiveGrants}; this one follows when one of them ends`,
    });
  }
  return findings;
};

/** The two ceilings, and the labels by which admins add to them. */
const CEILINGS = {
  namespaces: { role: GRANTABLE_ROLE, label: LABELS.aggregateToGrantable, of: 'every enabled namespace' },
  cluster: { role: GRANTABLE_CLUSTER_ROLE, label: LABELS.aggregateToGrantableCluster, of: 'the whole cluster' },
};

const forbiddenIn = once((rules: PolicyRule[]) => new Set(rules.flatMap(forbiddenReach)));

const isCovered = onceForBoth((ceiling: PolicyRule[], rules: PolicyRule[]) => covers(ceiling, rules).covered);

const ceilingGate: Ask = (input) =>
  input.access.flatMap(({ namespace, rules }): Finding[] => {
    const findings: Finding[] = [];
    const forbidden = forbiddenIn(rules);
    if (forbidden.size > 0) {
      findings.push({
        reason: 'ForbiddenPermission',
        message: `no grant may reach ${[...forbidden].join('; ')}; take it out of spec.permissions`,
        needsEdit: true,
      });
    }
    const ceiling = viewOf(input, namespace)?.ceiling;
    if (!ceiling || isCovered(ceiling, rules)) return findings;
    const beyond = first(5, uncoveredRules(ceiling, rules)).map(describeRule);
    const lacking = rules.filter((rule) => forbiddenReach(rule).length === 0 && !covers(ceiling, [rule]).covered);
    const { role, label, of } = CEILINGS[namespace === undefined ? 'cluster' : 'namespaces'];
    const command = raiseCeilingCommand(input.grant.metadata.name, lacking, label);
    const remedy = command
      ? `raise the ceiling of ${of}, by a cluster admin who runs: ${command}`
      : `have a cluster admin label a ClusterRole with these rules ${label}=true`;
    findings.push({
      reason: 'ExceedsCeiling',
      message: `in ${describePlace(namespace)} ClusterRole ${role} does not cover ${listed(beyond, 4)}; ask for less, or ${remedy}`,
    });
    return findings;
  });

const guardsGate: Ask = ({ atIssue, intact, guardProblems }) =>
  (atIssue || !intact) && guardProblems.length > 0
    ? [
        {
          reason: 'GuardsMissing',
          message: `hallpass grants nothing while its admission guards are not whole (${listed(guardProblems, 3)})`,
        },
      ]
    : [];

/** How soon it is looked at again whether the caches are in step, in milliseconds: nothing tells. */
const STEP_CHECK = 15_000;

const stepGate: Ask = ({ atIssue, intact, outOfStep, now }) =>
  (atIssue || !intact) && outOfStep.length > 0
    ? [
        {
          reason: 'CheckFailed',
          message: `hallpass grants nothing on what it knows of the cluster while that may be out of date (${listed(outOfStep, 3)}); it is tried again`,
          nextCheck: now + STEP_CHECK,
        },
      ]
    : [];

const scheduleGate: Ask = ({ term, now }) =>
  term && term.start > now
    ? [{ reason: 'NotYetStarted', message: `it starts at ${timestamp(term.start)}`, nextCheck: term.start }]
    : [];

const stopGate: Ask = (input) => [...agentSuspension(input), ...grantSuspension(input)];

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

/** The first of what may be millions, without making the others. */
function first<T>(most: number, items: Iterable<T>): T[] {
  const taken: T[] = [];
  for (const item of items) if (taken.push(item) >= most) break;
  return taken;
}
