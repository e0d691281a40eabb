// How a grant stands, gate by gate: what passed, what did not, and who could change that. From its status; no I/O.

import { isReason, isTerminal } from '../api/conditions.ts';
import { GATES, type Gate, type Outcomes } from '../api/gates.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { ACTING } from './acting.ts';
import type { Tree } from './layout.ts';

type Told = { reason: string; message: string };

/** A reason that stands against a grant, and who can change it; undefined where nobody can. */
export type Standing = Told & { who: string | undefined };

export type Explanation = {
  phase: string;
  /** What to know first, in a sentence. */
  note: string | undefined;
  /** Gate by gate; empty where it is over, or where hallpass has not looked. */
  gates: { gate: Gate; outcome: NonNullable<Outcomes[Gate]>; reasons: Standing[] }[];
  /** Reasons that are of no gate: of an end. */
  reasons: Standing[];
  warnings: Told[];
};

const MARKS = { Passed: '✓', Failed: '✗', NotAsked: '?' } as const;

/** Explains a grant from its status. */
export function explained({ metadata, status }: ParsedGrant): Explanation {
  const { phase, reasons = [], warnings = [], message } = status;
  const told = reasons.map(({ reason, message }) => ({
    reason,
    message,
    who: isReason(reason) ? ACTING[reason] : undefined,
  }));
  const common = { phase: phase ?? 'not seen yet', reasons: [], warnings, gates: [] };
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

/** An explanation as a tree's branches. */
export function branches({ note, gates, reasons, warnings }: Explanation): Tree[] {
  const leaf = (text: string): Tree => ({ text, children: [] });
  const branch = ({ reason, message, who }: Standing): Tree => ({
    text: `${reason}: ${message}`,
    children: who === undefined ? [] : [leaf(`who can change it: ${who}`)],
  });
  return [
    ...(note === undefined ? [] : [leaf(note)]),
    ...reasons.map(branch),
    ...gates.map(({ gate, outcome, reasons: against }) => ({
      text: `${MARKS[outcome]} ${gate}${outcome === 'NotAsked' ? ': not asked yet' : ''}`,
      children: against.map(branch),
    })),
    ...warnings.map(({ reason, message }) => leaf(`warning: ${reason}: ${message}`)),
  ];
}
