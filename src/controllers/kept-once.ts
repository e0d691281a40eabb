// What many cached objects say alike, and keep one copy of: who wrote grants, what these hand out, how their gates stand.

import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import type { Role, RoleBinding } from '../kube/kinds.ts';
import { SharedValues } from '../kube/shared-values.ts';

/** Gives each object back with those parts of it replaced by equal ones of others. */
export function keepOnce() {
  const stamps = new SharedValues<NonNullable<ParsedGrant['stamps']>>();
  const permissions = new SharedValues<NonNullable<ParsedGrant['spec']>['permissions']>();
  const gates = new SharedValues<NonNullable<ParsedGrant['status']['gates']>>();
  const agents = new SharedValues<NonNullable<ParsedReceipt['spec']>['agent']>();
  const tasks = new SharedValues<NonNullable<ParsedReceipt['spec']>['task']>();
  const access = new SharedValues<NonNullable<ParsedReceipt['spec']>['access']>();
  const rules = new SharedValues<Role['rules']>();
  const subjects = new SharedValues<NonNullable<RoleBinding['subjects']>>();
  return {
    inGrant(grant: ParsedGrant): ParsedGrant {
      const { spec, status } = grant;
      return {
        ...grant,
        ...(grant.stamps && { stamps: stamps.share(grant.stamps) }),
        ...(spec && { spec: { ...spec, permissions: permissions.share(spec.permissions) } }),
        status: status.gates ? { ...status, gates: gates.share(status.gates) } : status,
      };
    },
    inReceipt(receipt: ParsedReceipt): ParsedReceipt {
      const { spec } = receipt;
      if (!spec) return receipt;
      const shared = {
        agent: agents.share(spec.agent),
        task: tasks.share(spec.task),
        access: access.share(spec.access),
      };
      return { ...receipt, spec: { ...spec, ...shared } };
    },
    inRole: (role: Role): Role => ({ ...role, rules: rules.share(role.rules) }),
    inBinding: (binding: RoleBinding): RoleBinding =>
      binding.subjects ? { ...binding, subjects: subjects.share(binding.subjects) } : binding,
  };
}
