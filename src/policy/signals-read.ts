// The signals that expressions read, as the variable `signals`: those in effect, for whoever the expression is of.
//
// An expression of a policy reads what that policy could respond to, and for it a signal ends by itself only where it trusts the
// reporter. One of a grant reads every signal that concerns the grant, and there it is enough that one policy trusts. What
// can't be read might say anything: over that nothing is decided.

import type { ParsedPolicy } from '../api/policy.ts';
import type { ParsedSignal, SignalSpec } from '../api/signal.ts';
import type { Help } from './finding.ts';
import { once } from './once.ts';
import { isEnforced } from './policies.ts';
import {
  described,
  gravity,
  helpAgainst,
  liftersOf,
  policiesAbout,
  type Response,
  responsesTo,
  type Standing,
  standingOf,
} from './signals.ts';
import type { Snapshot } from './snapshot.ts';

/** Whose expression it is: a policy's, or the grant's own. */
export type Reader = ParsedPolicy | undefined;

/** So many signals are read. */
const MOST_READ = 64;

/** One signal as expressions see it. Its name and message are the reporter's own words, and decide nothing. */
type Seen = Pick<SignalSpec, 'signal' | 'severity'> & { namespace: string; reporter: string; trusted: boolean };

/** What is in effect for a reader. */
type Read = {
  signals: Seen[];
  /** Why nothing can be decided over them. */
  problem: string | undefined;
  /** When the first of them ends by itself. */
  changesAt: number | undefined;
};

/** Whether an expression can read signals: not without the word. */
export function mayRead(expression: string): boolean {
  return expression.includes('signals');
}

/** Every expression of a policy. */
export const expressionsIn = once(({ spec }: ParsedPolicy): string[] => [
  ...(spec?.conditions ?? []).map(({ expression }) => expression),
  ...(spec?.approvals ?? []).flatMap(({ when }) => when ?? []),
]);

type Input = Pick<Snapshot, 'namespaces' | 'cluster' | 'signals' | 'now'>;

/** The signals that expressions of this reader see now, in one order. */
export function readBy(reader: Reader, input: Input): Read {
  const found = inEffect(reader, input);
  const ends = found.flatMap(({ lapsesAt }) => lapsesAt ?? []);
  return {
    signals: found.flatMap(seen),
    problem: problemOf(found),
    changesAt: ends.length > 0 ? Math.min(...ends) : undefined,
  };
}

/** Whether any of them is one that has expired, and goes on only since nobody trusted has lifted it. */
export function hasOutlasting(reader: Reader, input: Input): boolean {
  return inEffect(reader, input).some(({ outlasts }) => outlasts);
}

/** What an untrue expression may hang on: the gravest of these signals, how it is lifted, and by whom. */
export function readHelp(reader: Reader, input: Input): Help | undefined {
  const [first, ...more] = inEffect(reader, input).sort((a, b) => gravityOf(b) - gravityOf(a));
  if (!first) return undefined;
  const { signal, lapsesAt } = first;
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  const { namespace, name } = signal.metadata;
  const lifting: Help = reader
    ? helpAgainst({ signal, response: { lifters: liftersOf(reader.spec?.reporters), lapsesAt } }, input.now)
    : {
        remedy: `status.responses says who lifts it: kubectl get agentsignal -n ${namespace} ${name} -o yaml`,
        by: ['Reporter'],
      };
  return { remedy: `it reads ${described(signal)}${others}; ${lifting.remedy}`, by: lifting.by };
}

function gravityOf({ signal: { spec } }: Found): number {
  return spec ? gravity(spec.severity) : -1;
}

type Found = { signal: ParsedSignal } & Standing;

function inEffect(reader: Reader, input: Input): Found[] {
  const found = input.signals.flatMap((signal): Found[] => {
    const about = policiesAbout(input, signal);
    const trusting = about.filter((policy) =>
      reader ? policy.metadata.name === reader.metadata.name : isEnforced(policy),
    );
    if (reader && trusting.length === 0) return [];
    const standing = standingOf(signal, trusting, input.now);
    return standing ? [{ signal, ...standing }] : [];
  });
  const name = ({ signal: { metadata } }: Found) => `${metadata.namespace}/${metadata.name}`;
  return found.sort((a, b) => (name(a) < name(b) ? -1 : 1));
}

function seen({ signal: { metadata, spec, stamps }, trusted }: Found): Seen[] {
  if (!spec || !stamps) return [];
  const { signal, severity } = spec;
  return [{ signal, severity, namespace: metadata.namespace ?? '', reporter: stamps.reporter.username, trusted }];
}

function problemOf(found: Found[]): string | undefined {
  if (found.length > MOST_READ) {
    return `it reads signals, of which ${found.length} are in effect and at most ${MOST_READ} are looked at; have those deleted that are over: kubectl get agentsignals -A`;
  }
  const unknown = found.find(({ signal }) => !signal.spec || !signal.stamps);
  if (!unknown) return undefined;
  const { metadata, spec } = unknown.signal;
  const why = spec ? ', of which nobody knows who reported it' : '';
  return `it reads ${described(unknown.signal)}${why}; have it deleted: kubectl delete agentsignal -n ${metadata.namespace} ${metadata.name}`;
}

/** A policy that may go by a signal in its expressions, whatever these make of it. */
type Reading = Pick<Response, 'policy' | 'lifters' | 'lapsesAt'> & { action: 'Read' };

/** How each of these policies responds to a signal now or, where it doesn't, that it reads it: all whose trust it takes to lift it. */
export function restingOn(signal: ParsedSignal, policies: ParsedPolicy[], now: number): (Response | Reading)[] {
  const readers = policies.filter((policy) => expressionsIn(policy).some(mayRead));
  const reading = readers.flatMap((policy): Reading[] => {
    const standing = standingOf(signal, [policy], now);
    const lifters = liftersOf(policy.spec?.reporters);
    return standing ? [{ policy: policy.metadata.name, action: 'Read', lifters, lapsesAt: standing.lapsesAt }] : [];
  });
  const responding = responsesTo(signal, policies, now);
  const names = new Set(responding.map(({ policy }) => policy));
  return [...responding, ...reading.filter(({ policy }) => !names.has(policy))].sort((a, b) =>
    a.policy < b.policy ? -1 : 1,
  );
}
