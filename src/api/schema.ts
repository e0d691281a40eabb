// What the kinds' schemas are built of. Each limit is stated once: zod checks it here, the CRD carries it to the API server.

import * as z from 'zod';
import { DURATION_HINT, DURATION_LENGTH, DURATION_PATTERN, MAX_DURATION_SECONDS, parseDuration } from './duration.ts';
import { NAME_LIMIT } from './names.ts';

/** A rule that JSON schema can't say: in CEL for the API server, as a function for zod. The message names the remedy. */
export type Rule<T> = {
  cel: string;
  message: string;
  /** Field below the value that the message is about, such as `.notAfter`. */
  fieldPath?: string;
  reason?: 'FieldValueRequired' | 'FieldValueInvalid';
  holds: (value: T) => boolean;
};

/** Key of a schema's metadata: the property is required, and this message (with the remedy) says so. See crd.ts. */
export const REQUIRED_MESSAGE = 'x-hallpass-required';

/** Adds the rules to a schema, for zod and for the CRD. Only one call per schema: the last one's rules count. */
export function ruled<S extends z.ZodType>(schema: S, rules: Rule<z.output<S>>[]): S {
  return schema
    .superRefine((value, context) => {
      for (const rule of rules) {
        if (!rule.holds(value)) {
          const path = rule.fieldPath === undefined ? [] : rule.fieldPath.split('.').slice(1);
          context.addIssue({ code: 'custom', path, message: rule.message });
        }
      }
    })
    .meta({ 'x-kubernetes-validations': rules.map(validation) });
}

/** The rule as the CRD carries it. */
export function validation({ cel, message, fieldPath, reason }: Omit<Rule<never>, 'holds'>) {
  return {
    rule: cel,
    message,
    ...(fieldPath === undefined ? {} : { fieldPath }),
    ...(reason === undefined ? {} : { reason }),
  };
}

/** Marks a property as required with a message of its own, in place of the API server's bare "Required value". */
export function required<S extends z.ZodType>(schema: S, message: string): S {
  return schema.meta({ [REQUIRED_MESSAGE]: message });
}

/** A string of `min` to `max` code points (as the API server counts them), and of this form when a pattern is given. */
export function text(o: { min?: number; max: number; pattern?: string }): z.ZodString {
  const pattern = o.pattern === undefined ? undefined : new RegExp(o.pattern, 'u');
  return z
    .string()
    .superRefine((value, context) => {
      // A code point is one or two of what `length` counts: most need no counting.
      if (value.length < 2 * (o.min ?? 0) && codePoints(value) < (o.min ?? 0))
        context.addIssue({ code: 'custom', message: `must have at least ${o.min} characters` });
      if (value.length > o.max && codePoints(value) > o.max)
        context.addIssue({ code: 'custom', message: `must have at most ${o.max} characters` });
      if (pattern?.test(value) === false) {
        context.addIssue({ code: 'custom', message: `must match ${o.pattern}` });
      }
    })
    .meta({
      ...(o.min === undefined ? {} : { minLength: o.min }),
      maxLength: o.max,
      ...(o.pattern === undefined ? {} : { pattern: o.pattern }),
    });
}

