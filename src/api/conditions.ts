// The one table of condition types and reasons: what each means and when it is present. Code, tests and docs draw on it.

/** What each reason means, and what helps. A reason in a status that is not listed here is a bug. */
export const REASONS = {
  // Checks of a grant (gates, in the code).
  InvalidSpec:
    'The stored object breaks a rule of its schema, so nothing rests on it. Correct the field that the message names.',
  StampsMissing:
    'The record of who wrote the request is missing: it was stored while the admission policies were not installed. Install them and create the object again.',
  RequestAlreadyUsed:
    'A receipt shows that this very request was granted before. To ask again for the same, change task.ref or use a new name.',
  ReceiptDeleted:
    'The receipt of this live grant was deleted, or is going with the namespace of hallpass. Access was ended, because the record of why it existed is gone.',
  EndedByDeletion: 'The grant was deleted while it was active, which ends its access for good.',
  EndPassed:
    'The end of the grant has come: its access was removed on time, or the end lay in the past from the beginning.',
  TaskEnded:
    'The Job or Pod that access ends with (validity.endsWith) has finished, is being deleted, or is gone. What has its name now is another task.',
  PendingTooLong:
    'The request waited for more than 7 days and was denied, so that it does not come true unexpectedly. Use a new name to ask again.',
  AgentNotFound: 'There is no AgentIdentity of this name in the namespace of the grant. It proceeds when there is one.',
  AgentNotReady:
    'The AgentIdentity exists, but its ServiceAccount does not yet, or the identity is invalid. See its own conditions.',
  AgentExpired: 'The AgentIdentity has passed its expiresAt, which ended its grants for good.',
  AgentDeleted: 'The AgentIdentity was deleted, which ended its grants for good.',
  OutsideBoundary:
    'A permission names a namespace outside the boundary of the AgentIdentity, or is for the whole cluster without its clusterScope. Widen the boundary or narrow the permission.',
  DurationExceedsBoundary:
    'The grant would last longer than boundary.maxGrantDuration of the AgentIdentity, or, where that is left out, than 2160h. Ask for less time.',
  TooSensitive:
    'The data of a namespace is more sensitive than the boundary of the AgentIdentity, or an AgentPolicy, allows. It goes by the label hallpass.dev/data-sensitivity.',
  TooManyActiveGrants:
    'The agent already has boundary.maxActiveGrants active grants. It proceeds when one of them ends.',
  NoPolicy:
    'No AgentPolicy selects the namespace of the grant, or one that it reaches into, and without guardrails nothing is granted. Install the default or write one.',
  CredentialNotAllowed:
    'No AgentPolicy of the namespace of the grant lets grants use the credential (spec.credentials), or not all that say so do. Have it added.',
  PolicyInvalid:
    'An AgentPolicy breaks a rule of its schema, or one of its expressions does not compile, so that nobody knows what it would refuse. Correct it.',
  Frozen: 'An AgentPolicy has stopped all access by spec.freeze. It comes back when that is taken out.',
  ExceedsPolicyLimit:
    'The grant goes beyond a limit of an AgentPolicy: it would last too long, or its agent has as many active grants as are allowed. Ask for less, or wait.',
  ClusterScopeRefused:
    'A permission is for the whole cluster, and no AgentPolicy allows it by name (spec.allow with scope: Cluster; verbs that write one by one). Ask for it in namespaces, or have it allowed.',
  WildcardRefused:
    'A permission has a wildcard that no AgentPolicy allows. Name what is needed, or have the wildcard allowed.',
  DeniedByPolicy:
    'A line of spec.deny of an AgentPolicy refuses a permission; the message has the line and why. Ask for less, or have it allowed where the line gives way.',
  ForbiddenPermission:
    'A permission covers RBAC objects, ServiceAccounts, the writing of Jobs or kinds of hallpass, which no grant hands out. Remove it.',
  RequesterLacksPermission:
    'Whoever last wrote the request does not hold all that it hands out, or does not any more. Nobody can give what they do not have. For a pipeline it is the group that owns the agent that must hold it.',
  CreatorLacksPermission:
    'Whoever created the request does not hold all that it hands out, or does not any more. Nobody can give what they do not have. For a pipeline it is the group that owns the agent that must hold it.',
  NamespaceNotFound: 'A target namespace does not exist. The grant proceeds when it does.',
  NamespaceTerminating: 'A target namespace is being deleted, or that of hallpass: nothing can be created in it.',
  NamespaceNotEnabled:
    'In a target namespace hallpass was not given the right to issue. Whoever may do so applies deploy/namespace there; the message has the command.',
  ClusterScopeNotEnabled:
    'A permission is for the whole cluster, and hallpass was not given the right to issue there. A cluster admin applies deploy/cluster-scope; the message has the command.',
  ConsentMissing:
    'A target namespace other than the own one does not name it in the annotation hallpass.dev/accepts-grants-from. Whoever may patch that Namespace adds it; the built-in role admin may not.',
  ExceedsCeiling:
    'A permission goes beyond hallpass-grantable as bound in the target namespace, or hallpass-grantable-cluster for the whole cluster. Ask for less, or add to the ceiling; the message has the command.',
  AgentSuspended:
    'Somebody suspended the agent by an AgentReview: nothing is given to it, and what it had is withdrawn, until a reviewer resumes it.',
  ReviewOverdue:
    'The certification of the agent is overdue (spec.review.every of its AgentIdentity), so that its grants rest. Its owner, or whoever holds the verb certify on it, certifies it; the message has the command.',
  SuspendedByReview:
    'Somebody suspended the grant by an AgentReview. A reviewer who did not write it resumes it; creating it anew or applying it again does not.',
  RevokedByReview:
    'Somebody revoked the grant, or every grant of its agent, by an AgentReview. Nothing more is given under that name.',
  SuspendedBySignal:
    'An AgentPolicy suspends the grant, or keeps it from being given, because of an AgentSignal. The message says which, and who lifts it how.',
  RevokedBySignal:
    'An AgentPolicy ended the grant for good because of an AgentSignal. Ask again once that is over: a new task.ref makes it a new request.',
  DeniedByReview:
    'Somebody denied the request by an AgentReview. The same request under the same name stays denied; a changed one is another.',
  ApprovalMissing:
    'An AgentPolicy wants the grant to be approved by more people than have. The message says by whom, and which reviews do not count and why.',
  OutsideWindow:
    'None of spec.windows is open. Access follows, or comes back, when the next one opens; the message says when.',
  ConditionFalse:
    'A condition of the grant, or of an AgentPolicy, is not true. Access follows, or comes back, when it is; one with onFalse Revoke has ended access that was given, for good.',
  ConditionInvalid:
    'A condition of the grant does not compile; the message has line and column. Correct the expression, which is a new request.',
  ConditionFailed:
    'A condition of the grant, or of an AgentPolicy, could not be evaluated: it reads what is not there, or takes too long. Nothing is given until it can be, and nothing is revoked.',
  NotYetStarted: 'The grant begins at its validity.notBefore, which lies ahead.',
  GuardsMissing:
    'An admission policy that guards hallpass is missing or was changed: nothing new is granted. Apply deploy/ again.',
  CheckFailed:
    'A check could not be made: the API server did not answer it, or has told nothing for a while of what it rests on. It is tried again.',
  AccessRemains:
    'Access was to be taken away, but others keep the RoleBinding that gives it: by finalizers, or by refusing its deletion. The message has the command that ends it; hallpass keeps trying.',
  DeadManRefused:
    'The Job that ends access when hallpass is down could not be created (a quota or an admission policy): the grant waits. A warning where only policies that warn would have it wait.',
  AccessRefused:
    'The Role or the RoleBinding that would give the access could not be created or changed (an admission policy, or the API server itself): the grant waits.',
  ForeignObject:
    'An object with the name that hallpass needs exists and was not made by it. Remove or rename that object.',
  NameHasNoEffect:
    'A permission limits a verb by resourceNames to which that means something else than it seems: the API server does not know the name, or only with a field selector. A warning: it keeps nothing from being granted.',
  TaskNotFound:
    'There is no Job or Pod of the name in validity.endsWith yet. A warning: access does not wait for it, and ends in time should none come.',
  Issuing: 'Every check is passed; what gives access is being created.',
  Granted: 'The agent has the access of this grant, until its expiresAt.',
  Superseded: 'A changed spec took the place of this request, and what it held was withdrawn or narrowed.',
  Restoring: 'What had suspended the grant is over; access comes back when it has stayed so for 30 seconds.',
  // Whether the cluster matches the verdict.
  Settled: 'The cluster is as the verdict says; nothing is left to do for now.',
  Waiting:
    'A check is not passed yet, and what others change may pass it, in the identity or in the cluster; the condition Granted says which.',
  EditNeeded:
    'Nothing that others change lets the request proceed: only an edit of the object itself, or creating it anew; the condition Granted says which.',
  Applying: 'Access is being created, repaired or removed; the last attempt may have failed, and is being repeated.',
  // The dead man's Job.
  DeadManRunning: 'In every target namespace the Job has started that ends access on time when hallpass is down.',
  DeadManNotStarted: 'The Job that ends access when hallpass is down was not started by the Job controller yet.',
  DeadManSuspended:
    'The Job that ends access when hallpass is down was suspended by someone else (a queueing system, for instance) and does not count.',
  DeadManLacking:
    'The Job that ends access when hallpass is down could not be created (a quota or an admission policy), and the policies do without (deadMan: BestEffort): access would outlive its end if every hallpass replica were dead. It is made as soon as it is let through.',
  // Identities.
  IdentityReady: 'The ServiceAccount of the agent exists. It can do nothing but prove who it is.',
  IdentityExpired: 'The expiresAt of the identity has passed: its grants are ended, and its ServiceAccount is gone.',
  EndingGrants: 'The identity has expired or is being deleted; its grants end first, then its ServiceAccount goes.',
  ReviewNotDue: 'The agent was certified, or created, not long ago; the message says when it is to be certified next.',
  ReviewDueSoon:
    'The agent is to be certified soon (in the last tenth of the period, or its last day), or its grants are suspended.',
  RightsFound:
    'The agent has rights by bindings that hallpass did not make, beside its grants; the message names them.',
  NoRightsFound: 'No binding but those of hallpass gives rights to the agent.',
} as const;

