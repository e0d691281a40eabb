// The approvals that policies want of a grant, and which reviews are some.

import { serviceAccountOf } from '../api/names.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import { answering, pipelineLines, withPipelines } from './authors.ts';
import { appliesTo } from './conditions.ts';
import { type Finding, finding, NOTHING, ofEach } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once } from './once.ts';
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
export function approvalGate(input: GateInput): readonly Finding[] {
  return missingApprovals(input, input.policies.enforced);
}

/** Approvals that are missing by policies that only warn. */
export function approvalWarnings(input: GateInput): readonly Finding[] {
  return missingApprovals(input, input.policies.warning);
}

/** Approvals that somebody wants of the grant. */
type Wanted = {
  /** Which policy wants them, by which line. */
  policy: string;
  line: string;
  why: string;
  count: number;
  groups?: string[] | undefined;
  /** Only a person's word counts, whatever ServiceAccounts a policy lets review. */
  people?: boolean;
  /** Why it isn't known whether it is wanted of this grant, and when that is tried again. */
  doubt?: string;
  nextCheck?: number | undefined;
};

/** Approvals that these policies want and that are missing. */
function missingApprovals(input: GateInput, policies: ParsedPolicy[]): readonly Finding[] {
  const all = wanted(input, policies);
  if (all.length === 0) return NOTHING;
  const { counting, rejected } = weighed(input);
  const { namespace = '', name } = input.grant.metadata;
  return ofEach(all, ({ policy, line, why, count, groups, people, doubt, nextCheck }) => {
    const suits = (review: Review) => isOneOf(review, groups) && !(people && isServiceAccount(review));
    const from = [...new Set(counting.filter(suits).map(nameOf))];
    if (from.length >= count) return NOTHING;
    const who = groups?.length ? ` by people of group ${groups.join(' or ')}` : people ? ' by a person' : '';
    const unclear = doubt ? ` (whether that is for this grant could not be evaluated: ${doubt})` : '';
    const has = from.length > 0 ? ` and has ${from.length} (${from.join(', ')})` : '';
    return [
      finding({
        reason: 'ApprovalMissing',
        policy,
        line,
        what: `it takes ${count} ${count === 1 ? 'approval' : 'approvals'}${who}${has} (AgentPolicy ${policy}, ${line}: ${why})${unclear}`,
        remedy: `a reviewer runs: kubectl hallpass approve -n ${namespace} ${name}`,
        note: rejectedNote(rejected),
        by: ['Reviewer'],
        nextCheck,
      }),
    ];
  });
}

/** What these policies want approved: by their own lines, and since a pipeline wrote it. */
function wanted(input: GateInput, policies: ParsedPolicy[]): readonly Wanted[] {
  const wanting = withApprovals(policies);
  if (wanting.length === 0 && withPipelines(policies).length === 0) return [];
  const lines = wanting
    .flatMap((policy) =>
      (policy.spec?.approvals ?? []).map((approval, at) => ({
        policy: policy.metadata.name,
        line: `spec.approvals[${at}]`,
        ...approval,
        ...appliesTo(input, policy, approval.when),
      })),
    )
    .filter(({ applies }) => applies);
  return [...lines, ...wantedOfPipelines(input, policies)];
}

const withApprovals = once((policies: ParsedPolicy[]) => policies.filter(({ spec }) => spec?.approvals?.length));

/** One entry that doesn't waive the review is enough, of those by which the agent's owner answers for a pipeline, if any do. */
function wantedOfPipelines(input: GateInput, policies: ParsedPolicy[]): Wanted[] {
  const { stamps } = input.grant;
  if (!stamps || withPipelines(policies).length === 0) return [];
  const wanted = new Map<string, Wanted>();
  for (const author of [stamps.creator, stamps.requester]) {
    const lines = pipelineLines(input, author, (policy) => policies.includes(policy));
    const answered = answering(input, lines);
    for (const { policy, line, review } of answered.length > 0 ? answered : lines) {
      if (review === 'Waived') continue;
      const why = `${author.username} wrote it, a pipeline`;
      wanted.set(`${policy} ${line}`, { policy, line, why, count: 1, people: true });
    }
  }
  return [...wanted.values()];
}

/** The reviews that count as approvals, for the record. */
export function approvalsOf(input: GateInput): Approval[] {
  if (wanted(input, input.policies.enforced).length === 0) return [];
  return weighed(input).counting.map((review) => ({
    review: review.metadata.name,
    uid: review.metadata.uid,
    reviewer: nameOf(review),
    specHash: review.spec.target.specHash ?? '',
  }));
}

/** Reviews that are approvals if their reviewer may make one; empty where nothing wants any. */
export function candidates(input: GateInput): Review[] {
  if (wanted(input, input.policies.enforced).length === 0) return [];
  return approving(input).filter((review) => !formalProblem(input, review));
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

function isServiceAccount({ stamps }: Review): boolean {
  return serviceAccountOf(stamps.reviewer.username) !== undefined;
}

function isOneOf({ stamps }: Review, groups: string[] | undefined): boolean {
  return !groups?.length || groups.some((group) => stamps.reviewer.groups?.includes(group));
}
