// When a grant starts and ends: whole seconds, an end in time always, never moved later.

import { parseDuration } from '../api/duration.ts';

/** A grant's validity, with times and the duration in milliseconds. */
export type Validity = { notBefore?: number; notAfter?: number; duration?: number };

/** The start and end, in milliseconds since the epoch, of a grant that is issued at `now`. */
export type Term = { start: number; end: number };

/**
 * The term of a grant issued at `now`. It starts at `now`, or at `notBefore` when that is still to come, and ends at the earlier of
 * start + duration and `notAfter`, rounded down to a whole second.
 */
export function term(validity: Validity, now: number): Term {
  const start = Math.max(wholeSecond(now), validity.notBefore ?? 0);
  const end = Math.min(start + (validity.duration ?? Infinity), validity.notAfter ?? Infinity);
  return { start, end: wholeSecond(end) };
}

/** The term that was written down, in a receipt or a status; undefined where there is none. */
export function writtenTerm(from: { startTime?: string; expiresAt?: string } | undefined): Term | undefined {
  if (!from?.startTime || !from.expiresAt) return undefined;
  return { start: Date.parse(from.startTime), end: Date.parse(from.expiresAt) };
}

/** Rounds a time down to a whole second, as the API stores it. */
export function wholeSecond(time: number): number {
  return Math.floor(time / 1000) * 1000;
}

const DAY = 24 * 3600_000;
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));
/** The day, since the epoch, of which a time was written last: as a rule that of the next, too, and most of the work. */
let written = { day: 0, date: '1970-01-01' };

/** A time as the API writes it: RFC 3339 in UTC without fractions. Throws a RangeError for what is no time. */
export function timestamp(time: number): string {
  const day = Math.floor(time / DAY);
  if (day !== written.day) {
    written = { day, date: new Date(day * DAY).toISOString().slice(0, -'T00:00:00.000Z'.length) };
  }
  const seconds = Math.floor((time - day * DAY) / 1000);
  const [hour, minute] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${written.date}T${TWO_DIGITS[hour]}:${TWO_DIGITS[minute]}:${TWO_DIGITS[seconds % 60]}Z`;
}

/** A duration of the API in milliseconds. One that can't be read is no time at all, so that it grants nothing. */
export function milliseconds(duration: string): number {
  return (parseDuration(duration) ?? 0) * 1000;
}

/** A time of the API in milliseconds since the epoch; undefined where there is none, or none that can be read. */
export function time(value: string | undefined): number | undefined {
  const parsed = value === undefined ? Number.NaN : Date.parse(value);
  return Number.isNaN(parsed) ? undefined : parsed;
}
