// What follows from AgentSignals: which policies respond to one, whom they trust to lift it, and what stands against a grant.
//
// A policy responds to the signals of the namespaces that it selects, and to those of hallpass-system, which hold everywhere.
// What it did is lifted only by those whom it trusts: by deleting the signal (a guard holds that to what the signal's status
// says), or, of their own, by its expiry. What others reported outlasts its expiry.

import { isAgentUser, SYSTEM_NAMESPACE } from '../api/names.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import { type ParsedSignal, type SignalSpec, severity } from '../api/signal.ts';
import type { Stamp } from '../api/stamp.ts';
import { printable } from '../text.ts';
import { type Finding, finding, type Help, NOTHING } from './finding.ts';
import { isEnforced, onlyWarns, type Which } from './policies.ts';
import { timestamp } from './schedule.ts';
import type { Snapshot } from './snapshot.ts';

/** What a policy does because of a signal. */
export type Response = {
  policy: string;
  /** Which entry of its spec.responses. */
  line: number;
  action: 'Suspend' | 'Revoke';
  /** Whom the policy trusts to lift it. */
  lifters: { users: string[]; groups: string[] };
  /** When it ends by itself; undefined where it doesn't. */
  lapsesAt: number | undefined;
};

/** So many signals are named that stand against a grant. */
const MOST_TOLD = 8;
/** So many are named of those who may lift one. */
const MOST_NAMED = 4;

/** How each of these policies responds to a signal now, in the order of their names; those that don't are left out. */
export function responsesTo(signal: ParsedSignal, policies: ParsedPolicy[], now: number): Response[] {
  return policies
    .flatMap((policy) => responseOf(policy, signal, now) ?? [])
    .sort((a, b) => (a.policy < b.policy ? -1 : 1));
}

/** How a signal stands that is not over. */
export type Standing = {
  /** Whether its reporter is trusted to lift it. */
  trusted: boolean;
  /** Its expiry has passed, which lifts nothing. */
  outlasts: boolean;
  /** When it ends by itself; undefined where it doesn't. */
  lapsesAt: number | undefined;
};

/** How a signal stands where it is enough that one of these policies trusts its reporter; undefined where it is over. */
export function standingOf(signal: ParsedSignal, policies: ParsedPolicy[], now: number): Standing | undefined {
  const { metadata, stamps } = signal;
  // Whoever deleted it was let do so.
  if (metadata.deletionTimestamp) return undefined;
  const trusted =
    stamps !== undefined && policies.some(({ spec }) => isAmong(stamps.reporter, liftersOf(spec?.reporters)));
  const end = expiryOf(signal);
  const outlasts = end !== undefined && end <= now;
  if (outlasts && trusted) return undefined;
  return { trusted, outlasts, lapsesAt: trusted ? end : undefined };
}

function responseOf(policy: ParsedPolicy, signal: ParsedSignal, now: number): Response | undefined {
  const { metadata, spec } = policy;
  const entries = spec?.responses ?? [];
  const meets = entries.map((entry) => isMet(entry, signal));
  const revokes = entries.findIndex(({ action }, at) => meets[at] && action === 'Revoke');
  const line = revokes >= 0 ? revokes : meets.indexOf(true);
  const entry = entries[line];
  if (!entry) return undefined;
  const standing = standingOf(signal, [policy], now);
  if (!standing) return undefined;
  // A fact that has passed ends nothing for good any more; it only has not been lifted.
  const action = standing.outlasts || !signal.spec ? 'Suspend' : entry.action;
  const lifters = liftersOf(spec?.reporters);
  return { policy: metadata.name, line, action, lifters, lapsesAt: standing.lapsesAt };
}

type Grade = SignalSpec['severity'];

/** One that can't be read might be any. */
function isMet(entry: { signal: string; severity: Grade }, { spec }: ParsedSignal): boolean {
  if (!spec) return true;
  return entry.signal === spec.signal && gravity(spec.severity) >= gravity(entry.severity);
}

/** The graver, the more. */
export function gravity(grade: Grade): number {
  return severity.options.indexOf(grade);
}

type Reporters = NonNullable<NonNullable<ParsedPolicy['spec']>['reporters']>;

/** Whom a policy trusts to lift signals: no agent, whatever it says. */
export function liftersOf({ users = [], groups = [], serviceAccounts = [] }: Reporters = {}): Response['lifters'] {
  const accounts = serviceAccounts.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  return { users: [...users, ...accounts].filter((name) => !isAgentUser(name)), groups };
}

function isAmong({ username, groups = [] }: Stamp, lifters: Response['lifters']): boolean {
  if (isAgentUser(username)) return false;
  return lifters.users.includes(username) || lifters.groups.some((group) => groups.includes(group));
}

function expiryOf({ spec }: ParsedSignal): number | undefined {
  return spec && Date.parse(spec.expiresAt);
}

