// What stands against manifests, by the decision that hallpass itself makes: offline, with the policies and roles among them and
// those that ship. No I/O.

import { parseGrant } from '../api/grant.ts';
import { parseIdentity } from '../api/identity.ts';
import { LABELS } from '../api/names.ts';
import { parsePolicy } from '../api/policy.ts';
import type { Condition } from '../api/restrictions.ts';
import { parseReview } from '../api/review.ts';
import { invalidity } from '../cel/expression.ts';
import { isRecord } from '../kube/json.ts';
import { clusterRoles } from '../kube/kinds.ts';
import { placed } from '../policy/conditions.ts';
import { ENVIRONMENT } from '../policy/environment.ts';
import type { Told } from '../policy/finding.ts';
import { type KnownNamespace, propose } from '../policy/proposed.ts';
import type { PolicyRule } from '../policy/rules.ts';
import type { Manifest } from './manifests.ts';

/** `note`: nothing is wrong, and it should be known. */
export type Level = 'error' | 'warning' | 'note';

export type Finding = {
  level: Level;
  rule: string;
  message: string;
  /** Of a decision: which policy decided, by which line, what helps, and who can do that. */
  policy?: string | undefined;
  line?: string | undefined;
  remedy?: string | undefined;
  by?: readonly string[] | undefined;
};

/** An object of ours, with all that was found about it. */
export type Judged = { file: string; line: number; object: string; findings: Finding[] };

type Read = {
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  invalid?: string;
  spec?: unknown;
};

const PARSERS: Record<string, (value: unknown) => Read> = {
  AgentGrant: parseGrant,
  AgentIdentity: parseIdentity,
  AgentPolicy: parsePolicy,
  AgentReview: parseReview,
};

/**
 * Judges every object of ours among the manifests. `shipped` are the policy and the roles that hallpass ships; a policy of the same
 * name among the manifests takes the place of theirs. `namespace` is that of objects that name none.
 */
export function judge(manifests: Manifest[], o: { shipped: Manifest[]; namespace: string; now: number }): Judged[] {
  const placed = manifests.map((manifest) => ({ ...manifest, object: withNamespace(manifest.object, o.namespace) }));
  const all = [...o.shipped, ...placed];
  const of = (kind: string, from = all) => from.flatMap(({ object }) => (object.kind === kind ? [object] : []));
  const identities = of('AgentIdentity').map(parseIdentity);
  // Later ones replace earlier ones: what ships comes first.
  const policies = [
    ...new Map(
      of('AgentPolicy')
        .map(parsePolicy)
        .map((each) => [each.metadata.name, each]),
    ).values(),
  ];
  const known = {
    now: o.now,
    policies,
    ceiling: of('ClusterRole').flatMap(grantableRules),
    namespaces: new Map(of('Namespace').map(knownNamespace)),
    activeGrants: 0,
  };
  return placed.flatMap(({ file, line, object }): Judged[] => {
    const read = PARSERS[String(object.kind)]?.(object);
    if (!read) return [];
    const { name, namespace } = read.metadata;
    const findings = [...schemaFindings(object, read)];
    if (object.kind === 'AgentPolicy') {
      const { conditions = [], approvals = [] } = parsePolicy(object).spec ?? {};
      const whens = approvals.map(({ when = 'true' }) => when);
      findings.push(...conditionFindings('PolicyInvalid', conditions));
      findings.push(...expressionFindings('PolicyInvalid', whens, (at) => `spec.approvals[${at}].when`));
    }
    if (object.kind === 'AgentGrant' && read.invalid === undefined) {
      const grant = parseGrant(object);
      findings.push(...conditionFindings('ConditionInvalid', grant.spec?.conditions ?? []));
      const identity = identities.find(
        ({ metadata }) => metadata.name === grant.spec?.agent && metadata.namespace === namespace,
      );
      findings.push(...grantFindings(propose(grant, { ...known, identity })));
    }
    const place = object.kind === 'AgentPolicy' ? name : `${namespace}/${name}`;
    return [{ file, line, object: `${object.kind} ${place}`, findings }];
  });
}

