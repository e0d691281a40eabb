// Time zones by the names that the IANA gives them, as this machine knows them.

/** So many zones are kept ready: making one takes long, and there are no more in one place. */
const MOST_ZONES = 64;
const clocks = new Map<string, Intl.DateTimeFormat>();

/** The clock on the wall in a zone. Throws a RangeError when there is no such zone. */
export function wallClock(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone);
  if (known) return known;
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  if (clocks.size >= MOST_ZONES) clocks.clear();
  clocks.set(timeZone, clock);
  return clock;
}

/** A name, and no offset: that knows no daylight saving. */
export const TIME_ZONE = '^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$';
const FORM = new RegExp(TIME_ZONE);

/** Whether this machine knows the zone. */
export function isTimeZone(name: string): boolean {
  if (!FORM.test(name)) return false;
  try {
    wallClock(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
