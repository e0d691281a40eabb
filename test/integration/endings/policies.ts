// AgentPolicies that tests make: as they stand in Git, created by an admin, and taken away again.
import { agentPolicies } from '../../../src/api/policy.ts';
import { type Client, unlessGone } from '../../../src/kube/client.ts';
import type { Stage } from './stage.ts';

/** The name of a namespace, which is selected by that, or a selector. */
type Selects = string | { matchLabels?: Record<string, string>; matchExpressions?: object[] };

export function policyManifest(name: string, selects: Selects, spec: object = {}) {
  const named = (namespace: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': namespace } });
  const namespaceSelector = typeof selects === 'string' ? named(selects) : selects;
  return {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentPolicy',
    metadata: { name },
    spec: { namespaceSelector, ...spec },
  };
}

export async function createPolicy({ admin }: { admin: Client }, ...of: Parameters<typeof policyManifest>) {
  await admin.createRaw('/apis/hallpass.dev/v1alpha1/agentpolicies', policyManifest(...of));
}

/** For a `describe` on a shared stage: creates policies, which go after each test. What others find there is the policy that is shipped. */
export function usePolicies(stage: () => Stage) {
  const mine: string[] = [];
  afterEach(async () => {
    for (const name of mine.splice(0)) await unlessGone(stage().admin.delete(agentPolicies, { name }));
  });
  return async (...of: Parameters<typeof policyManifest>): Promise<void> => {
    mine.push(of[0]);
    await createPolicy(stage(), ...of);
  };
}
