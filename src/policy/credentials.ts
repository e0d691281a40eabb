// Which credential a grant gets: one that the policies of its own namespace list, since it is there that the agent proves itself.

import type { ParsedPolicy } from '../api/policy.ts';
import { type Finding, finding } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once } from './once.ts';
import { isEnforced } from './policies.ts';

/** What each of these lists has, in the order of the first; nothing where there is no list. */
export function inEach<C>([first = [], ...others]: C[][]): C[] {
  return first.filter((each) => others.every((list) => list.includes(each)));
}

const allowedBy = once((policies: ParsedPolicy[]) =>
  inEach(policies.filter(isEnforced).flatMap(({ spec }) => (spec?.credentials ? [spec.credentials] : []))),
);

/** What stands against the grant since no credential may be used for it, or not the one that it names. */
export function credentialFindings({ grant, namespaces }: GateInput): Finding[] {
  const { namespace = '' } = grant.metadata;
  const { policies } = namespaces.get(namespace) ?? {};
  // Where nothing guards the namespace, or nobody knows what does, that is what is said.
  if (!policies?.some(isEnforced) || policies.some(({ spec }) => spec === undefined)) return [];
  const [preferred, ...more] = allowedBy(policies);
  const wanted = grant.spec?.credential ?? preferred;
  if (wanted !== undefined && (wanted === preferred || more.includes(wanted))) return [];
  const name = wanted ?? 'Identity';
  return [
    finding({
      reason: 'CredentialNotAllowed',
      what: `no AgentPolicy that selects namespace ${namespace} lets grants use credential ${name} (spec.credentials)`,
      remedy: `have whoever maintains AgentPolicies add ${name} to spec.credentials of one that does`,
      by: ['PolicyAdmin'],
    }),
  ];
}
