// What is parsed from JSON and not yet known to be of any form.

/** An object, neither `null` nor a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A string, or nothing. */
export const stringOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
