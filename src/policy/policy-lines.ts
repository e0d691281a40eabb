// What policies say line by line: what their `deny` refuses, and what is handed out only where their `allow` names it.

import type { ParsedPolicy, PolicySpec } from '../api/policy.ts';
import { type Access, describePlace, describeRule, type Place, READING } from './access.ts';
import { eachLineAbout } from './deny-lines.ts';
import { type Finding, finding, NOTHING, ofEach } from './finding.ts';
import { isForbidden } from './forbidden.ts';
import type { GateInput } from './gates.ts';
import { once, onceForBoth } from './once.ts';
import { overlap, wildParts } from './overlap.ts';
import { isEnforced, type Which } from './policies.ts';
import { covers, type PolicyRule } from './rules.ts';
import { NO_POLICIES, ownPolicies, viewOf } from './snapshot.ts';

/** How many lines of policies are named that refuse a grant: one that asks for everything meets them all. */
const MOST_DENIALS = 24;

/** What lines of `deny` refuse of what the grant asks for, of some of the policies. */
export function denied(input: GateInput, which: Which): readonly Finding[] {
  const own = ownPolicies(input);
  const findings: Finding[] = [];
  for (const { namespace, rules } of input.access) {
    const target = viewOf(input, namespace)?.policies ?? NO_POLICIES;
    const allowed = allowedIn(input, namespace);
    const asked = grantable(rules);
    const ofTarget = refusing(allowed, meeting(target, asked));
    const ofOwn = own === target ? ofTarget : refusing(allowed, meeting(own, asked));
    for (const { policy, line, entry, hits } of own === target ? ofTarget : eachOnce(ofOwn, ofTarget, own)) {
      if (!which(policy)) continue;
      const { why, unlessAllowed } = entry;
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
  return findings.length > MOST_DENIALS ? findings.slice(0, MOST_DENIALS) : findings;
}

/** Of two lists the first, and of the second what is of none of these policies. */
function eachOnce(first: Refusing[], second: Refusing[], policies: ParsedPolicy[]): Refusing[] {
  const known = new Set(policies.map(({ metadata }) => metadata.name));
  return [...first, ...second.filter(({ policy }) => !known.has(policy.metadata.name))];
}

/** A line of `deny` that has something in common with some of the rules of a grant. */
type Met = { policy: ParsedPolicy; line: number; entry: NonNullable<PolicySpec['deny']>[number]; met: PolicyRule[] };

/** One that refuses some of them. */
type Refusing = Omit<Met, 'met'> & { hits: PolicyRule[] };

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

/** What those lines refuse, each of the rules that it meets, of what is not allowed. */
const refusing = onceForBoth((allowed: PolicyRule[], lines: Met[]): Refusing[] =>
  lines.flatMap(({ policy, line, entry, met }) => {
    const hits = met
      .flatMap((rule) => overlap(rule, entry) ?? [])
      .filter((hit) => !entry.unlessAllowed || !covers(allowed, [hit]).covered);
    return hits.length === 0 ? [] : [{ policy, line, entry, hits }];
  }),
);

/**
 * Whether a line of these policies, or a wildcard that none of them allows, refuses any of these rules in a namespace that they
 * guard. Worked out once for the same policies and rules, of which thousands of grants have the same.
 */
export const refuses = onceForBoth((policies: ParsedPolicy[], rules: PolicyRule[]): boolean => {
  const asked = grantable(rules);
  const allowed = allowLines(policies).namespaces;
  const lines = refusing(allowed, meeting(policies, asked));
  return lines.some(({ policy }) => isEnforced(policy)) || wildPartsRefused(asked, allowed).length > 0;
});

/**
 * Only those who guard a namespace lift what is refused in it. In the whole cluster, where every policy refuses, those of the grant's
 * own namespace lift, by lines that say so.
 */
function allowedIn(input: GateInput, place: Place): PolicyRule[] {
  const { policies = NO_POLICIES } = input.namespaces.get(place ?? input.grant.metadata.namespace ?? '') ?? {};
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
export function unnamed(input: GateInput): readonly Finding[] {
  // Of the entries only the first may be of the whole cluster.
  const [entry] = input.access;
  if (!entry || entry.namespace !== undefined) return NOTHING;
  const allowed = allowedIn(input, undefined);
  const refused = grantable(entry.rules).filter((rule) => !covers(allowed, [rule]).covered);
  if (refused.length === 0) return NOTHING;
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
export function wildcards(input: GateInput): readonly Finding[] {
  return ofEach(input.access, ({ namespace, rules }) => {
    const refused = wildPartsRefused(grantable(rules), allowedIn(input, namespace));
    if (refused.length === 0) return NOTHING;
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

function wildPartsRefused(rules: PolicyRule[], allowed: PolicyRule[]): PolicyRule[] {
  return wildPartsOf(rules).filter((part) => !covers(allowed, [part]).covered);
}

function allowing({ grant }: GateInput, place: Place): string {
  const scope = place === undefined ? ', with scope: Cluster,' : '';
  const namespace = place ?? grant.metadata.namespace;
  return `have whoever maintains AgentPolicies add it to spec.allow${scope} of one that selects ${namespace}`;
}
