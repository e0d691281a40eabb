// From a kind's definition to its CustomResourceDefinition: zod's JSON schema, made structural, with what zod can't say.

import * as z from 'zod';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { REQUIRED_MESSAGE, validation } from './schema.ts';

const validationEntry = z.object({
  rule: z.string(),
  message: z.string(),
  reason: z.string().optional(),
  fieldPath: z.string().optional(),
});

/** A node of a structural schema, as far as this house uses it. What isn't listed here is dropped. */
const schemaNode = z.object({
  description: z.string().optional(),
  type: z.string(),
  format: z.string().optional(),
  enum: z.array(z.string()).optional(),
  pattern: z.string().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  maxItems: z.number().optional(),
  maxProperties: z.number().optional(),
  required: z.array(z.string()).optional(),
  get properties() {
    return z.record(z.string(), schemaNode).optional();
  },
  get items() {
    return schemaNode.optional();
  },
  /** Of a map, the schema of its values. */
  get additionalProperties() {
    return schemaNode.optional();
  },
  'x-kubernetes-list-type': z.string().optional(),
  'x-kubernetes-list-map-keys': z.array(z.string()).optional(),
  'x-kubernetes-validations': z.array(validationEntry).optional(),
  [REQUIRED_MESSAGE]: z.string().optional(),
});

export type SchemaNode = z.infer<typeof schemaNode>;

/** The structural schema of one part of a kind, with descriptions. */
export function structuralSchema(schema: z.ZodType, description?: string): SchemaNode {
  const json = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    unrepresentable: 'throw',
  });
  const node = structural(schemaNode.parse(json));
  return description === undefined ? node : { description, ...node };
}

/** Turns properties that are required with a message of their own into rules: the schema's `required` has no message. */
function structural(node: SchemaNode): SchemaNode {
  const { properties, items, required, 'x-kubernetes-validations': rules, [REQUIRED_MESSAGE]: _, ...rest } = node;
  const own = Object.entries(properties ?? {}).flatMap(([name, property]) => {
    const message = property[REQUIRED_MESSAGE];
    return message === undefined ? [] : [{ name, message }];
  });
  const plainlyRequired = required?.filter((name) => !own.some((property) => property.name === name)) ?? [];
  const validations = [
    ...own.map(({ name, message }) =>
      validation({ cel: `has(self.${name})`, message, reason: 'FieldValueRequired', fieldPath: `.${name}` }),
    ),
    ...(rules ?? []),
  ];
  return {
    ...rest,
    ...(plainlyRequired.length === 0 ? {} : { required: plainlyRequired }),
    ...(properties === undefined ? {} : { properties: mapValues(properties, structural) }),
    ...(items === undefined ? {} : { items: structural(items) }),
    ...(validations.length === 0 ? {} : { 'x-kubernetes-validations': validations }),
  };
}

function mapValues<T, U>(record: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** The schema of a whole object of the kind. */
export function objectSchema(kind: KindDefinition): SchemaNode {
  return {
    description: kind.description,
    type: 'object',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object', properties: { name: { type: 'string' } } },
      spec: structuralSchema(kind.spec, kind.specDescription),
      ...(kind.stamps === undefined ? {} : { stamps: structuralSchema(kind.stamps, kind.stampsDescription) }),
      ...(kind.status === undefined ? {} : { status: structuralSchema(kind.status, kind.statusDescription) }),
    },
    'x-kubernetes-validations': [specNeeded(kind), ...kind.rules.map(validation)],
  };
}

function specNeeded({ plural }: KindDefinition) {
  const message = `say what is wanted: set spec; kubectl explain ${plural}.spec lists its fields`;
  return validation({ cel: 'has(self.spec)', message, reason: 'FieldValueRequired', fieldPath: '.spec' });
}

/** The whole CustomResourceDefinition, ready to be written as YAML. */
export function customResourceDefinition(kind: KindDefinition) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: kind.scope ?? 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: ['hallpass'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          ...(kind.status === undefined ? {} : { subresources: { status: {} } }),
          additionalPrinterColumns: kind.columns,
          schema: { openAPIV3Schema: objectSchema(kind) },
        },
      ],
    },
  };
}
