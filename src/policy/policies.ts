// The policy gate: what the AgentPolicies of the namespaces concerned have against a grant.
//
// A grant is held against the policies of its own namespace and of each that it reaches into: every line of `deny` and every
// limit of any of them counts. Only a policy that selects the target lifts what is refused there: whoever guards a namespace says
// what may happen in it, not whoever asks. What holds in the whole cluster reaches every namespace, so there every policy
// counts, and nothing passes that one of the grant's own namespace doesn't allow by name.

import { formatDuration } from '../api/duration.ts';
import type { ParsedPolicy, PolicySpec } from '../api/policy.ts';
import { type Access, describePlace, describeRule, type Place, READING } from './access.ts';
import { credentialFindings } from './credentials.ts';
import { eachLineAbout } from './deny-lines.ts';
import { type Finding, finding } from './finding.ts';
import { isForbidden } from './forbidden.ts';
import type { GateInput } from './gates.ts';
import { once, onceForBoth } from './once.ts';
import { overlap, wildParts } from './overlap.ts';
import { covers, type PolicyRule } from './rules.ts';
import { milliseconds } from './schedule.ts';
import { selects } from './selector.ts';
import { aboveLimit } from './sensitivity.ts';
import { type Snapshot, viewOf } from './snapshot.ts';

/** How many lines of policies are named that refuse a grant: one that asks for everything meets them all. */
const MOST_DENIALS = 24;

/** Everything that enforced policies have against the grant; empty when they let it pass. */
export function policyGate(input: GateInput): Finding[] {
  const policies = input.policies.enforced;
  return [
    ...unguarded(input),
    ...policies.flatMap((policy) => unreadable(policy)),
    ...policies.flatMap((policy) => frozen(policy)),
    ...limited(input, policies),
    ...credentialFindings(input),
    ...tooSensitive(input, policies, isEnforced),
    ...unnamed(input),
    ...wildcards(input),
    ...denied(input, isEnforced),
  ];
}

/** What would stand against the grant beside that, were the policies enforced which only warn. What they allow lifts nothing. */
export function policyWarnings(input: GateInput): Finding[] {
  const { enforced, warning } = input.policies;
  if (warning.length === 0) return [];
  // What one says of namespaces without a label counts for the limits of all.
  const refused = new Set(tooSensitive(input, enforced, isEnforced).map(({ message }) => message));
  return [
    ...warning.flatMap((policy) => frozen(policy)),
    ...limited(input, warning),
    ...tooSensitive(input, [...enforced, ...warning], () => true).filter(({ message }) => !refused.has(message)),
    ...denied(input, (policy) => !isEnforced(policy)),
  ];
}

/** Whether a policy selects a namespace with these labels; one that can't be read might select any. */
export function policySelects({ spec }: ParsedPolicy, labels: Record<string, string> | undefined): boolean {
  return spec === undefined || selects(spec.namespaceSelector, labels);
}

/** Those of the policies that select a namespace with these labels, by name. */
export function policiesSelecting(
  policies: ParsedPolicy[],
  labels: Record<string, string> | undefined,
): ParsedPolicy[] {
  return policiesByName(policies.filter((policy) => policySelects(policy, labels)));
}