/** Every reason that a condition, an event or `status.reasons` of ours may carry. */
export type Reason = keyof typeof REASONS;

/** Whether a text, from a stored status for instance, is a reason of ours. */
export function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text);
}

/** Reasons that appear in no condition, only in `status.reason` of a receipt. */
export const RECEIPT_REASONS = ['Superseded'] as const satisfies readonly Reason[];

/** Reasons of `status.warnings` of a grant, beside what policies would refuse that only warn. */
export const WARNING_REASONS = [
  'NameHasNoEffect',
  'TaskNotFound',
  'DeadManLacking',
] as const satisfies readonly Reason[];

/** Reasons of Kubernetes events: a Warning where somebody should look, and what each tells. */
export const EVENTS = {
  Granted: { type: 'Normal', tells: 'The agent has the access from now on.' },
  Repaired: {
    type: 'Warning',
    tells: 'What gives the access was edited or deleted by someone else and was put back.',
  },
  DeadManLacking: {
    type: 'Warning',
    tells:
      'Access is given without the Job that ends it when hallpass is down, since that was refused and the policies do without.',
  },
  DeadManMade: {
    type: 'Normal',
    tells: 'The Job that was lacking could be made: access ends also with hallpass down.',
  },
  Superseded: {
    type: 'Normal',
    tells: 'The spec was changed, which is a new request; what the old one held was withdrawn.',
  },
  Suspended: {
    type: 'Warning',
    tells: 'Access was withdrawn for now; the message says which check is no longer passed.',
  },
  Restoring: { type: 'Normal', tells: 'Every check is passed again; the message says when access comes back.' },
  Lapsed: { type: 'Normal', tells: 'Access ended on time or with its task, or its agent went.' },
  NeverGranted: {
    type: 'Warning',
    tells: 'The end of the request, or of its task, came before any access began: it gave none, and gives none.',
  },
  Revoked: { type: 'Warning', tells: 'Access was ended before its time.' },
  Denied: { type: 'Warning', tells: 'The request was refused for good.' },
  AwaitingApproval: { type: 'Normal', tells: 'All else is in order; the message says who has to approve it.' },
  Refused: { type: 'Warning', tells: 'A check is not passed; the message says which and what helps.' },
  ReviewDueSoon: { type: 'Warning', tells: 'The agent is to be certified soon; the message says by when and by whom.' },
  ReviewOverdue: { type: 'Warning', tells: 'The agent was not certified in time: its grants are suspended.' },
  Certified: { type: 'Normal', tells: 'Somebody who answers for the agent certified it.' },
  ServiceAccountRecreated: {
    type: 'Warning',
    tells:
      'The ServiceAccount of an agent had been deleted and was made again. Restart its pods: their tokens are void.',
  },
} as const satisfies Record<string, { type: 'Normal' | 'Warning'; tells: string }>;

