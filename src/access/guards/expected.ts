// All guards that hallpass ships and expects to find: it issues nothing while one is missing or changed.
import type {
  V1MutatingAdmissionPolicy,
  V1MutatingAdmissionPolicyBinding,
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
} from '@kubernetes/client-node';
import { clusterObjectGuards } from './cluster-objects.ts';
import { managedObjectGuards } from './managed-objects.ts';
import { ownKindGuards } from './own-kinds.ts';
import { podGuards } from './pods.ts';
import { reviewGuards } from './reviews.ts';
import { signalGuards } from './signals.ts';
import { tokenGuards } from './tokens.ts';

/** The guards by kind, as they are sent to the API server. */
export type Guards = {
  mutatingPolicies: V1MutatingAdmissionPolicy[];
  mutatingBindings: V1MutatingAdmissionPolicyBinding[];
  validatingPolicies: V1ValidatingAdmissionPolicy[];
  validatingBindings: V1ValidatingAdmissionPolicyBinding[];
};

/** What this version of hallpass expects in the cluster. The result is the caller's own. */
export function expectedGuards(): Guards {
  const guards: Guards = { mutatingPolicies: [], mutatingBindings: [], validatingPolicies: [], validatingBindings: [] };
  for (const guard of structuredClone([
    ...ownKindGuards,
    ...reviewGuards,
    ...signalGuards,
    ...managedObjectGuards,
    ...clusterObjectGuards,
    ...tokenGuards,
    ...podGuards,
  ])) {
    if (guard.type === 'mutating') {
      guards.mutatingPolicies.push(guard.policy);
      guards.mutatingBindings.push(guard.binding);
    } else {
      guards.validatingPolicies.push(guard.policy);
      guards.validatingBindings.push(guard.binding);
    }
  }
  return guards;
}
