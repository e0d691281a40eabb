// The policy gate: what the AgentPolicies of the namespaces concerned have against a grant.
//
// A grant is held against the policies of its own namespace and of each that it reaches into: every line of `deny` and every
// limit of any of them counts. Only a policy that selects the target lifts what is refused there: whoever guards a namespace says
// what may happen in it, not whoever asks.

import { formatDuration } from '../api/duration.ts';
import type { ParsedPolicy, PolicySpec } from '../api/policy.ts';
import { type Access, describeRule } from './access.ts';
import { forbiddenReach } from './forbidden.ts';
import type { Finding, GateInput } from './gates.ts';
import { overlap, wildParts } from './overlap.ts';
import { covers, type PolicyRule } from './rules.ts';
import { milliseconds } from './schedule.ts';
import { aboveLimit } from './sensitivity.ts';

/** How many lines of policies are named that refuse a grant: one that asks for everything meets them all. */
const MOST_DENIALS = 24;

/** Everything that enforced policies have against the grant; empty when they let it pass. */
export function policyGate(input: GateInput): Finding[] {
  return held(input, isEnforced);
}

/** What would stand against the grant beside that, were the policies enforced which only warn. */
export function policyWarnings(input: GateInput): Finding[] {
  if (![...policiesOf(input).values()].some((policy) => !isEnforced(policy))) return [];
  const refused = new Set(policyGate(input).map(({ message }) => message));
  // Of those that only warn nothing lifts anything, and none is enough where there is no other.
  return held(input, () => true, isEnforced).filter(({ message }) => !refused.has(message));
}

type Which = (policy: ParsedPolicy) => boolean;

/** One that can't be read might as well be enforced. */
export const isEnforced: Which = ({ spec }) => spec?.enforcement !== 'Warn';

function held(input: GateInput, counts: Which, lifts: Which = counts): Finding[] {
  const policies = [...policiesOf(input).values()].filter(counts);
  return [
    ...unguarded(input, lifts),
    ...policies.flatMap((policy) => unreadable(policy)),
    ...policies.flatMap((policy) => frozen(policy)),
    ...limited(input, policies),
    ...tooSensitive(input, policies, counts),
    ...denied(input, counts, lifts),
  ];
}

/** The policies that the grant is held against, by name. */
function policiesOf({ grant, access, namespaces }: GateInput): Map<string, ParsedPolicy> {
  const concerned = [grant.metadata.namespace ?? '', ...access.map(({ namespace }) => namespace)];
  const all = concerned.flatMap((namespace) => namespaces.get(namespace)?.policies ?? []);
  return new Map(all.map((policy) => [policy.metadata.name, policy]));
}

function unguarded({ grant, access, namespaces }: GateInput, lifts: Which): Finding[] {
  const concerned = new Set([grant.metadata.namespace ?? '', ...access.map(({ namespace }) => namespace)]);
  return [...concerned].flatMap((namespace): Finding[] => {
    const view = namespaces.get(namespace);
    if (!view || view.policies.some(lifts)) return [];
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

function denied({ grant, access, namespaces }: GateInput, counts: Which, lifts: Which): Finding[] {
  const own = namespaces.get(grant.metadata.namespace ?? '')?.policies ?? [];
  const findings: Finding[] = [];
  for (const { namespace, rules: all } of access) {
    // What hallpass itself refuses, whatever policies say, needs no further reason, least of all one with another remedy.
    const rules = all.filter((rule) => forbiddenReach(rule).length === 0);
    const target = namespaces.get(namespace)?.policies ?? [];
    const allowed = target.filter(lifts).flatMap(({ spec }) => spec?.allow ?? []);
    const policies = new Map([...own, ...target].filter(counts).map((policy) => [policy.metadata.name, policy]));
    findings.push(...wildcards(namespace, rules, allowed));
    for (const [name, { spec }] of policies) {
      for (const [line, entry] of (spec?.deny ?? []).entries()) {
        const hits = rules.flatMap((rule) => overlap(rule, entry) ?? []);
        const standing = entry.unlessAllowed ? hits.filter((hit) => !covers(allowed, [hit]).covered) : hits;
        if (standing.length === 0) continue;
        findings.push({
          reason: 'DeniedByPolicy',
          message: `in namespace ${namespace} AgentPolicy ${name} refuses ${standing.slice(0, 3).map(describeRule).join('; ')} (spec.deny[${line}]: ${entry.why}); ${remedy(entry.unlessAllowed, namespace)}`,
        });
      }
    }
  }
  return findings.slice(0, MOST_DENIALS);
}

/** A wildcard means what nobody has thought of yet: it is handed out only where a policy says it, or a wider one. */
function wildcards(namespace: string, rules: Access['rules'], allowed: PolicyRule[]): Finding[] {
  const wild = rules.flatMap(wildParts).filter((part) => !covers(allowed, [part]).covered);
  if (wild.length === 0) return [];
  return [
    {
      reason: 'WildcardRefused',
      message: `in namespace ${namespace} no AgentPolicy allows the wildcard in ${wild.slice(0, 3).map(describeRule).join('; ')}; name what is needed, or ${allowing(namespace)}`,
    },
  ];
}

function remedy(unlessAllowed: boolean | undefined, namespace: string): string {
  return unlessAllowed ? `ask for less, or ${allowing(namespace)}` : 'ask for less: nothing lifts this line';
}

function allowing(namespace: string): string {
  return `have whoever maintains AgentPolicies add it to spec.allow of one that selects ${namespace}`;
}
