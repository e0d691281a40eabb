// Status conditions as Kubernetes means them (metav1.Condition).

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export type Condition = {
  type: string;
  status: ConditionStatus;
  reason: string;
  message: string;
  observedGeneration?: number;
  /** RFC 3339, whole seconds. */
  lastTransitionTime: string;
};

/**
 * Conditions with this one set, sorted by type. `lastTransitionTime` moves only when the status flips.
 * When that changes nothing, the very same array comes back, so that the caller can skip its write.
 */
export function setCondition(
  conditions: Condition[],
  condition: Omit<Condition, 'lastTransitionTime'>,
  now: Date,
): Condition[] {
  const { type, status, reason, message, observedGeneration } = condition;
  const previous = conditions.find((c) => c.type === type);
  const lastTransitionTime =
    previous?.status === status ? previous.lastTransitionTime : `${now.toISOString().slice(0, 19)}Z`;
  const next: Condition = { type, status, reason, message, observedGeneration, lastTransitionTime };
  const changed =
    previous === undefined ||
    previous.status !== status ||
    previous.reason !== reason ||
    previous.message !== message ||
    previous.observedGeneration !== observedGeneration;
  const sorted = conditions.every((c, i) => i === 0 || (conditions[i - 1]?.type ?? '') < c.type);
  if (!changed && sorted) return conditions;
  return [...conditions.filter((c) => c.type !== type), next].sort((a, b) => (a.type < b.type ? -1 : 1));
}
