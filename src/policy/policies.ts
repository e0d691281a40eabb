// The policy gate: what the AgentPolicies of the namespaces concerned have against a grant.
//
// A grant is held against the policies of its own namespace and of each that it reaches into: every line of `deny` and every
// limit of any of them counts. Only a policy that selects the target lifts what is refused there: whoever guards a namespace says
// what may happen in it, not whoever asks. What holds in the whole cluster reaches every namespace, so there every policy
// counts, and nothing passes that one of the grant's own namespace doesn't allow by name.

import { formatDuration } from '../api/duration.ts';
import type { ParsedPolicy, PolicySpec } from '../api/policy.ts';
import { type Access, describePlace, describeRule, type Place, READING } from './access.ts';
import { eachLineAbout } from './deny-lines.ts';
import { isForbidden } from './forbidden.ts';
import type { Finding, GateInput } from './gates.ts';
import { overlap, wildParts } from './overlap.ts';
import { covers, type PolicyRule } from './rules.ts';
import { milliseconds } from './schedule.ts';
import { selects } from './selector.ts';
import { aboveLimit } from './sensitivity.ts';
import { viewOf } from './snapshot.ts';

/** How many lines of policies are named that refuse a grant: one that asks for everything meets them all. */
const MOST_DENIALS = 24;

/** Everything that enforced policies have against the grant; empty when they let it pass. */
export function policyGate(input: GateInput): Finding[] {
  const policies = enforcedPolicies(input);
  return [
    ...unguarded(input),
    ...policies.flatMap((policy) => unreadable(policy)),
    ...policies.flatMap((policy) => frozen(policy)),
    ...limited(input, policies),
    ...tooSensitive(input, policies, isEnforced),
    ...unnamed(input),
    ...wildcards(input),
    ...denied(input, isEnforced),
  ];
}

/** What would stand against the grant beside that, were the policies enforced which only warn. What they allow lifts nothing. */
export function policyWarnings(input: GateInput): Finding[] {
  const policies = policiesOf(input);
  const warning = warningPolicies(input);
  if (warning.length === 0) return [];
  // What one says of namespaces without a label counts for the limits of all.
  const refused = new Set(tooSensitive(input, policies.filter(isEnforced), isEnforced).map(({ message }) => message));
  return [
    ...warning.flatMap((policy) => frozen(policy)),
    ...limited(input, warning),
    ...tooSensitive(input, policies, () => true).filter(({ message }) => !refused.has(message)),
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

/** What tells by which policies a grant is concerned. */
type Concerned = Pick<GateInput, 'grant' | 'access' | 'namespaces' | 'cluster'>;

/** The policies that the grant is held against and that refuse, each once. */
export function enforcedPolicies(input: Concerned): ParsedPolicy[] {
  return policiesOf(input).filter(isEnforced);
}

/** The policies that the grant is held against and that only warn, each once. */
export function warningPolicies(input: Concerned): ParsedPolicy[] {
  return policiesOf(input).filter((policy) => !isEnforced(policy));
}

/** The policies that the grant is held against, each once. */
function policiesOf(input: Concerned): ParsedPolicy[] {
  const concerned = new Set([input.grant.metadata.namespace ?? '', ...input.access.map(({ namespace }) => namespace)]);
  return each([...concerned].flatMap((place) => viewOf(input, place)?.policies ?? []));
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
      {
        reason: 'NoPolicy',
        message: `no AgentPolicy selects namespace ${namespace}, and without guardrails nothing is granted; a cluster admin installs the default by: kubectl create -k deploy/policy`,
      },
    ];
  });
}

function unreadable({ metadata, spec, invalid }: ParsedPolicy): Finding[] {
  if (spec) return [];
  return [
    {
      reason: 'PolicyInvalid',
      message: `AgentPolicy ${metadata.name} is not valid (${invalid ?? 'unreadable'}), so that nobody knows what it would refuse; correct it`,
    },
  ];
}

function frozen({ metadata, spec }: ParsedPolicy): Finding[] {
  if (!spec?.freeze) return [];
  return [
    {
      reason: 'Frozen',
      message: `AgentPolicy ${metadata.name} has stopped all access (${spec.freeze.reason}); it comes back when spec.freeze is taken out`,
    },
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
    findings.push({
      reason: 'ExceedsPolicyLimit',
      message: `its ${Math.ceil((term.end - term.start) / 1000)} s are longer than the ${formatDuration(longest.value / 1000)} of AgentPolicy ${longest.policy} (spec.limits.maxGrantDuration); ask for less time`,
      nextCheck: shrinks ? Math.max(term.end - longest.value, now) : undefined,
    });
  }
  const most = strictest(policies, ({ limits }) => limits?.maxActiveGrants);
  if (most && activeBefore >= most.value) {
    findings.push({
      reason: 'ExceedsPolicyLimit',
      message: `AgentIdentity ${grant.spec?.agent} has ${activeBefore} active grants and AgentPolicy ${most.policy} allows ${most.value} (spec.limits.maxActiveGrants); this one follows when one of them ends`,
    });
  }
  return findings;
}

