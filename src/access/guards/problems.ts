// Whether the guards in the cluster still are what hallpass ships: by meaning, so that defaults, messages and a rolling
// upgrade are no tampering, and a narrowed match or a switched-off action is.
import * as z from 'zod';
import { ANNOTATIONS } from '../../api/names.ts';
import { expectedGuards } from './expected.ts';

/** Guards as they are in the cluster, of any name: policies and bindings of the cluster's other owners do not matter. */
export type LiveGuards = {
  mutatingPolicies: readonly unknown[];
  mutatingBindings: readonly unknown[];
  validatingPolicies: readonly unknown[];
  validatingBindings: readonly unknown[];
};

/** A list that may be absent, which means the same as empty. */
const list = <T extends z.ZodType>(element: T) =>
  z
    .array(element)
    .nullish()
    .transform((value) => value ?? []);
const strings = list(z.string()).transform((values) => [...values].sort());

/** Selects everything (empty or absent), or what it selects. */
const selector = z
  .object({ matchLabels: z.record(z.string(), z.string()).nullish(), matchExpressions: list(z.unknown()) })
  .nullish()
  .transform((value) =>
    value && (Object.keys(value.matchLabels ?? {}).length > 0 || value.matchExpressions.length > 0)
      ? value
      : 'everything',
  );

const resourceRule = z.object({
  apiGroups: strings,
  apiVersions: strings,
  operations: strings,
  resources: strings,
  resourceNames: strings,
  scope: z.string().default('*'),
});
const match = z.object({
  matchPolicy: z.string().default('Equivalent'),
  namespaceSelector: selector,
  objectSelector: selector,
  resourceRules: list(resourceRule),
  excludeResourceRules: list(z.unknown()),
});
const named = list(z.object({ name: z.string(), expression: z.string() }));
const expression = z.object({ expression: z.string() }).nullish();

/** What of a policy decides whom it stops; messages and audit annotations don't. */
const policySpec = z.object({
  failurePolicy: z.string().default('Fail'),
  paramKind: z.unknown().optional(),
  matchConstraints: match,
  matchConditions: named,
  variables: named,
  validations: list(z.object({ expression: z.string() })),
  mutations: list(z.object({ patchType: z.string(), jsonPatch: expression, applyConfiguration: expression })),
  reinvocationPolicy: z.string().default('Never'),
});
const unrestricted = match.parse({});
const bindingSpec = z.object({
  policyName: z.string(),
  paramRef: z.unknown().optional(),
  matchResources: match.nullish().transform((value) => value ?? unrestricted),
  validationActions: strings,
});

type Spec = Record<string, unknown>;
type SpecSchema = { safeParse: (value: unknown) => { success: true; data: Spec } | { success: false } };

const object = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    deletionTimestamp: z.string().nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.unknown(),
});
type GuardObject = z.infer<typeof object>;

const remedy = 'a cluster admin restores it with kubectl apply -k deploy/guards';

/**
 * What is wrong with the guards in the cluster, each as a sentence with its remedy; empty when they are intact. A guard of a
 * newer version than this hallpass knows (the other replicas of a rolling upgrade brought it) counts as intact when it
 * still matches everything and fails closed.
 */
export function guardProblems(live: LiveGuards, expected: LiveGuards = expectedGuards()): string[] {
  return [
    ...problemsOf('MutatingAdmissionPolicy', policySpec, live.mutatingPolicies, expected.mutatingPolicies),
    ...problemsOf('MutatingAdmissionPolicyBinding', bindingSpec, live.mutatingBindings, expected.mutatingBindings),
    ...problemsOf('ValidatingAdmissionPolicy', policySpec, live.validatingPolicies, expected.validatingPolicies),
    ...problemsOf(
      'ValidatingAdmissionPolicyBinding',
      bindingSpec,
      live.validatingBindings,
      expected.validatingBindings,
    ),
  ];
}

function problemsOf(
  kind: string,
  schema: SpecSchema,
  live: readonly unknown[],
  expected: readonly unknown[],
): string[] {
  const found = new Map(objects(live).map((guard) => [guard.metadata.name, guard]));
  return objects(expected).flatMap((guard) => {
    const name = `${kind} ${guard.metadata.name}`;
    const present = found.get(guard.metadata.name);
    if (!present) return [`${name} is missing: ${remedy}`];
    if (present.metadata.deletionTimestamp) return [`${name} is being deleted: ${remedy}`];
    const changed = differences(schema, present, guard);
    if (changed.length === 0) return [];
    const [is, needed] = [versionOf(present), versionOf(guard)];
    if (is < needed) return [`${name} is of an older version (${is}, this hallpass needs ${needed}): ${remedy}`];
    return [`${name} was changed (${changed.join(', ')}): ${remedy}`];
  });
}

function objects(values: readonly unknown[]): GuardObject[] {
  return values.flatMap((value) => {
    const parsed = object.safeParse(value);
    return parsed.success ? [parsed.data] : [];
  });
}

/** What a later version may say differently. All else stays: it selects everything, fails closed, and denies. */
const versioned: readonly string[] = ['resourceRules', 'matchConditions', 'variables', 'validations', 'mutations'];

/** The fields in which a guard means something else than expected. */
function differences(schema: SpecSchema, live: GuardObject, expected: GuardObject): string[] {
  const [is, wanted] = [schema.safeParse(live.spec), schema.safeParse(expected.spec)];
  if (!wanted.success) throw new Error(`the guard ${expected.metadata.name} that hallpass ships is unreadable`);
  if (!is.success) return ['unreadable'];
  const ignored = versionOf(live) > versionOf(expected) ? versioned : [];
  return Object.keys({ ...wanted.data, ...is.data }).filter(
    (field) => canonical({ [field]: is.data[field] }, ignored) !== canonical({ [field]: wanted.data[field] }, ignored),
  );
}

/** 0 when the annotation is missing or no number: older than every version. */
function versionOf(guard: GuardObject): number {
  const version = Number(guard.metadata.annotations?.[ANNOTATIONS.guardsVersion]);
  return Number.isSafeInteger(version) && version > 0 ? version : 0;
}

/** JSON with sorted keys, without what is absent or ignored. */
function canonical(value: unknown, ignored: readonly string[]): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(
      Object.entries(part)
        .filter(([key, field]) => field !== null && field !== undefined && !ignored.includes(key))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  });
}