/** The policies in the order in which grants are held against them. */
export function policiesByName(policies: ParsedPolicy[]): ParsedPolicy[] {
  return [...policies].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

type Which = (policy: ParsedPolicy) => boolean;

/** One that can't be read might as well be enforced. */
export const isEnforced: Which = ({ spec }) => spec?.enforcement !== 'Warn';

/** The policies that a grant is held against, each once: those that refuse, and those that only warn. */
export type Concerned = { enforced: ParsedPolicy[]; warning: ParsedPolicy[] };

/** Those of the grant's own namespace, and of each place that it reaches. */
export function concernedPolicies(
  snapshot: Pick<Snapshot, 'grant' | 'namespaces' | 'cluster'>,
  access: Access[],
): Concerned {
  const places = new Set([snapshot.grant.metadata.namespace ?? '', ...access.map(({ namespace }) => namespace)]);
  const enforced: ParsedPolicy[] = [];
  const warning: ParsedPolicy[] = [];
  for (const policy of each([...places].flatMap((place) => viewOf(snapshot, place)?.policies ?? []))) {
    (isEnforced(policy) ? enforced : warning).push(policy);
  }
  return { enforced, warning };
}

/** Policies by their names, which are one object each. */
function each(policies: ParsedPolicy[]): ParsedPolicy[] {
  return [...new Map(policies.map((policy) => [policy.metadata.name, policy])).values()];
}

function unguarded({ grant, access, namespaces }: GateInput): Finding[] {
  const own = grant.metadata.namespace ?? '';
  const concerned = new Set([own, ...access.flatMap(({ namespace }) => namespace ?? [])]);
  return [...concerned].flatMap((namespace): Finding[] => {
    const view = namespaces.get(namespace);
    // Another gate says of a target that it isn't there. Of the own one, where it is none, nobody would, and its policies were skipped.
    const told = namespace !== own || access.some((entry) => entry.namespace === own);
    if (view ? view.policies.some(isEnforced) : told) return [];
    return [
      finding({
        reason: 'NoPolicy',
        what: `no AgentPolicy selects namespace ${namespace}, and without guardrails nothing is granted`,
        remedy: 'a cluster admin installs the default by: kubectl create -k deploy/policy',
        by: ['ClusterAdmin', 'PolicyAdmin'],
      }),
    ];
  });
}

function unreadable({ metadata, spec, invalid }: ParsedPolicy): Finding[] {
  if (spec) return [];
  return [
    finding({
      reason: 'PolicyInvalid',
      policy: metadata.name,
      line: 'spec',
      what: `AgentPolicy ${metadata.name} is not valid (${invalid ?? 'unreadable'}), so that nobody knows what it would refuse`,
      remedy: 'correct it',
      by: ['PolicyAdmin'],
    }),
  ];
}

function frozen({ metadata, spec }: ParsedPolicy): Finding[] {
  if (!spec?.freeze) return [];
  return [
    finding({
      reason: 'Frozen',
      policy: metadata.name,
      line: 'spec.freeze',
      what: `AgentPolicy ${metadata.name} has stopped all access (${spec.freeze.reason})`,
      remedy: 'it comes back when spec.freeze is taken out',
      by: ['PolicyAdmin'],
    }),
  ];
}

function limited({ grant, term, activeBefore, atIssue, now }: GateInput, policies: ParsedPolicy[]): Finding[] {
  const findings: Finding[] = [];
  const longest = strictest(
    policies,
    ({ limits }) => limits?.maxGrantDuration && milliseconds(limits.maxGrantDuration),
  );
  if (longest && term && term.end - term.start > longest.value) {
    const shrinks = atIssue && grant.spec?.validity.duration === undefined;
    const line = 'spec.limits.maxGrantDuration';
    findings.push(
      finding({
        reason: 'ExceedsPolicyLimit',
        policy: longest.policy,
        line,
        what: `its ${Math.ceil((term.end - term.start) / 1000)} s are longer than the ${formatDuration(longest.value / 1000)} of AgentPolicy ${longest.policy} (${line})`,
        remedy: 'ask for less time',
        by: shrinks ? ['Requester', 'Time'] : ['Requester'],
        nextCheck: shrinks ? Math.max(term.end - longest.value, now) : undefined,
      }),
    );
  }
  const most = strictest(policies, ({ limits }) => limits?.maxActiveGrants);
  if (most && activeBefore >= most.value) {
    const line = 'spec.limits.maxActiveGrants';
    findings.push(
      finding({
        reason: 'ExceedsPolicyLimit',
        policy: most.policy,
        line,
        what: `AgentIdentity ${grant.spec?.agent} has ${activeBefore} active grants and AgentPolicy ${most.policy} allows ${most.value} (${line})`,
        remedy: 'this one follows when one of them ends',
        by: ['Time'],
      }),
    );
  }
  return findings;
}

function tooSensitive(input: GateInput, policies: ParsedPolicy[], counts: Which): Finding[] {
  return policies.flatMap(({ metadata, spec }) => {
    const limit = spec?.limits?.maxDataSensitivity;
    if (limit === undefined) return [];
    const line = 'spec.limits.maxDataSensitivity';
    return aboveLimit(input, limit, counts).map(({ namespace, level, from }) =>
      finding({
        reason: 'TooSensitive',
        policy: metadata.name,
        line,
        what: `the data of namespace ${namespace} is ${level} (${from}), above the ${limit} of AgentPolicy ${metadata.name} (${line})`,
        remedy: 'ask for access elsewhere, or have whoever answers for the data look at its label',
        by: ['Requester', 'NamespaceAdmin'],
      }),
    );
  });
}

function strictest(policies: ParsedPolicy[], limit: (spec: PolicySpec) => number | '' | undefined) {
  let found: { policy: string; value: number } | undefined;
  for (const { metadata, spec } of policies) {
    const value = spec && limit(spec);
    if (value && (!found || value < found.value)) found = { policy: metadata.name, value };
  }
  return found;
}

function denied(input: GateInput, which: Which): Finding[] {
  const own = input.namespaces.get(input.grant.metadata.namespace ?? '')?.policies ?? NONE;
  const findings: Finding[] = [];
  for (const { namespace, rules } of input.access) {
    const target = viewOf(input, namespace)?.policies ?? NONE;
    const allowed = allowedIn(input, namespace);
    const asked = grantable(rules);
    const known = new Set(own === target ? [] : own.map(({ metadata }) => metadata.name));
    const others = meeting(target, asked).filter(({ policy }) => !known.has(policy.metadata.name));
    for (const { policy, line, entry, met } of own === target ? others : [...meeting(own, asked), ...others]) {
      if (!which(policy)) continue;
      const { why, unlessAllowed } = entry;
      const hits = met
        .flatMap((rule) => overlap(rule, entry) ?? [])
        .filter((hit) => !unlessAllowed || !covers(allowed, [hit]).covered);
      if (hits.length === 0) continue;
      const { name } = policy.metadata;
      findings.push(
        finding({
          reason: 'DeniedByPolicy',
          policy: name,
          line: `spec.deny[${line}]`,
          what: `in ${describePlace(namespace)} AgentPolicy ${name} refuses ${hits.slice(0, 3).map(describeRule).join('; ')} (spec.deny[${line}]: ${why})`,
          remedy: unlessAllowed
            ? `ask for less, or ${allowing(input, namespace)}`
            : 'ask for less: nothing lifts this line',
          by: unlessAllowed ? ['Requester', 'PolicyAdmin'] : ['Requester'],
        }),
      );
    }
  }
  return findings.slice(0, MOST_DENIALS);
}

const NONE: ParsedPolicy[] = [];

/** A line of `deny` that has something in common with some of the rules of a grant. */
type Met = { policy: ParsedPolicy; line: number; entry: NonNullable<PolicySpec['deny']>[number]; met: PolicyRule[] };

/** Each such line of these policies, in their order. */
const meeting = onceForBoth((policies: ParsedPolicy[], rules: PolicyRule[]): Met[] =>
  policies.flatMap((policy) => {
    const deny = policy.spec?.deny ?? [];
    const lines = new Map<number, Met>();
    for (const rule of rules) {
      eachLineAbout(deny, rule, (line) => {
        const entry = deny[line];
        if (!entry || !overlap(rule, entry)) return;
        const known = lines.get(line);
        if (known) known.met.push(rule);
        else lines.set(line, { policy, line, entry, met: [rule] });
      });
    }
    return [...lines.values()].sort((a, b) => a.line - b.line);
  }),
);

/**
 * Only those who guard a namespace lift what is refused in it. In the whole cluster, where every policy refuses, those of the grant's
 * own namespace lift, by lines that say so.
 */
function allowedIn(input: GateInput, place: Place): PolicyRule[] {
  const { policies = NONE } = input.namespaces.get(place ?? input.grant.metadata.namespace ?? '') ?? {};
  return allowLines(policies)[place === undefined ? 'cluster' : 'namespaces'];
}

const allowLines = once((policies: ParsedPolicy[]): { namespaces: PolicyRule[]; cluster: PolicyRule[] } => {
  const lines = policies.filter(isEnforced).flatMap(({ spec }) => spec?.allow ?? []);
  return {
    namespaces: lines.filter(({ scope }) => scope !== 'Cluster'),
    cluster: lines.filter(({ scope }) => scope === 'Cluster').map(readingUnlessNamed),
  };
});

/** What writes in every namespace at once is named verb by verb: a wildcard stands for reading. */
function readingUnlessNamed(line: PolicyRule): PolicyRule {
  if (!line.verbs.includes('*')) return line;
  return { ...line, verbs: [...READING, ...line.verbs.filter((verb) => verb !== '*')] };
}

/** What holds in the whole cluster is handed out only where a policy says so, rule by rule. */
function unnamed(input: GateInput): Finding[] {
  const rules = input.access.flatMap((entry) => (entry.namespace === undefined ? grantable(entry.rules) : []));
  if (rules.length === 0) return [];
  const allowed = allowedIn(input, undefined);
  const refused = rules.filter((rule) => !covers(allowed, [rule]).covered);
  if (refused.length === 0) return [];
  const writes = refused.some(({ verbs }) => verbs.some((verb) => !READING.includes(verb)));
  const note = writes ? ' (verbs that write one by one: * stands for reading there)' : '';
  return [
    finding({
      reason: 'ClusterScopeRefused',
      what: `in the whole cluster no AgentPolicy allows by name ${refused.slice(0, 3).map(describeRule).join('; ')}`,
      remedy: `ask for it in namespaces, or ${allowing(input, undefined)}${note}`,
      by: ['Requester', 'PolicyAdmin'],
    }),
  ];
}

/** What hallpass itself refuses, whatever policies say, needs no further reason, least of all one with another remedy. */
const grantable = once((rules: Access['rules']): PolicyRule[] =>
  rules.some(isForbidden) ? rules.filter((rule) => !isForbidden(rule)) : rules,
);

const wildPartsOf = once((rules: PolicyRule[]) => rules.flatMap(wildParts));

/** A wildcard means what nobody has thought of yet: it is handed out only where a policy says it, or a wider one. */
function wildcards(input: GateInput): Finding[] {
  return input.access.flatMap(({ namespace, rules }): Finding[] => {
    const wild = wildPartsOf(grantable(rules));
    if (wild.length === 0) return [];
    const allowed = allowedIn(input, namespace);
    const refused = wild.filter((part) => !covers(allowed, [part]).covered);
    if (refused.length === 0) return [];
    return [
      finding({
        reason: 'WildcardRefused',
        what: `in ${describePlace(namespace)} no AgentPolicy allows the wildcard in ${refused.slice(0, 3).map(describeRule).join('; ')}`,
        remedy: `name what is needed, or ${allowing(input, namespace)}`,
        by: ['Requester', 'PolicyAdmin'],
      }),
    ];
  });
}

function allowing({ grant }: GateInput, place: Place): string {
  const scope = place === undefined ? ', with scope: Cluster,' : '';
  const namespace = place ?? grant.metadata.namespace;
  return `have whoever maintains AgentPolicies add it to spec.allow${scope} of one that selects ${namespace}`;
}
