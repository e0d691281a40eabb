// The shape of a guard: an admission policy with its binding, always for all namespaces, always failing closed.
import type {
  V1MutatingAdmissionPolicy,
  V1MutatingAdmissionPolicyBinding,
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
} from '@kubernetes/client-node';
import { ANNOTATIONS, GUARDS_VERSION } from '../../api/names.ts';

export type Guard =
  | { type: 'mutating'; policy: V1MutatingAdmissionPolicy; binding: V1MutatingAdmissionPolicyBinding }
  | { type: 'validating'; policy: V1ValidatingAdmissionPolicy; binding: V1ValidatingAdmissionPolicyBinding };

type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
export type ResourceRule = { apiGroup: string; version: string; resources: string[]; operations: Operation[] };
type Match = {
  name: string;
  resources: ResourceRule[];
  /** CEL by name; all must hold. They see no variables. */
  when?: Record<string, string>;
  variables?: Record<string, string>;
};
type Rule = {
  /** CEL that must hold. */
  holds: string;
  /** What people read when it does not: what, the rule, the remedy. */
  message: string;
  /** CEL for a message that names the object; `message` is said when it fails. */
  says?: string;
};

const API_VERSION = 'admissionregistration.k8s.io/v1';

function metadata(name: string) {
  return {
    name,
    labels: { 'app.kubernetes.io/name': 'hallpass' },
    annotations: { [ANNOTATIONS.guardsVersion]: GUARDS_VERSION },
  };
}

/** Everything the two kinds of policy have alike. Defaults are spelled out, so that what is shipped is what is stored. */
function common(match: Match) {
  return {
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      resourceRules: match.resources.map((rule) => ({
        apiGroups: [rule.apiGroup],
        apiVersions: [rule.version],
        operations: rule.operations,
        resources: rule.resources,
        scope: '*',
      })),
    },
    ...(match.when && { matchConditions: named(match.when) }),
    ...(match.variables && { variables: named(match.variables) }),
  };
}

function named(expressions: Record<string, string>) {
  return Object.entries(expressions).map(([name, expression]) => ({ name, expression }));
}

/** A guard that refuses, or, with `warns`, only tells. */
export function validating(match: Match & { rules: Rule[]; warns?: boolean }): Guard {
  return {
    type: 'validating',
    policy: {
      apiVersion: API_VERSION,
      kind: 'ValidatingAdmissionPolicy',
      metadata: metadata(match.name),
      spec: {
        failurePolicy: match.warns ? 'Ignore' : 'Fail',
        ...common(match),
        validations: match.rules.map(({ holds, message, says }) => ({
          expression: holds,
          message,
          ...(says && { messageExpression: says }),
          reason: 'Forbidden',
        })),
      },
    },
    binding: {
      apiVersion: API_VERSION,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: metadata(match.name),
      spec: { policyName: match.name, validationActions: [match.warns ? 'Warn' : 'Deny'] },
    },
  };
}

type Mutation = { patchType: 'JSONPatch' | 'ApplyConfiguration'; expression: string };

/** A guard that completes what is written, before the validating ones look at it. */
export function mutating(match: Match & { mutations: Mutation[] }): Guard {
  return {
    type: 'mutating',
    policy: {
      apiVersion: API_VERSION,
      kind: 'MutatingAdmissionPolicy',
      metadata: metadata(match.name),
      spec: {
        failurePolicy: 'Fail',
        // Admission that runs later may add containers, or take away what was set here.
        reinvocationPolicy: 'IfNeeded',
        ...common(match),
        mutations: match.mutations.map(({ patchType, expression }) =>
          patchType === 'JSONPatch'
            ? { patchType, jsonPatch: { expression } }
            : { patchType, applyConfiguration: { expression } },
        ),
      },
    },
    binding: {
      apiVersion: API_VERSION,
      kind: 'MutatingAdmissionPolicyBinding',
      metadata: metadata(match.name),
      spec: { policyName: match.name },
    },
  };
}
