// Whether access may be given where the Job is refused that would end it with hallpass down.

import type { PolicySpec } from '../api/policy.ts';
import type { Access } from './access.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import type { GateInput } from './gates.ts';
import { isEnforced } from './policies.ts';
import type { NamespaceView, Refusal, Snapshot } from './snapshot.ts';

/** Required: without a dead man nothing is given. BestEffort: where it is refused, access is given nevertheless. */
export type DeadManRule = NonNullable<PolicySpec['deadMan']>;

type Ruled = Pick<Snapshot, 'namespaces' | 'cluster'>;

/** The strictest that the enforced policies of all places concerned say. What reaches the whole cluster always has its dead man. */
export function deadManRule({ namespaces, cluster }: Ruled): DeadManRule {
  return cluster ? 'Required' : deadManRuleIn(namespaces.values());
}

/** The strictest that the enforced policies of these namespaces say; one that says nothing, or can't be read, is strict. */
export function deadManRuleIn(views: Iterable<Pick<NamespaceView, 'policies'>>): DeadManRule {
  let optional = false;
  for (const { policies } of views) {
    for (const policy of policies) {
      if (!isEnforced(policy)) continue;
      if (policy.spec?.deadMan !== 'BestEffort') return 'Required';
      optional = true;
    }
  }
  return optional ? 'BestEffort' : 'Required';
}

/** The refusal of dead men that the policies do without; undefined where there is none, or where it stands against the grant. */
function tolerated(snapshot: Ruled & Pick<Snapshot, 'refusal'>): Refusal | undefined {
  const { refusal } = snapshot;
  return refusal?.reason === 'DeadManRefused' && deadManRule(snapshot) === 'BestEffort' ? refusal : undefined;
}

/** Those of the namespaces in which access is given without a dead man, for as long as that is refused there. */
export function doneWithout(snapshot: Ruled & Pick<Snapshot, 'refusal'>, access: Pick<Access, 'namespace'>[]) {
  const refusal = tolerated(snapshot);
  if (!refusal) return [];
  const namespaces = access.flatMap(({ namespace }) => namespace ?? []);
  return namespaces.filter((namespace) => refusal.namespaces?.includes(namespace) ?? true);
}

/** What could not be made stands against the grant, unless it is a dead man that the policies do without. */
export function creationGate(input: GateInput): readonly Finding[] {
  const { refusal } = input;
  if (!refusal || tolerated(input)) return NOTHING;
  return [refused(refusal)];
}

/** Who mends it that something could not be made. */
const MENDERS = {
  DeadManRefused: ['NamespaceAdmin', 'ClusterAdmin'],
  AccessRefused: ['ClusterAdmin'],
  ForeignObject: ['NamespaceAdmin', 'ClusterAdmin'],
} as const satisfies Record<Refusal['reason'], Finding['by']>;

/** What a refusal says against the grant. */
export function refused({ reason, what, remedy, retryAt }: Refusal): Finding {
  return { ...finding({ reason, what, remedy, by: MENDERS[reason], nextCheck: retryAt }), gate: 'creation' };
}

/** That access is given without a dead man, and what policies would have against it that only warn. */
export function deadManWarnings(input: GateInput): readonly Finding[] {
  const refusal = tolerated(input);
  if (!refusal) return NOTHING;
  const { what, remedy, retryAt } = refusal;
  const help = { remedy, by: MENDERS.DeadManRefused };
  return [
    finding({ reason: 'DeadManLacking', what, ...help, nextCheck: retryAt }),
    ...input.policies.warning
      .filter(({ spec }) => spec?.deadMan !== 'BestEffort')
      .map(({ metadata: { name: policy } }) => {
        const line = 'spec.deadMan';
        return finding({
          reason: 'DeadManRefused',
          policy,
          line,
          what: `AgentPolicy ${policy} (${line}): ${what}`,
          ...help,
        });
      }),
  ];
}
