// The writes of which issue, lapse and an identity's life consist, in their order: where a test may stop hallpass.
import { HOME, OTHER } from './setting.ts';
import type { Stop } from './write-proxy.ts';

export type Place = Pick<Stop, 'step' | 'nth' | 'namespace' | 'saying'> & { said: string };

export type Step = Place & {
  /** Whether the agent passes in HOME when hallpass dies before and after this step; undefined: it may be either. */
  passes: [boolean | undefined, boolean | undefined];
};

export const issue: Step[] = [
  { said: 'the receipt is created', step: 'POST agentreceipts', passes: [false, false] },
  { said: 'the Job is created', step: 'POST jobs', namespace: HOME, passes: [false, false] },
  { said: 'the Role is created', step: 'POST roles', namespace: HOME, passes: [false, false] },
  { said: 'the RoleBinding is created', step: 'POST rolebindings', namespace: HOME, passes: [false, false] },
  { said: 'the status announces the access', step: 'PUT agentgrants/status', passes: [false, false] },
  { said: 'the agent is bound', step: 'PUT rolebindings', namespace: HOME, passes: [false, true] },
  { said: 'the status says Active', step: 'PUT agentgrants/status', nth: 2, passes: [true, true] },
];
/** Namespaces are seen to side by side, so here one may be done and the other not. */
export const issueElsewhere: Step[] = [
  { said: 'the Role of a second namespace is created', step: 'POST roles', namespace: OTHER, passes: [false, false] },
  {
    said: 'the agent is bound in a second namespace',
    step: 'PUT rolebindings',
    namespace: OTHER,
    passes: [undefined, undefined],
  },
];

const withdrawal: Step[] = [
  { said: 'the RoleBinding is deleted', step: 'DELETE rolebindings', namespace: HOME, passes: [true, false] },
  {
    said: 'the RoleBinding of a second namespace is deleted',
    step: 'DELETE rolebindings',
    namespace: OTHER,
    passes: [undefined, undefined],
  },
  { said: 'the Role is deleted', step: 'DELETE roles', namespace: HOME, passes: [false, false] },
  { said: 'the Job is deleted', step: 'DELETE jobs', namespace: HOME, passes: [false, false] },
  { said: 'the receipt is closed', step: 'PATCH agentreceipts/status', passes: [false, false] },
];
export const byDeadline: Step[] = [
  ...withdrawal,
  { said: 'the status says Expired', step: 'PUT agentgrants/status', passes: [false, false] },
];
export const byDeletion: Step[] = [
  ...withdrawal,
  { said: 'the finalizer is removed', step: 'PATCH agentgrants', passes: [false, false] },
];

/** Of an identity and of the one grant that it has, which is named like it. */
export const identityCreation: Place[] = [
  { said: 'its ServiceAccount is created', step: 'POST serviceaccounts' },
  { said: 'its status says ready', step: 'PUT agentidentities/status', saying: 'IdentityReady' },
];
const identityEnd: Place[] = [
  {
    said: 'its status says that its grants are being ended',
    step: 'PUT agentidentities/status',
    saying: 'EndingGrants',
  },
  { said: 'the RoleBinding of its grant is deleted', step: 'DELETE rolebindings' },
  { said: 'the receipt of its grant is closed', step: 'PATCH agentreceipts/status' },
  { said: 'its ServiceAccount is deleted', step: 'DELETE serviceaccounts' },
];
export const identityDeletion: Place[] = [
  ...identityEnd,
  { said: 'its finalizer is removed', step: 'PATCH agentidentities' },
];
export const identityExpiry: Place[] = [
  ...identityEnd,
  { said: 'its status says expired', step: 'PUT agentidentities/status', saying: 'IdentityExpired' },
];

export type Case<S extends Place = Step> = S & { name: string; moment: Stop['moment']; title: string };

/** Each step twice, with the name of the grant or identity that is stopped there. */
export function cases<S extends Place>(prefix: string, steps: S[]): Case<S>[] {
  return steps.flatMap((step, at) =>
    (['before', 'after'] as const).map((moment) => ({
      ...step,
      moment,
      name: `${prefix}-${at}-${moment}`,
      title: `${moment === 'before' ? 'before' : 'just after'} ${step.said}`,
    })),
  );
}