export type EventReason = keyof typeof EVENTS;

type ConditionRow = { kinds: readonly string[]; meaning: string; present: string; reasons: readonly Reason[] };

const gates = [
  'InvalidSpec',
  'StampsMissing',
  'RequestAlreadyUsed',
  'ReceiptDeleted',
  'EndedByDeletion',
  'EndPassed',
  'TaskEnded',
  'PendingTooLong',
  'AgentNotFound',
  'AgentNotReady',
  'AgentExpired',
  'AgentDeleted',
  'OutsideBoundary',
  'DurationExceedsBoundary',
  'TooSensitive',
  'TooManyActiveGrants',
  'NoPolicy',
  'CredentialNotAllowed',
  'PolicyInvalid',
  'Frozen',
  'ExceedsPolicyLimit',
  'ClusterScopeRefused',
  'WildcardRefused',
  'DeniedByPolicy',
  'ForbiddenPermission',
  'RequesterLacksPermission',
  'CreatorLacksPermission',
  'NamespaceNotFound',
  'NamespaceTerminating',
  'NamespaceNotEnabled',
  'ClusterScopeNotEnabled',
  'ConsentMissing',
  'ExceedsCeiling',
  'NotYetStarted',
  'OutsideWindow',
  'ConditionFalse',
  'ConditionInvalid',
  'ConditionFailed',
  'GuardsMissing',
  'CheckFailed',
  'AccessRemains',
  'AgentSuspended',
  'ReviewOverdue',
  'SuspendedByReview',
  'RevokedByReview',
  'SuspendedBySignal',
  'RevokedBySignal',
  'DeniedByReview',
  'ApprovalMissing',
  'DeadManRefused',
  'AccessRefused',
  'ForeignObject',
  'Issuing',
  'Restoring',
] as const satisfies readonly Reason[];

