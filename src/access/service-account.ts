// The ServiceAccount that an agent is: it can do nothing but prove who it is.

import { identityLabels, LABELS, serviceAccountName } from '../api/names.ts';

type IdentityKey = { namespace: string; name: string; uid: string };

/** The agent's ServiceAccount. No token is mounted by itself: the pod policy mounts a short-lived one. */
export function renderServiceAccount(identity: IdentityKey) {
  return {
    metadata: {
      name: serviceAccountName(identity.name),
      namespace: identity.namespace,
      labels: identityLabels(identity.uid),
    },
    automountServiceAccountToken: false,
  };
}

/** Whether a ServiceAccount was made for this very identity, not for one of the same name before it or by somebody else. */
export function isServiceAccountOf(
  account: { metadata: { labels?: Record<string, string> | undefined } },
  identity: IdentityKey,
): boolean {
  return account.metadata.labels?.[LABELS.identityUid] === identity.uid;
}
