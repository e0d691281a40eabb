// How a grant stands, gate by gate: what passed, what did not, and who could change that. From its status; no I/O.

import { ACTORS, isActor } from '../api/actors.ts';
import { isTerminal } from '../api/conditions.ts';
import { GATES, type Gate, type Outcomes } from '../api/gates.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { whatOf } from '../policy/finding.ts';
import type { Tree } from './layout.ts';

/** A reason as a status has it. */
type Told = {
  reason: string;
  message: string;
  policy?: string | undefined;
  line?: string | undefined;
  remedy?: string | undefined;
  by?: readonly string[] | undefined;
};

/** A reason that stands against a grant, and who can change it, in words; undefined where nobody can. */
export type Standing = Told & { who: string | undefined };

export type Explanation = {
  phase: string;
  /** What to know first, in a sentence. */
  note: string | undefined;
  /** Gate by gate; empty where it is over, or where hallpass has not looked. */
  gates: { gate: Gate; outcome: NonNullable<Outcomes[Gate]>; reasons: Standing[] }[];
  /** Reasons that are of no gate: of an end. */
  reasons: Standing[];
  warnings: Standing[];
};

const MARKS = { Passed: '✓', Failed: '✗', NotAsked: '?' } as const;

/** Explains a grant from its status. */
export function explained({ metadata, status }: ParsedGrant): Explanation {
  const { phase, reasons = [], warnings = [], message } = status;
  const told = reasons.map(standing);
  const common = { phase: phase ?? 'not seen yet', reasons: [], warnings: warnings.map(standing), gates: [] };
  if (phase === undefined) {
    return {
      ...common,
      note: 'hallpass has not looked at it yet. Where that lasts, none runs: a cluster admin sees by kubectl get deployment hallpass -n hallpass-system',
    };
  }
  const stale = status.observedGeneration !== metadata.generation;
  const note = stale ? 'it was edited a moment ago, and this is of before the edit' : undefined;
  if (isTerminal(phase)) {
    const ended = told.length > 0 ? told : [{ reason: phase, message: message ?? 'it has ended', who: undefined }];
    return { ...common, note, reasons: ended.map((each) => ({ ...each, who: undefined })) };
  }
  const ofGate = (gate: Gate) => told.filter((_, at) => reasons[at]?.gate === gate);
  const gates = GATES.flatMap((gate) => {
    const outcome = status.gates?.[gate];
    return outcome === undefined ? [] : [{ gate, outcome, reasons: ofGate(gate) }];
  });
  const shown = new Set(gates.flatMap((each) => each.reasons));
  return { ...common, note, gates, reasons: told.filter((each) => !shown.has(each)) };
}

/** A reason with who can change it, in words. */
export function standing({ reason, message, policy, line, remedy, by }: Told): Standing {
  const who = by?.filter(isActor).map((actor) => ACTORS[actor].who);
  return { reason, message, policy, line, remedy, by, who: who?.length ? who.join(', or ') : undefined };
}

/** A reason as a branch: what is so, and below it what else is to know of it. */
export function branch(told: Standing): Tree {
  return { text: `${told.reason}: ${whatOf(told)}`, children: details(told).map(leaf) };
}

/** Which policy decided by which line, what helps, and who can change it, each a line where it is known. */
export function details(told: Standing): string[] {
  const { message, policy, line, remedy, who } = told;
  return [
    policy === undefined ? [] : [`decided by: AgentPolicy ${policy}${line === undefined ? '' : `, ${line}`}`],
    // What could not be taken out of the sentence is said there.
    remedy === undefined || whatOf(told) === message ? [] : [`what helps: ${remedy}`],
    who === undefined ? [] : [`who can change it: ${who}`],
  ].flat();
}

function leaf(text: string): Tree {
  return { text, children: [] };
}

/** An explanation as a tree's branches. */
export function branches({ note, gates, reasons, warnings }: Explanation): Tree[] {
  return [
    ...(note === undefined ? [] : [leaf(note)]),
    ...reasons.map(branch),
    ...gates.map(({ gate, outcome, reasons: against }) => ({
      text: `${MARKS[outcome]} ${gate}${outcome === 'NotAsked' ? ': not asked yet' : ''}`,
      children: against.map(branch),
    })),
    ...warnings.map(branch).map(({ text, children }) => ({ text: `warning: ${text}`, children })),
  ];
}
