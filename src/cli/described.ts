// A grant or an identity as a person must see it who decides about it: who asks for what, until when, and how it stands.

import type { GrantSpec, ParsedGrant } from '../api/grant.ts';
import type { IdentityStatus, ParsedIdentity } from '../api/identity.ts';
import { keyOf } from '../kube/object.ts';
import { describePlace, describeRule, requestedAccess } from '../policy/access.ts';
import type { BlastRadius } from '../policy/blast-radius.ts';
import { authorsOf } from '../policy/reviews.ts';
import { printableUser } from '../text.ts';
import { fields } from './layout.ts';

/** Lines about a grant. */
export function describeGrant(grant: ParsedGrant, width: number): string[] {
  return [`AgentGrant ${keyOf(grant.metadata)}`, ...indented(fields(grantRows(grant), width - 2))];
}

/** Lines about an identity. */
export function describeIdentity({ metadata, spec, status, invalid }: ParsedIdentity, width: number): string[] {
  const radius = status.blastRadius;
  const holds = radius
    ? ` (${radius.rules} rules in ${reach(radius)}, ${radius.mutatingRules} of them changing something)`
    : '';
  const rows: [string, string][] = [
    ...(spec
      ? ([
          ['purpose', spec.purpose],
          ['owner', `${spec.owner.kind} ${spec.owner.name}${spec.owner.contact ? ` (${spec.owner.contact})` : ''}`],
        ] satisfies [string, string][])
      : ([['invalid', invalid ?? 'it cannot be read']] satisfies [string, string][])),
    ...(status.reviewDueAt
      ? ([['to certify', `by ${status.reviewDueAt}${lastCertified(status)}`]] satisfies [string, string][])
      : []),
    ['active grants', `${status.activeGrants ?? 0}${holds}`],
    ...(status.standingAccess?.length
      ? ([
          ['besides', `it has rights by ${status.standingAccess.length} bindings that hallpass did not make`],
        ] satisfies [string, string][])
      : []),
  ];
  return [`AgentIdentity ${keyOf(metadata)}`, ...indented(fields(rows, width - 2))];
}

/** Where an agent holds anything, in words. */
export function reach({ namespaces, clusterRules }: Pick<BlastRadius, 'namespaces' | 'clusterRules'>): string {
  const places = [...(clusterRules ? ['the whole cluster'] : []), ...(namespaces ? [`${namespaces} namespaces`] : [])];
  return places.join(' and ');
}

/** What a grant asks for and how it stands, by what each is. */
export function grantRows(grant: ParsedGrant): [string, string][] {
  const { spec, status, invalid } = grant;
  const rows: [string, string][] = [];
  if (spec) {
    rows.push(['agent', spec.agent]);
    rows.push(['task', `${spec.task.description}${spec.task.ref ? ` (${spec.task.ref})` : ''}`]);
    for (const { namespace, rules } of requestedAccess(spec.permissions, grant.metadata.namespace ?? '')) {
      for (const rule of rules) rows.push(['may', `${describeRule(rule)} in ${describePlace(namespace)}`]);
    }
    rows.push(['time', timeOf(spec.validity)]);
  } else {
    rows.push(['invalid', invalid ?? 'it cannot be read']);
  }
  rows.push([
    'written by',
    authorsOf(grant)
      .map((name) => printableUser(name))
      .join(', ') || 'nobody knows whom: it carries no stamps',
  ]);
  for (const { reviewer, review } of status.approvals ?? []) {
    rows.push(['approved by', `${reviewer} (AgentReview ${review})`]);
  }
  const ends = status.expiresAt ? ` until ${status.expiresAt}` : '';
  rows.push(['phase', `${status.phase ?? 'not seen by hallpass yet'}${status.phase === 'Active' ? ends : ''}`]);
  if (status.phase !== 'Active' && status.message) rows.push(['because', status.message]);
  return rows;
}

function lastCertified({ certifiedAt, certifiedBy }: IdentityStatus): string {
  return certifiedBy ? ` (last by ${certifiedBy.reviewer} at ${certifiedAt})` : '';
}

function timeOf({ duration, notBefore, notAfter, endsWith }: GrantSpec['validity']) {
  return [
    duration && `for ${duration}`,
    notBefore && `from ${notBefore}`,
    notAfter && `until ${notAfter} at the latest`,
    endsWith && `no longer than ${endsWith.kind} ${endsWith.name}`,
  ]
    .filter(Boolean)
    .join(', ');
}

function indented(lines: string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
