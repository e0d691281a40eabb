// What the gates find against a grant, in parts: what is so, which policy decided by which line, what would have to change, and who
// can change it. The sentence for people is made of these parts, here and nowhere else.

import type { Actor } from '../api/actors.ts';
import type { Reason } from '../api/conditions.ts';
import type { Gate } from '../api/gates.ts';

/** With these a grant is over, or nothing stands against it: there need not be anything that helps. */
export const UNHELPED = [
  'RequestAlreadyUsed',
  'ReceiptDeleted',
  'EndedByDeletion',
  'EndPassed',
  'TaskEnded',
  'PendingTooLong',
  'RevokedByReview',
  'DeniedByReview',
  'NameHasNoEffect',
  'TaskNotFound',
  'Granted',
  'Superseded',
] as const satisfies readonly Reason[];

/** These are always the word of one policy. */
export const OF_POLICY = [
  'PolicyInvalid',
  'Frozen',
  'ExceedsPolicyLimit',
  'DeniedByPolicy',
  'ApprovalMissing',
  'SuspendedBySignal',
  'RevokedBySignal',
] as const satisfies readonly Reason[];

/** `remedy`: what would have to change. `by`: who can do that, each of them, or a part of it. */
export type Help = { remedy: string; by: readonly [Actor, ...Actor[]] };

/** `policy`: name of the AgentPolicy that decided. `line`: the path inside it, such as spec.deny[3]. */
type Decider = { policy: string; line: string };

type Asked = {
  /** Only an edit of the grant itself helps, or creating it anew: nothing that others change, the identity's owner included. */
  needsEdit?: boolean;
  /** When time alone changes this. */
  nextCheck?: number;
};

type Unhelped = (typeof UNHELPED)[number];
type OfPolicy = (typeof OF_POLICY)[number];

type Explained =
  | ({ reason: Unhelped } & Partial<Help> & Partial<Decider>)
  | ({ reason: OfPolicy } & Help & Decider)
  | ({ reason: Exclude<Reason, Unhelped | OfPolicy> } & Help & Partial<Decider>);

/** `what`: what is so; left out where the remedy says it. `note`: what else to know, to follow the remedy as it is. */
type Parts = Asked & Explained & { what?: string; note?: string };

/** Something that stands against a grant, or should be known of it. Only `finding` makes one. */
export type Finding = Asked & Explained & { message: string; gate?: Gate };

/** What a verdict or a status tells: a finding, or what was found by another version. */
export type Told = Asked & {
  reason: Reason;
  message: string;
  /** The gate that says so; undefined for what is no gate's. */
  gate?: Gate;
  remedy?: string;
  by?: readonly Actor[];
} & Partial<Decider>;

/** A finding of its parts, with the sentence that they make. */
export function finding({ what, note, ...explained }: Parts): Finding {
  return { ...explained, message: sentenceOf({ what, remedy: explained.remedy, note }) };
}

/** Nothing that was found. Always this very list: most grants are in order, and need none of their own for each gate. */
export const NOTHING: readonly Finding[] = Object.freeze([]);

/** All of these findings, in this order. */
export function together(...lists: (readonly Finding[])[]): readonly Finding[] {
  return ofEach(lists, (list) => list);
}

/** What is found of each of these, in their order. */
export function ofEach<T>(all: readonly T[], find: (one: T) => readonly Finding[]): readonly Finding[] {
  let found = NOTHING;
  for (const one of all) {
    const more = find(one);
    if (more.length > 0) found = found.length > 0 ? [...found, ...more] : more;
  }
  return found;
}

/** What is so and what helps, in one sentence. */
export function sentenceOf({ what, remedy, note = '' }: { what?: string; remedy?: string; note?: string }): string {
  if (what === undefined || remedy === undefined) return (what ?? remedy ?? '') + note;
  return `${what}; ${remedy}${note}`;
}

/** What is so, by a sentence that was made of it and its remedy; the whole sentence where they can't be told apart. */
export function whatOf({ message, remedy }: { message: string; remedy?: string }): string {
  const at = remedy === undefined ? -1 : message.lastIndexOf(`; ${remedy}`);
  return at < 0 ? message : message.slice(0, at) + message.slice(at + `; ${remedy}`.length);
}
