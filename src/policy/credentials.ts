// Which credential a grant gets: one that the policies of its own namespace list, since it is there that the agent proves itself.

import type { Credential } from '../api/credential.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once } from './once.ts';
import { isEnforced } from './policies.ts';
import { ownPolicies, type Snapshot } from './snapshot.ts';

/** What each of these lists has, in the order of the first; nothing where there is no list. */
export function inEach<C>([first = [], ...others]: C[][]): C[] {
  return first.filter((each) => others.every((list) => list.includes(each)));
}

const allowedBy = once((policies: ParsedPolicy[]) =>
  // What one says that can't be read, nobody knows.
  policies.every(({ spec }) => spec)
    ? inEach(policies.filter(isEnforced).flatMap(({ spec }) => (spec?.credentials ? [spec.credentials] : [])))
    : [],
);

/** The credential that a grant may use: the one that it names, or the first that its policies let be used; undefined where they don't. */
export function credentialOf(input: Pick<Snapshot, 'grant' | 'namespaces'>): Credential | undefined {
  const { spec } = input.grant;
  const { credential: named } = spec ?? {};
  return spec && allowedBy(ownPolicies(input)).find((each) => named === undefined || each === named);
}

/** What stands against the grant since no credential may be used for it, or not the one that it names. */
export function credentialFindings(input: GateInput): readonly Finding[] {
  if (credentialOf(input) !== undefined) return NOTHING;
  const { namespace } = input.grant.metadata;
  const policies = ownPolicies(input);
  // Where nothing guards the namespace, or nobody knows what does, that is what is said.
  if (!policies.some(isEnforced) || policies.some(({ spec }) => spec === undefined)) return NOTHING;
  const name = input.grant.spec?.credential ?? 'Identity';
  return [
    finding({
      reason: 'CredentialNotAllowed',
      what: `no AgentPolicy that selects namespace ${namespace} lets grants use credential ${name} (spec.credentials)`,
      remedy: `have whoever maintains AgentPolicies add ${name} to spec.credentials of one that does`,
      by: ['PolicyAdmin'],
    }),
  ];
}