/** Why an identity is not ready. A grant's own checks stand in `Granted` alone. */
const identityTroubles = [
  'EndingGrants',
  'InvalidSpec',
  'NamespaceNotEnabled',
  'ForeignObject',
  'GuardsMissing',
  'CheckFailed',
] as const satisfies readonly Reason[];

/** Condition types, as kstatus reads them: `Ready` is good when True; `Reconciling` and `Stalled` are present only when True. */
export const CONDITIONS = {
  Granted: {
    kinds: ['AgentGrant'],
    meaning:
      'True while the agent has the access of this grant. Its reason is the first check that is not passed, or why access ended.',
    present: 'Always.',
    reasons: ['Granted', ...gates],
  },
  Ready: {
    kinds: ['AgentIdentity', 'AgentGrant'],
    meaning:
      'True when the cluster matches what hallpass decided, which may well be that there is no access. False while a request is pending or a change is under way.',
    present: 'Always.',
    reasons: ['Settled', 'Waiting', 'EditNeeded', 'Applying', 'IdentityReady', 'IdentityExpired', ...identityTroubles],
  },
  DeadMan: {
    kinds: ['AgentGrant'],
    meaning: 'True when access would end on time even if hallpass were down from now on.',
    present: 'From the issue of the grant until its access has been removed.',
    reasons: [
      'DeadManRunning',
      'DeadManNotStarted',
      'DeadManSuspended',
      'DeadManLacking',
      'DeadManRefused',
      'ForeignObject',
    ],
  },
  StandingAccess: {
    kinds: ['AgentIdentity'],
    meaning:
      'True when bindings that hallpass did not make give rights to the agent, directly or by a group: its grants are then not all that it can do.',
    present: 'Once hallpass has looked.',
    reasons: ['RightsFound', 'NoRightsFound'],
  },
  ReviewDue: {
    kinds: ['AgentIdentity'],
    meaning:
      'True when somebody who answers for the agent has to certify it: soon, or, with reason ReviewOverdue, before its grants come back.',
    present: 'While spec.review is set.',
    reasons: ['ReviewNotDue', 'ReviewDueSoon', 'ReviewOverdue'],
  },
  Reconciling: {
    kinds: ['AgentIdentity', 'AgentGrant'],
    meaning: 'True while hallpass works on the object or waits for something that may yet come about.',
    present: 'Only while Ready is False and no edit of the object is needed.',
    reasons: ['Waiting', 'Applying', ...identityTroubles],
  },
  Stalled: {
    kinds: ['AgentIdentity', 'AgentGrant'],
    meaning:
      'True when only an edit of the object itself helps, or creating it anew, and nothing that others change in the identity or the cluster.',
    present: 'Only while Ready is False and hallpass can do nothing more by itself.',
    reasons: ['EditNeeded', 'InvalidSpec'],
  },
} as const satisfies Record<string, ConditionRow>;

export type ConditionType = keyof typeof CONDITIONS;

/** The phases of a grant, and what each means. */
export const PHASES = {
  Pending: 'A check is not passed that may yet be, by time, by others or by an edit. After 7 days it becomes Denied.',
  AwaitingApproval: 'Everything is in order but the approvals that a policy wants. After 7 days it becomes Denied.',
  Scheduled: 'Everything is in order; the grant waits for its notBefore, or for one of its windows.',
  Active: 'The agent has the access.',
  Suspended:
    'Access was given and is withdrawn for now, because a check is no longer passed. It may come back before expiresAt, which never moves.',
  Expired: 'Time ran out, its task ended, or the identity went. Final.',
  Revoked: 'Access was ended before its time. Final.',
  Denied: 'The request was refused for good: somebody denied it, it was used before, or it waited too long. Final.',
} as const;

export type Phase = keyof typeof PHASES;

/** Whether a grant in this phase never gives access again. */
export function isTerminal(phase: Phase | undefined): boolean {
  return phase === 'Expired' || phase === 'Revoked' || phase === 'Denied';
}
