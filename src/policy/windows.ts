// When a grant's windows are open: by what the clock on the wall shows in the zone of each, over daylight-saving changes.
//
// A window goes by the wall clock alone. An hour that the clock shows twice is open twice, one that it never shows never opens.

import type { Window } from '../api/restrictions.ts';
import { wallClock } from '../api/time-zone.ts';
import { type Finding, finding, NOTHING } from './finding.ts';
import type { GateInput } from './gates.ts';
import { timestamp } from './schedule.ts';

export type Opening = {
  open: boolean;
  /** Until then it stays so, in milliseconds since the epoch; undefined where it always does. */
  changesAt: number | undefined;
};

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A weekly window that a missing hour swallows once opens the week after. */
const HORIZON_DAYS = 16;

const WEEKDAYS: NonNullable<Window['days']> = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** What stands against a grant outside of its windows. */
export function windowGate({ grant, term, now }: GateInput): readonly Finding[] {
  const { open, changesAt } = opening(grant.spec?.windows, now);
  if (open || changesAt === undefined) return NOTHING;
  const found = { reason: 'OutsideWindow', what: 'it is outside of its windows', nextCheck: changesAt } as const;
  if (term && changesAt >= term.end) {
    const remedy = 'none opens before its end: ask for other windows, or for a later end';
    return [finding({ ...found, remedy, by: ['Requester'] })];
  }
  return [finding({ ...found, remedy: `the next opens at ${timestamp(changesAt)}`, by: ['Time'] })];
}

const ALWAYS: Opening = { open: true, changesAt: undefined };

/** What was found last for the windows of a grant: it is asked for again and again, and finding it takes a millisecond. */
const found = new WeakMap<Window[], { open: boolean; since: number; changesAt: number }>();

/** Whether any of the windows is open at `now`, and how long it stays so. Without windows it is always open. */
export function opening(windows: Window[] | undefined, now: number): Opening {
  if (!windows || windows.length === 0) return ALWAYS;
  const known = found.get(windows);
  if (known && known.since <= now && now < known.changesAt) return { open: known.open, changesAt: known.changesAt };
  const open = isOpen(windows, now);
  const changesAt = nextChange(windows, now, open);
  found.set(windows, { open, since: now, changesAt });
  return { open, changesAt };
}

/** When it is open no longer, or open again. Where that isn't within the horizon, its end: then it is looked at anew. */
function nextChange(windows: Window[], now: number, open: boolean): number {
  // Most change within a day; the others take looking at many.
  for (const days of [2, HORIZON_DAYS]) {
    const change = turns(windows, now, days)
      .filter((at) => at > now && at <= now + (days - 1) * DAY)
      .sort((a, b) => a - b)
      .find((at) => isOpen(windows, at) !== open);
    if (change !== undefined) return change;
  }
  return now + (HORIZON_DAYS - 1) * DAY;
}

function isOpen(windows: Window[], at: number): boolean {
  return windows.some((window) => {
    const local = at + offsetAt(window.timeZone, at);
    const today = Math.floor(local / DAY);
    return [today, today - 1].some((day) => {
      const { begins, ends } = on(window, day);
      return isOfDays(window, day) && begins <= local && local < ends;
    });
  });
}

/** Every time in these days at which a window may open or close: its own ends, and changes of its clock. */
function turns(windows: Window[], now: number, days: number): number[] {
  return windows.flatMap((window) => {
    const { timeZone } = window;
    const today = Math.floor((now + offsetAt(timeZone, now)) / DAY);
    return Array.from({ length: days + 2 }, (_, at) => today - 1 + at).flatMap((day) => {
      const { begins, ends } = on(window, day);
      const change = clockChange(timeZone, day * DAY, (day + 1) * DAY);
      return [...instants(timeZone, begins), ...instants(timeZone, ends), ...(change === undefined ? [] : [change])];
    });
  });
}

/** Beginning and end of the window on a day since the epoch, in local milliseconds. */
function on({ from, to }: Window, day: number): { begins: number; ends: number } {
  const begins = minutes(from);
  const ends = minutes(to);
  return { begins: day * DAY + begins * MINUTE, ends: day * DAY + (ends > begins ? ends : ends + 24 * 60) * MINUTE };
}

function isOfDays({ days }: Window, day: number): boolean {
  // The epoch began on a Thursday.
  const weekday = WEEKDAYS[(((day + 4) % 7) + 7) % 7];
  return !days?.length || days.some((each) => each === weekday);
}

function minutes(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

/** The times at which a clock shows this: one, two where it is set back, none where it is set forward. */
function instants(timeZone: string, local: number): number[] {
  const offsets = new Set([offsetAt(timeZone, local - DAY), offsetAt(timeZone, local + DAY)]);
  return [...offsets].map((offset) => local - offset).filter((at) => at + offsetAt(timeZone, at) === local);
}

/** The second in which the clock is set between two times; undefined where it isn't. */
function clockChange(timeZone: string, from: number, to: number): number | undefined {
  const before = offsetAt(timeZone, from);
  if (offsetAt(timeZone, to) === before) return undefined;
  let [low, high] = [from, to];
  while (high - low > 1000) {
    const middle = Math.floor((low + high) / 2000) * 1000;
    if (offsetAt(timeZone, middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

/** What the zone's clock is ahead of UTC, in milliseconds. */
function offsetAt(timeZone: string, at: number): number {
  const second = Math.floor(at / 1000) * 1000;
  const parts = wallClock(timeZone).formatToParts(second);
  const of = (type: Intl.DateTimeFormatPartTypes) => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second')) - second;
}