function codePoints(value: string): number {
  return [...value].length;
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}([.]${LABEL})*`;

/** The name of a namespace, a DNS label. */
export function namespaceName(): z.ZodString {
  return worded(
    63,
    `^${LABEL}$`,
    "must be the name of a namespace, such as demo: lower-case letters, digits and '-'; there is no wildcard",
  );
}

/** The name of an identity, as people write it elsewhere. */
export function identityName(): z.ZodString {
  return worded(
    NAME_LIMIT,
    `^${SUBDOMAIN}$`,
    "must be the name of an AgentIdentity in this namespace, such as triage: lower-case letters, digits, '-' and '.'",
  );
}

/** The name of an object of ours or of a ServiceAccount: a DNS subdomain. */
export function objectName(max = 253): z.ZodString {
  return text({ min: 1, max, pattern: `^${SUBDOMAIN}$` });
}

/**
 * Inside a character class: controls, format characters (right-to-left and zero-width marks), line and paragraph separators.
 * kubectl prints a column as it is stored, and there they would move the cursor, reorder or hide what stands beside them.
 */
export const UNPRINTABLE = '\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}';

/** Of a string that a column prints and that hallpass itself writes, by `printable`. */
export const PRINTABLE = `^[^${UNPRINTABLE}]*$`;

/** A string whose form is checked by a rule rather than a pattern, so that the refusal says how to write one. */
export function worded(max: number, form: string, message: string): z.ZodString {
  const pattern = new RegExp(form, 'u');
  return ruled(text({ max }), [{ cel: `self.matches(r'${form}')`, message, holds: (value) => pattern.test(value) }]);
}

/** One line for people: not blank, and nothing in it that a terminal would act on or not show. `wanted` says what it is for. */
export function line(max: number, wanted: string): z.ZodString {
  return worded(
    max,
    `^\\p{Zs}*[^\\p{Zs}${UNPRINTABLE}][^${UNPRINTABLE}]*$`,
    `${wanted}, in one line of text: not blank, no line breaks (in YAML, >- in place of | joins lines), no tabs, no escapes, no marks that are invisible or change direction`,
  );
}

/** A uid that the API server gave. */
export function uid(): z.ZodString {
  return text({ min: 1, max: 128 });
}

// RFC 3339 with a zone, on a day that exists. The API server's format date-time lets pass other letters, separators and offsets.
const DAY = [
  '[1-9][0-9]{3}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])',
  '[1-9][0-9]{3}-(0[469]|11)-(0[1-9]|[12][0-9]|30)',
  '[1-9][0-9]{3}-02-(0[1-9]|1[0-9]|2[0-8])',
  '([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29',
].join('|');
const HOUR = '([01][0-9]|2[0-3])';
/** A point in time, for rules in CEL that compare two. */
export const TIME = `^(${DAY})T${HOUR}(:[0-5][0-9]){2}([.][0-9]{1,9})?(Z|[+-]${HOUR}:[0-5][0-9])$`;
export const TIME_HINT = 'must be a time as RFC 3339 writes it, with a zone, such as 2026-03-01T09:00:00Z';
// CEL knows no later one, and a zone west of Greenwich may lead there.
const LAST_SECOND = '9999-12-31T23:59:59Z';
const LAST_SECOND_MS = Date.parse(LAST_SECOND);
const TIME_FORM = new RegExp(TIME);

function isTime(value: string): boolean {
  return TIME_FORM.test(value) && Date.parse(value) <= LAST_SECOND_MS;
}

/** A point in time that people write: checked by a rule, so that the refusal says how to write one. */
export function time(): z.ZodString {
  return ruled(text({ max: 35 }), [
    {
      cel: `self.matches('${TIME}') && timestamp(self) <= timestamp('${LAST_SECOND}')`,
      message: TIME_HINT,
      holds: isTime,
    },
  ]);
}

/** A point in time that hallpass itself writes. */
export function recordedTime(): z.ZodString {
  return z.string().refine(isTime, { error: TIME_HINT }).meta({ format: 'date-time', maxLength: 35, pattern: TIME });
}

/** A duration, checked by a rule rather than a pattern, so that the refusal says how to write one. */
export function duration(): z.ZodString {
  return ruled(text({ max: DURATION_LENGTH }), [
    {
      cel: `self != '' && self.matches('${DURATION_PATTERN}') && duration(self) > duration('0s') && duration(self) <= duration('${MAX_DURATION_SECONDS}s')`,
      message: `must be ${DURATION_HINT}`,
      holds: (value) => parseDuration(value) !== undefined,
    },
  ]);
}

/**
 * A list that one author owns as a whole (`atomic`). With `atLeastOne`, an empty one is refused with that message; with `distinct`, one
 * that has the same scalar twice: what the API server says of a `set` names no remedy.
 */
export function listOf<S extends z.ZodType>(
  item: S,
  o: { max: number; atLeastOne?: string; distinct?: string },
): z.ZodArray<S> {
  const list = z.array(item).max(o.max);
  const rules: Rule<z.output<S>[]>[] = [];
  if (o.atLeastOne !== undefined) {
    const message = o.atLeastOne;
    rules.push({ cel: 'self.size() > 0', message, reason: 'FieldValueRequired', holds: (value) => value.length > 0 });
  }
  if (o.distinct !== undefined) {
    rules.push({
      cel: 'self.all(one, self.exists_one(other, other == one))',
      message: o.distinct,
      holds: (value) => new Set(value).size === value.length,
    });
  }
  return (rules.length === 0 ? list : ruled(list, rules)).meta({ 'x-kubernetes-list-type': 'atomic' });
}

/** A map from strings to values of one kind. */
export function mapOf<S extends z.ZodType>(value: S, o: { max: number }): z.ZodRecord<z.ZodString, S> {
  return z
    .record(z.string(), value)
    .refine((map) => Object.keys(map).length <= o.max, { error: `must have at most ${o.max} entries` })
    .meta({ maxProperties: o.max });
}

/** A whole number within limits. */
export function integer(min: number, max: number): z.ZodInt {
  return z
    .int()
    .min(min)
    .max(max)
    .meta({ format: max < 2 ** 31 ? 'int32' : 'int64' });
}
