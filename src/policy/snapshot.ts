// Everything that the decision about a grant rests on, at one moment.

import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { ParsedReview } from '../api/review.ts';
import type { DataSensitivity } from '../api/sensitivity.ts';
import type { ParsedSignal } from '../api/signal.ts';
import type { Answers } from '../cel/question.ts';
import type { Place } from './access.ts';
import type { ReviewerStanding } from './reviews.ts';
import type { PolicyRule } from './rules.ts';
import type { TaskView } from './task.ts';

/** What is known of a namespace that a grant reaches. Undefined fields mean: not there. */
export type NamespaceView = {
  terminating: boolean;
  /** From the annotation hallpass.dev/accepts-grants-from. */
  acceptsGrantsFrom: string[];
  /** The rules of hallpass-grantable, when deploy/namespace is applied here; undefined when it isn't. */
  ceiling: PolicyRule[] | undefined;
  labels: Readonly<Record<string, string>>;
  /** What its label hallpass.dev/data-sensitivity says. */
  dataSensitivity: DataSensitivity | undefined;
  /** The AgentPolicies that select it, by name; one that can't be read selects every namespace. */
  policies: ParsedPolicy[];
};

/** What is known of the whole cluster as a place that a grant reaches. */
export type ClusterView = {
  /** The rules of hallpass-grantable-cluster, when deploy/cluster-scope is applied; undefined when it isn't. */
  ceiling: PolicyRule[] | undefined;
  /** Every AgentPolicy: what holds in the whole cluster reaches what each of them guards, or will. */
  policies: ParsedPolicy[];
  /** Every namespace: what holds in the whole cluster reaches all. */
  namespaces: ReadonlyMap<string, Pick<NamespaceView, 'labels' | 'dataSensitivity' | 'policies'>>;
};

/** What an author of the grant, or who answers for it, does not hold of what it hands out, as readable lines; empty when all is held. */
export type AuthorsLack = { creator: string[]; requester: string[] };

/** What gives the access could not be made, for a reason that others must mend. */
export type Refusal = {
  reason: 'DeadManRefused' | 'AccessRefused' | 'ForeignObject';
  what: string;
  remedy: string;
  /** Of a DeadManRefused: the namespaces whose Jobs were refused; undefined where that isn't known, so that it may be any. */
  namespaces?: readonly string[] | undefined;
  /** When it is tried again, in milliseconds since the epoch: nothing tells when it is mended. */
  retryAt: number;
};

export type Snapshot = {
  /** Milliseconds since the epoch, by the API server's clock. */
  now: number;
  grant: ParsedGrant;
  /** specHash of the stored spec. */
  hash: string;
  identity: ParsedIdentity | undefined;
  /** The receipt of this request, whoever used it. */
  receipt: ParsedReceipt | undefined;
  /** Open receipts of earlier specs of this very grant. */
  superseded: ParsedReceipt[];
  /** The grant's own namespace, and those that it reaches into. */
  namespaces: ReadonlyMap<string, NamespaceView>;
  /** The whole cluster; undefined where the grant doesn't reach it. */
  cluster: ClusterView | undefined;
  /** hallpass's own namespace, and with it every receipt, is being deleted or gone already. */
  recordsGoing: boolean;
  /** How many grants of the same identity that hold access come before this one. */
  activeBefore: number;
  /**
   * Whether what a live grant was given still stands as it was made; putting it back is issuing, too. A dead man that the policies do
   * without is part of it once it could be made.
   */
  intact: boolean;
  /** Its bindings were taken away, and its status does not say so yet. */
  withdrawn: boolean;
  /** Stands until a trial has shown that what was refused would be made now. */
  refusal: Refusal | undefined;
  /** What is wrong with the admission guards; empty when they are whole. */
  guardProblems: string[];
  /** What hallpass has not been told of for a while, of what decisions rest on, each with why; empty when all is in step. */
  outOfStep: string[];
  /** The Job or Pod that its spec.validity.endsWith names; undefined where that names none. */
  task: TaskView | undefined;
  /** What people decided about the grant and about its agent, by the names of both, whatever their uids. */
  reviews: { ofGrant: ParsedReview[]; ofIdentity: ParsedReview[] };
  /** Facts about the grant's agent, about the namespaces that it depends on, and about the whole cluster, lapsed ones included. */
  signals: ParsedSignal[];
  /** What the API server says of who made them, by the review's uid; undefined until it was asked. */
  reviewers: ReadonlyMap<string, ReviewerStanding> | undefined;
  /** Undefined until it was asked; the verdict says when asking is worth it. */
  authorsLack: AuthorsLack | undefined;
  /** Of a grant that has been given: whether RBAC, as the caches have it, gives all that it hands out to those who must hold it. */
  authorsCovered: boolean;
  /** What expressions came to; undefined until that was asked. Answers about something else than what stands here count for nothing. */
  answers: Answers[] | undefined;
};

/**
 * Whether the agent may have been given access under the receipt `holding`, be it for a moment. The status says so before it
 * happens, by its startTime; its phase says so only afterwards. A status that doesn't speak of that request, because it was
 * wiped or never written, rules nothing out.
 */
export function mayHaveGiven({ grant }: Pick<Snapshot, 'grant'>, holding: ParsedReceipt): boolean {
  const { specHash, startTime } = grant.status;
  return specHash !== holding.spec?.specHash || startTime !== undefined;
}

/** Whether this grant, by its receipt, is the one that is using the request. */
export function isLive({ grant, receipt }: Pick<Snapshot, 'grant' | 'receipt'>): boolean {
  return receipt?.spec?.grant.uid === grant.metadata.uid && receipt.status.outcome === undefined;
}

/** What is known of a place that a grant reaches, or of its own namespace; undefined where it isn't there. */
export function viewOf({ namespaces, cluster }: Pick<Snapshot, 'namespaces' | 'cluster'>, place: Place) {
  return place === undefined ? cluster : namespaces.get(place);
}

/** What guards a place that isn't there: always this very list, since what is said of a list is found once. */
export const NO_POLICIES: ParsedPolicy[] = [];

/** The policies of the grant's own namespace. */
export function ownPolicies({ grant, namespaces }: Pick<Snapshot, 'grant' | 'namespaces'>): ParsedPolicy[] {
  return namespaces.get(grant.metadata.namespace ?? '')?.policies ?? NO_POLICIES;
}
