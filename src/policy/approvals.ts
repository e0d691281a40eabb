// The approvals that policies want of a grant, and which reviews are some.

import type { ParsedPolicy } from '../api/policy.ts';
import type { Finding, GateInput } from './gates.ts';
import { enforcedPolicies, warningPolicies } from './policies.ts';
import {
  formalProblem,
  nameOf,
  type Rejected,
  type Review,
  readable,
  rejectedNote,
  reviewerProblem,
} from './reviews.ts';

/** An approval as the status records it. */
export type Approval = { review: string; uid: string; reviewer: string; specHash: string };

/** Approvals that enforced policies want and that are missing. */
export function approvalGate(input: GateInput): Finding[] {
  return missingApprovals(input, enforcedPolicies(input));
}

/** Approvals that are missing by policies that only warn. */
export function approvalWarnings(input: GateInput): Finding[] {
  return missingApprovals(input, warningPolicies(input));
}

/** Approvals that these policies want and that are missing. */
function missingApprovals(input: GateInput, policies: ParsedPolicy[]): Finding[] {
  const wanted = policies.flatMap(({ metadata, spec }) =>
    (spec?.approvals ?? []).map((approval, line) => ({ policy: metadata.name, line, ...approval })),
  );
  if (wanted.length === 0) return [];
  const { counting, rejected } = weighed(input);
  const { namespace = '', name } = input.grant.metadata;
  return wanted.flatMap(({ policy, line, why, count, groups }): Finding[] => {
    const from = [...new Set(counting.filter((review) => isOneOf(review, groups)).map(nameOf))];
    if (from.length >= count) return [];
    const who = groups?.length ? ` by people of group ${groups.join(' or ')}` : '';
    const has = from.length > 0 ? ` and has ${from.length} (${from.join(', ')})` : '';
    return [
      {
        reason: 'ApprovalMissing',
        message: `it takes ${count} ${count === 1 ? 'approval' : 'approvals'}${who}${has} (AgentPolicy ${policy}, spec.approvals[${line}]: ${why}); a reviewer runs: kubectl hallpass approve -n ${namespace} ${name}${rejectedNote(rejected)}`,
      },
    ];
  });
}

/** The reviews that count as approvals, for the record. */
export function approvalsOf(input: GateInput): Approval[] {
  if (!enforcedPolicies(input).some(wantsApprovals)) return [];
  return weighed(input).counting.map((review) => ({
    review: review.metadata.name,
    uid: review.metadata.uid,
    reviewer: nameOf(review),
    specHash: review.spec.target.specHash ?? '',
  }));
}

/** Reviews that are approvals if their reviewer may make one; empty where no policy wants any. */
export function candidates(input: GateInput): Review[] {
  if (!enforcedPolicies(input).some(wantsApprovals)) return [];
  return approving(input).filter((review) => !formalProblem(input, review));
}

function wantsApprovals({ spec }: ParsedPolicy): boolean {
  return (spec?.approvals ?? []).length > 0;
}

function approving({ reviews }: GateInput): Review[] {
  return readable(reviews.ofGrant).filter(({ spec }) => spec.decision === 'Approve');
}

function weighed(input: GateInput) {
  const counting: Review[] = [];
  const rejected: Rejected[] = [];
  for (const review of approving(input)) {
    const because = formalProblem(input, review) ?? reviewerProblem(input, review);
    if (because === undefined) counting.push(review);
    else rejected.push({ review, because });
  }
  return { counting, rejected };
}

function isOneOf({ stamps }: Review, groups: string[] | undefined): boolean {
  return !groups?.length || groups.some((group) => stamps.reviewer.groups?.includes(group));
}