/** What ends the grant for good, if a policy that is enforced revokes because of any signal. */
export function signalRevocation(snapshot: Snapshot): Finding | undefined {
  if (snapshot.signals.length === 0) return undefined;
  const revoking = responses(snapshot, isEnforced).find(({ response }) => response.action === 'Revoke');
  if (!revoking) return undefined;
  return finding({
    reason: 'RevokedBySignal',
    ...decider(revoking),
    what: cause(revoking, 'ended it for good'),
    remedy: `to ask again once that is over, set spec.task.ref of grant ${snapshot.grant.metadata.name} to a new value`,
    by: ['Requester'],
  });
}

/** What stands against the grant because of signals, by policies that are enforced. */
export function signalGate(snapshot: Snapshot): readonly Finding[] {
  return findings(snapshot, isEnforced);
}

/** What would, by policies that only warn. */
export function signalWarnings(snapshot: Snapshot): readonly Finding[] {
  return findings(snapshot, onlyWarns);
}

type Responded = { signal: ParsedSignal; response: Response };

function findings(snapshot: Snapshot, which: Which): readonly Finding[] {
  if (snapshot.signals.length === 0) return NOTHING;
  const all = responses(snapshot, which);
  if (all.length === 0) return NOTHING;
  const expiries = all.flatMap(({ signal }) => expiryOf(signal) ?? []).filter((end) => end > snapshot.now);
  const nextCheck = expiries.length > 0 ? Math.min(...expiries) : undefined;
  return all.slice(0, MOST_TOLD).map((each) =>
    finding({
      reason: 'SuspendedBySignal',
      ...decider(each),
      what: cause(each, 'withholds it'),
      ...helpAgainst(each, snapshot.now),
      nextCheck,
    }),
  );
}

/** The policies of a grant that a signal is for, each once: every one of them in hallpass-system, else those that select its namespace. */
export function policiesAbout(
  { namespaces, cluster }: Pick<Snapshot, 'namespaces' | 'cluster'>,
  { metadata: { namespace = '' } }: ParsedSignal,
): ParsedPolicy[] {
  const views =
    namespace === SYSTEM_NAMESPACE
      ? [...namespaces.values(), cluster]
      : [namespaces.get(namespace) ?? cluster?.namespaces.get(namespace)];
  const policies = views.flatMap((view) => view?.policies ?? []);
  return [...new Map(policies.map((policy) => [policy.metadata.name, policy])).values()];
}

/** Every response to every signal that concerns the grant, those that revoke first. */
function responses(snapshot: Snapshot, which: Which): Responded[] {
  const found = snapshot.signals.flatMap((signal) => {
    const policies = policiesAbout(snapshot, signal).filter(which);
    return responsesTo(signal, policies, snapshot.now).map((response) => ({ signal, response }));
  });
  const order = ({ signal, response }: Responded) =>
    `${response.action === 'Revoke' ? 0 : 1} ${signal.metadata.namespace}/${signal.metadata.name} ${response.policy}`;
  return found.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function decider({ response: { policy, line } }: Responded): { policy: string; line: string } {
  return { policy, line: `spec.responses[${line}]` };
}

/** Which policy did what because of which signal. */
function cause(responded: Responded, does: string): string {
  const { policy, line } = decider(responded);
  return `AgentPolicy ${policy} (${line}) ${does} because of ${described(responded.signal)}`;
}

/** A signal and what it says. */
export function described(signal: ParsedSignal): string {
  const { spec, invalid, metadata } = signal;
  const facts = spec
    ? `${spec.severity} ${spec.signal} by ${reporterOf(signal)}: "${printable(spec.message)}"`
    : `which can't be read, and might say anything: ${invalid ?? 'unreadable'}`;
  return `AgentSignal ${metadata.namespace}/${metadata.name} (${facts})`;
}

/** How what a policy made of a signal is lifted, and by whom. */
export function helpAgainst(
  { signal, response }: { signal: ParsedSignal; response: Pick<Response, 'lifters' | 'lapsesAt'> },
  now: number,
): Help {
  const { namespace, name } = signal.metadata;
  const { users, groups } = response.lifters;
  const trusted = [...groups.map((group) => `group ${printable(group)}`), ...users.map((user) => printable(user))];
  const more = trusted.length > MOST_NAMED ? ' or others' : '';
  const who = trusted.length > 0 ? `${trusted.slice(0, MOST_NAMED).join(' or ')}${more}` : 'a cluster admin';
  const lifter = trusted.length > 0 ? 'Reporter' : 'ClusterAdmin';
  const command = `kubectl delete agentsignal -n ${namespace} ${name}`;
  if (response.lapsesAt !== undefined) {
    const remedy = `that ends at ${timestamp(response.lapsesAt)}, or before when ${who} runs: ${command}`;
    return { remedy, by: ['Time', lifter] };
  }
  const end = expiryOf(signal);
  const outlasts = end !== undefined && end <= now ? `outlasts its expiry at ${timestamp(end)}` : 'outlasts its expiry';
  const remedy = `spec.reporters of that policy does not name ${reporterOf(signal)}, so that it ${outlasts}; ${who} lifts it by: ${command}`;
  return { remedy, by: [lifter] };
}

function reporterOf({ stamps }: ParsedSignal): string {
  return stamps ? printable(stamps.reporter.username) : 'somebody unknown';
}
