// Reading a stored object of our kinds at the border: it never throws, and what today's schema refuses is called invalid.

import * as z from 'zod';
import type { ObjectMeta } from '../kube/object.ts';
import { API_VERSION, NAME_LIMIT } from './names.ts';
import type { Rule } from './schema.ts';

/** What every parsed object of ours has. `spec` is there only when it is valid; `invalid` says what is wrong with it. */
export type Parsed<Spec, Status> = {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: Spec;
  status: Status;
  invalid?: string;
};

const strings = z.record(z.string(), z.string());
const ownerReference = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

const envelope = z.object({
  metadata: z.object({
    name: z.string().catch(''),
    namespace: z.string().optional().catch(undefined),
    uid: z.string().catch(''),
    resourceVersion: z.string().catch(''),
    generation: z.number().optional().catch(undefined),
    creationTimestamp: z.string().optional().catch(undefined),
    deletionTimestamp: z.string().optional().catch(undefined),
    labels: strings.optional().catch(undefined),
    annotations: strings.optional().catch(undefined),
    finalizers: z.array(z.string()).optional().catch(undefined),
    ownerReferences: z.array(ownerReference).optional().catch(undefined),
  }),
  spec: z.unknown().optional(),
  stamps: z.unknown().optional(),
  status: z.unknown().optional(),
});

/** An object of ours with its metadata read and its other parts as they came. */
export type Envelope = z.infer<typeof envelope>;

/** Splits an object into its parts; what isn't an object at all becomes one without a name. */
export function openEnvelope(value: unknown): Envelope {
  const parsed = envelope.safeParse(value);
  if (parsed.success) return parsed.data;
  return {
    metadata: { name: '', uid: '', resourceVersion: '' },
    spec: undefined,
    stamps: undefined,
    status: undefined,
  };
}

/** On identities and grants: names that what is derived from them still fits. */
export const nameRule: Rule<{ metadata: { name: string } }> = {
  cel: `self.metadata.name.size() <= ${NAME_LIMIT}`,
  fieldPath: '.metadata.name',
  message: `must be at most ${NAME_LIMIT} characters, because names and labels are derived from it: choose a shorter name`,
  holds: (object) => object.metadata.name.length <= NAME_LIMIT,
};

/** The first three things that are wrong, as `field: rule`, for people. */
function problems(field: string, error: z.ZodError): string {
  const all = error.issues.map((issue) => `${fieldName([field, ...issue.path])}: ${issue.message}`);
  const more = all.length > 3 ? `; and ${all.length - 3} more` : '';
  return all.slice(0, 3).join('; ') + more;
}

/** zod's own message for a missing field speaks of JavaScript. */
function nameMissing(issue: { code?: string; input?: unknown }): string | undefined {
  return issue.code === 'invalid_type' && issue.input === undefined ? 'is required' : undefined;
}

function fieldName(path: PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${String(key)}`))
    .join('');
}

/**
 * Reads a status field by field: one that is unreadable is left out, the others stay; what is no object counts as empty.
 * Every field of the schema must be optional.
 */
export function readLoosely<S extends z.ZodObject>(schema: S, value: unknown): z.output<S> {
  const whole = schema.safeParse(value);
  if (whole.success) return whole.data;
  const fields = z.record(z.string(), z.unknown()).safeParse(value);
  if (!fields.success) return schema.parse({});
  const bad = new Set(whole.error.issues.map((issue) => issue.path[0]));
  return schema.parse(Object.fromEntries(Object.entries(fields.data).filter(([key]) => !bad.has(key))));
}

/**
 * Adds the stamps that admission set to an object that was read. Where they can't be read, nobody knows whose it is, so that it
 * counts as one that has no valid spec.
 */
export function readStamps<T extends { spec?: unknown; invalid?: string }, Stamps extends z.ZodType>(
  object: T,
  schema: Stamps,
  { stamps }: Envelope,
): T | (Omit<T, 'spec'> & { invalid: string }) | (T & { stamps: z.output<Stamps> }) {
  if (stamps === undefined) return object;
  const parsed = schema.safeParse(stamps, { error: nameMissing });
  if (parsed.success) return { ...object, stamps: parsed.data };
  const { spec: _refused, ...rest } = object;
  return { ...rest, invalid: object.invalid ?? problems('stamps', parsed.error) };
}

/** Reads the parts that every kind of ours has. `rules` are those about the object as a whole. */
export function readObject<Spec extends z.ZodType, Status extends z.ZodObject>(
  kind: string,
  o: { spec: Spec; status: Status; rules: Rule<{ metadata: { name: string } }>[] },
  { metadata, spec, status }: Envelope,
): Parsed<z.output<Spec>, z.output<Status>> {
  const base = { apiVersion: API_VERSION, kind, metadata, status: readLoosely(o.status, status) };
  const broken = o.rules.find((rule) => !rule.holds({ metadata }));
  if (broken !== undefined) return { ...base, invalid: `metadata.name: ${broken.message}` };
  const parsed = o.spec.safeParse(spec, { error: nameMissing });
  if (!parsed.success) return { ...base, invalid: problems('spec', parsed.error) };
  return { ...base, spec: parsed.data };
}
