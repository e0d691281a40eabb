// Which gate each reason belongs to, and who can change that it stands: docs/concepts.md#gates, as a table.

import type { Reason } from '../api/conditions.ts';

/** The gates that a grant passes, in their order, in words for people. */
export const GATES = [
  'the agent',
  'the boundary of the agent',
  'the policies',
  'who wrote it',
  'the namespaces',
  'the ceiling',
  "hallpass's guards",
  'what gives access',
  'approvals',
  'the schedule',
] as const;

export type GateName = (typeof GATES)[number];

const ASKS = 'whoever asks for it';
const OWNER = 'the owner of the agent';
const POLICIES = 'whoever maintains AgentPolicies (ClusterRole hallpass-policies-edit)';
const REVIEWER = 'a reviewer (ClusterRole hallpass-reviewer)';
const ADMIN = 'a cluster admin';
const NAMESPACE_ADMIN = 'whoever may change the namespace';
const TIME = 'time alone';
const HALLPASS = 'hallpass itself';

/** Reasons why a grant gives no access, or none for now. What is final has no one who could change it. */
export const ACTING: Partial<Record<Reason, { gate: GateName; who: string }>> = {
  InvalidSpec: { gate: 'who wrote it', who: ASKS },
  StampsMissing: { gate: 'who wrote it', who: `${ADMIN}, then ${ASKS}` },
  RequesterLacksPermission: { gate: 'who wrote it', who: `${ASKS}, or ${ADMIN}` },
  CreatorLacksPermission: { gate: 'who wrote it', who: `${ASKS}, or ${ADMIN}` },
  AgentNotFound: { gate: 'the agent', who: `${OWNER}, or ${ASKS}` },
  AgentNotReady: { gate: 'the agent', who: OWNER },
  AgentExpired: { gate: 'the agent', who: OWNER },
  AgentDeleted: { gate: 'the agent', who: OWNER },
  AgentSuspended: { gate: 'the agent', who: REVIEWER },
  SuspendedByReview: { gate: 'approvals', who: `${REVIEWER} who did not write it` },
  OutsideBoundary: { gate: 'the boundary of the agent', who: `${OWNER}, or ${ASKS}` },
  DurationExceedsBoundary: { gate: 'the boundary of the agent', who: `${OWNER}, or ${ASKS}` },
  TooManyActiveGrants: { gate: 'the boundary of the agent', who: TIME },
  TooSensitive: { gate: 'the policies', who: `${ASKS}, or whoever answers for the data` },
  NoPolicy: { gate: 'the policies', who: ADMIN },
  PolicyInvalid: { gate: 'the policies', who: POLICIES },
  Frozen: { gate: 'the policies', who: POLICIES },
  ExceedsPolicyLimit: { gate: 'the policies', who: `${ASKS}, or time` },
  WildcardRefused: { gate: 'the policies', who: `${ASKS}, or ${POLICIES}` },
  DeniedByPolicy: { gate: 'the policies', who: `${ASKS}, or ${POLICIES}` },
  ForbiddenPermission: { gate: 'the ceiling', who: ASKS },
  ExceedsCeiling: { gate: 'the ceiling', who: `${ASKS}, or ${ADMIN}` },
  NamespaceNotFound: { gate: 'the namespaces', who: `${ASKS}, or ${ADMIN}` },
  NamespaceTerminating: { gate: 'the namespaces', who: NAMESPACE_ADMIN },
  NamespaceNotEnabled: { gate: 'the namespaces', who: NAMESPACE_ADMIN },
  ConsentMissing: { gate: 'the namespaces', who: NAMESPACE_ADMIN },
  GuardsMissing: { gate: "hallpass's guards", who: ADMIN },
  CheckFailed: { gate: "hallpass's guards", who: HALLPASS },
  AccessRemains: { gate: 'what gives access', who: ADMIN },
  DeadManRefused: { gate: 'what gives access', who: NAMESPACE_ADMIN },
  AccessRefused: { gate: 'what gives access', who: NAMESPACE_ADMIN },
  ForeignObject: { gate: 'what gives access', who: NAMESPACE_ADMIN },
  Issuing: { gate: 'what gives access', who: HALLPASS },
  Restoring: { gate: 'what gives access', who: TIME },
  ApprovalMissing: { gate: 'approvals', who: REVIEWER },
  NotYetStarted: { gate: 'the schedule', who: TIME },
};
