// Who can change it that a reason stands against a grant, as a table.

import type { Reason } from '../api/conditions.ts';

const ASKS = 'whoever asks for it';
const OWNER = 'the owner of the agent';
const POLICIES = 'whoever maintains AgentPolicies (ClusterRole hallpass-policies-edit)';
const REVIEWER = 'a reviewer (ClusterRole hallpass-reviewer)';
const ADMIN = 'a cluster admin';
const NAMESPACE_ADMIN = 'whoever may change the namespace';
const TIME = 'time alone';
const HALLPASS = 'hallpass itself';

/** Reasons why a grant gives no access, or none for now. What is final has no one who could change it. */
export const ACTING: Partial<Record<Reason, string>> = {
  InvalidSpec: ASKS,
  StampsMissing: `${ADMIN}, then ${ASKS}`,
  RequesterLacksPermission: `${ASKS}, or ${ADMIN}`,
  CreatorLacksPermission: `${ASKS}, or ${ADMIN}`,
  AgentNotFound: `${OWNER}, or ${ASKS}`,
  AgentNotReady: OWNER,
  AgentExpired: OWNER,
  AgentDeleted: OWNER,
  AgentSuspended: REVIEWER,
  ReviewOverdue: `${OWNER}, or a certifier (ClusterRole hallpass-certifier)`,
  SuspendedByReview: `${REVIEWER} who did not write it`,
  SuspendedBySignal: 'whom the policy trusts with it (its spec.reporters)',
  OutsideBoundary: `${OWNER}, or ${ASKS}`,
  DurationExceedsBoundary: `${OWNER}, or ${ASKS}`,
  TooManyActiveGrants: TIME,
  TooSensitive: `${ASKS}, or whoever answers for the data`,
  NoPolicy: ADMIN,
  PolicyInvalid: POLICIES,
  Frozen: POLICIES,
  ExceedsPolicyLimit: `${ASKS}, or time`,
  ClusterScopeRefused: `${ASKS}, or ${POLICIES}`,
  WildcardRefused: `${ASKS}, or ${POLICIES}`,
  DeniedByPolicy: `${ASKS}, or ${POLICIES}`,
  ForbiddenPermission: ASKS,
  ExceedsCeiling: `${ASKS}, or ${ADMIN}`,
  NamespaceNotFound: `${ASKS}, or ${ADMIN}`,
  NamespaceTerminating: NAMESPACE_ADMIN,
  NamespaceNotEnabled: NAMESPACE_ADMIN,
  ClusterScopeNotEnabled: `${ASKS}, or ${ADMIN}`,
  ConsentMissing: NAMESPACE_ADMIN,
  GuardsMissing: ADMIN,
  CheckFailed: HALLPASS,
  AccessRemains: ADMIN,
  DeadManRefused: NAMESPACE_ADMIN,
  AccessRefused: NAMESPACE_ADMIN,
  ForeignObject: NAMESPACE_ADMIN,
  Issuing: HALLPASS,
  Restoring: TIME,
  ApprovalMissing: REVIEWER,
  NotYetStarted: TIME,
  OutsideWindow: TIME,
  ConditionFalse: `${ASKS}, or whoever changes what the condition is about`,
  ConditionInvalid: ASKS,
  ConditionFailed: `${ASKS}, or ${POLICIES}`,
};