/** Nothing of the manifest is wrong: people or time bring it about. */
const TO_COME: ReadonlySet<string> = new Set(['ApprovalMissing', 'NotYetStarted']);

function grantFindings({ verdict, assumed }: ReturnType<typeof propose>): Finding[] {
  const { phase, reasons, warnings } = verdict;
  const against = phase === 'Active' ? [] : reasons;
  return [
    ...against.map((each) => decided(TO_COME.has(each.reason) ? 'note' : 'error', each)),
    ...warnings.map((each) => decided('warning', each)),
    ...assumed.map((message): Finding => ({ level: 'note', rule: 'Assumed', message })),
  ];
}

function conditionFindings(rule: string, conditions: Condition[]): Finding[] {
  const expressions = conditions.map(({ expression }) => expression);
  return expressionFindings(rule, expressions, (at) => `spec.conditions[${at}].expression`);
}

/** What is wrong with expressions, over the variables that hallpass has; that they are true nobody says here. */
function expressionFindings(rule: string, expressions: string[], field: (at: number) => string): Finding[] {
  return expressions.flatMap((expression, at): Finding[] => {
    const invalid = invalidity(expression, ENVIRONMENT);
    return invalid ? [{ level: 'error', rule, message: `${field(at)} ${placed(invalid)}; correct it` }] : [];
  });
}

function decided(level: Level, { reason, message, policy, line, remedy, by }: Told): Finding {
  return { level, rule: reason, message, policy, line, remedy, by };
}

function schemaFindings(object: Record<string, unknown>, { invalid, spec }: Read): Finding[] {
  if (invalid !== undefined) return [{ level: 'error', rule: 'InvalidSpec', message: invalid }];
  return unknownFields(object.spec, spec, 'spec').map((field) => ({
    level: 'error',
    rule: 'UnknownField',
    message: `${field} is no field of ${object.kind}: kubectl apply refuses it; see kubectl explain ${String(object.kind).toLowerCase()}.spec`,
  }));
}

/** Fields that reading has left out, since no schema knows them. */
function unknownFields(raw: unknown, read: unknown, path: string): string[] {
  if (Array.isArray(raw) && Array.isArray(read)) {
    return raw.flatMap((each, at) => unknownFields(each, read[at], `${path}[${at}]`));
  }
  if (!isRecord(raw) || !isRecord(read)) return [];
  return Object.keys(raw).flatMap((key) =>
    Object.hasOwn(read, key) ? unknownFields(raw[key], read[key], `${path}.${key}`) : [`${path}.${key}`],
  );
}

/** Rules that a ClusterRole adds to the ceiling; one that can't be read adds none. */
function grantableRules(object: Record<string, unknown>): PolicyRule[] {
  try {
    const { metadata, rules } = clusterRoles.parse(withUid(object));
    return metadata.labels?.[LABELS.aggregateToGrantable] === 'true' ? rules : [];
  } catch {
    return [];
  }
}

/** A manifest has no uid yet. */
function withUid(object: Record<string, unknown>) {
  return { ...object, metadata: { uid: '', ...(isRecord(object.metadata) ? object.metadata : {}) } };
}

function knownNamespace(object: Record<string, unknown>): [string, KnownNamespace] {
  const metadata = isRecord(object.metadata) ? object.metadata : {};
  return [String(metadata.name), { labels: strings(metadata.labels), annotations: strings(metadata.annotations) }];
}

function strings(value: unknown): Record<string, string> {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, String(each)])) : {};
}

function withNamespace(object: Record<string, unknown>, namespace: string): Record<string, unknown> {
  return { ...object, metadata: { namespace, ...(isRecord(object.metadata) ? object.metadata : {}) } };
}