function tooSensitive(input: GateInput, policies: ParsedPolicy[], counts: Which): Finding[] {
  return policies.flatMap(({ metadata, spec }) => {
    const limit = spec?.limits?.maxDataSensitivity;
    if (limit === undefined) return [];
    return aboveLimit(input, limit, counts).map(({ namespace, level, from }) => ({
      reason: 'TooSensitive',
      message: `the data of namespace ${namespace} is ${level} (${from}), above the ${limit} of AgentPolicy ${metadata.name} (spec.limits.maxDataSensitivity); ask for access elsewhere, or have whoever answers for the data look at its label`,
    }));
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
  const own = input.namespaces.get(input.grant.metadata.namespace ?? '')?.policies ?? [];
  const findings: Finding[] = [];
  for (const { namespace, rules } of input.access) {
    const target = viewOf(input, namespace)?.policies ?? [];
    const allowed = allowedIn(input, namespace);
    for (const { metadata, spec } of each([...own, ...target].filter(which))) {
      for (const [line, hits] of hitLines(spec?.deny ?? [], grantable(rules), allowed)) {
        const { why, unlessAllowed } = spec?.deny?.[line] ?? { why: '' };
        findings.push({
          reason: 'DeniedByPolicy',
          message: `in ${describePlace(namespace)} AgentPolicy ${metadata.name} refuses ${hits.slice(0, 3).map(describeRule).join('; ')} (spec.deny[${line}]: ${why}); ${remedy(input, namespace, unlessAllowed)}`,
        });
      }
    }
  }
  return findings.slice(0, MOST_DENIALS);
}

/** By the number of each line that stands against any of the rules, ascending, the part of them that it refuses. */
function hitLines(deny: NonNullable<PolicySpec['deny']>, rules: PolicyRule[], allowed: PolicyRule[]) {
  const hits: [number, PolicyRule[]][] = [];
  for (const rule of rules) {
    eachLineAbout(deny, rule, (line) => {
      const entry = deny[line];
      const hit = entry && overlap(rule, entry);
      if (!hit || (entry.unlessAllowed && covers(allowed, [hit]).covered)) return;
      const known = hits.find(([number]) => number === line);
      if (known) known[1].push(hit);
      else hits.push([line, [hit]]);
    });
  }
  return hits.sort(([a], [b]) => a - b);
}

/**
 * Only those who guard a namespace lift what is refused in it. In the whole cluster, where every policy refuses, those of the grant's
 * own namespace lift, by lines that say so.
 */
function allowedIn(input: GateInput, place: Place): PolicyRule[] {
  const { policies = [] } = input.namespaces.get(place ?? input.grant.metadata.namespace ?? '') ?? {};
  const lines = policies.filter(isEnforced).flatMap(({ spec }) => spec?.allow ?? []);
  if (place !== undefined) return lines.filter(({ scope }) => scope !== 'Cluster');
  return lines.filter(({ scope }) => scope === 'Cluster').map(readingUnlessNamed);
}

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
    {
      reason: 'ClusterScopeRefused',
      message: `in the whole cluster no AgentPolicy allows by name ${refused.slice(0, 3).map(describeRule).join('; ')}; ask for it in namespaces, or ${allowing(input, undefined)}${note}`,
    },
  ];
}

/** What hallpass itself refuses, whatever policies say, needs no further reason, least of all one with another remedy. */
function grantable(rules: Access['rules']): PolicyRule[] {
  return rules.filter((rule) => !isForbidden(rule));
}

/** A wildcard means what nobody has thought of yet: it is handed out only where a policy says it, or a wider one. */
function wildcards(input: GateInput): Finding[] {
  return input.access.flatMap(({ namespace, rules }): Finding[] => {
    const wild = grantable(rules).flatMap(wildParts);
    if (wild.length === 0) return [];
    const allowed = allowedIn(input, namespace);
    const refused = wild.filter((part) => !covers(allowed, [part]).covered);
    if (refused.length === 0) return [];
    return [
      {
        reason: 'WildcardRefused',
        message: `in ${describePlace(namespace)} no AgentPolicy allows the wildcard in ${refused.slice(0, 3).map(describeRule).join('; ')}; name what is needed, or ${allowing(input, namespace)}`,
      },
    ];
  });
}

function remedy(input: GateInput, place: Place, unlessAllowed: boolean | undefined): string {
  return unlessAllowed ? `ask for less, or ${allowing(input, place)}` : 'ask for less: nothing lifts this line';
}

function allowing({ grant }: GateInput, place: Place): string {
  const scope = place === undefined ? ', with scope: Cluster,' : '';
  const namespace = place ?? grant.metadata.namespace;
  return `have whoever maintains AgentPolicies add it to spec.allow${scope} of one that selects ${namespace}`;
}
