// When windows are open, by real zones.

import { expect } from 'chai';
import fc from 'fast-check';
import type { Window } from '../../../src/api/restrictions.ts';
import { isTimeZone } from '../../../src/api/time-zone.ts';
import { opening } from '../../../src/policy/windows.ts';

const time = (text: string) => Date.parse(text);
const FORTNIGHT = 15 * 24 * 3600_000;
const shown = (at: number | undefined) => at && new Date(at).toISOString().replace('.000Z', 'Z');

/** Every change from a time on, until another: `+10:00Z` opens, `-11:00Z` closes. */
function changes(window: Window, from: string, until: string): string[] {
  const found: string[] = [];
  let at = time(from);
  let { open, changesAt } = opening([window], at);
  while (changesAt !== undefined && changesAt < time(until)) {
    at = changesAt;
    ({ open, changesAt } = opening([window], at));
    found.push(`${open ? '+' : '-'}${shown(at)}`);
  }
  return found;
}

describe('the windows of a grant', () => {
  const office: Window = { days: ['Mon', 'Tue'], from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' };

  it('are always open where there are none', () => {
    expect(opening(undefined, 0)).to.deep.equal({ open: true, changesAt: undefined });
    expect(opening([], 0)).to.deep.equal({ open: true, changesAt: undefined });
  });

  it('open and close by the clock of their zone, on their days', () => {
    // The second of March 2026 is a Monday.
    expect(changes(office, '2026-03-01T00:00:00Z', '2026-03-10T00:00:00Z')).to.deep.equal([
      '+2026-03-02T08:00:00Z',
      '-2026-03-02T16:00:00Z',
      '+2026-03-03T08:00:00Z',
      '-2026-03-03T16:00:00Z',
      '+2026-03-09T08:00:00Z',
      '-2026-03-09T16:00:00Z',
    ]);
  });

  it('are open from their first millisecond, and not in their last', () => {
    expect(opening([office], time('2026-03-02T08:00:00Z')).open).to.equal(true);
    expect(opening([office], time('2026-03-02T08:00:00Z') - 1).open).to.equal(false);
    expect(opening([office], time('2026-03-02T16:00:00Z') - 1).open).to.equal(true);
    expect(opening([office], time('2026-03-02T16:00:00Z')).open).to.equal(false);
  });

  it('go on after midnight where they end earlier than they begin, and belong to the day on which they begin', () => {
    const night: Window = { days: ['Fri'], from: '22:00', to: '06:00', timeZone: 'America/New_York' };
    expect(changes(night, '2026-01-01T12:00:00Z', '2026-01-05T00:00:00Z')).to.deep.equal([
      '+2026-01-03T03:00:00Z',
      '-2026-01-03T11:00:00Z',
    ]);
  });

  it('last the whole day until 24:00', () => {
    const sunday: Window = { days: ['Sun'], from: '00:00', to: '24:00', timeZone: 'UTC' };
    expect(changes(sunday, '2026-03-01T12:00:00Z', '2026-03-08T12:00:00Z')).to.deep.equal([
      '-2026-03-02T00:00:00Z',
      '+2026-03-08T00:00:00Z',
    ]);
  });

  it('are looked at again after fifteen days where they never close', () => {
    const always: Window = { from: '00:00', to: '24:00', timeZone: 'Europe/Berlin' };
    const now = time('2026-03-29T00:30:00Z');
    expect(opening([always], now)).to.deep.equal({ open: true, changesAt: now + FORTNIGHT });
  });

  it('are open while any of several is', () => {
    const later: Window = { ...office, from: '16:00', to: '18:00' };
    expect(opening([office, later], time('2026-03-02T08:00:00Z'))).to.deep.equal({
      open: true,
      changesAt: time('2026-03-02T17:00:00Z'),
    });
  });

  it('do not open in the hour that is missing', () => {
    // On 29 March 2026 Berlin goes from 02:00 to 03:00, on 8 March New York; on 4 October Lord Howe from 02:00 to 02:30.
    const berlin: Window = { from: '02:00', to: '03:00', timeZone: 'Europe/Berlin' };
    expect(changes(berlin, '2026-03-28T12:00:00Z', '2026-03-30T12:00:00Z')).to.deep.equal([
      '+2026-03-30T00:00:00Z',
      '-2026-03-30T01:00:00Z',
    ]);
    const newYork: Window = { days: ['Sun'], from: '02:15', to: '02:45', timeZone: 'America/New_York' };
    expect(changes(newYork, '2026-03-07T12:00:00Z', '2026-03-16T12:00:00Z')).to.deep.equal([
      '+2026-03-15T06:15:00Z',
      '-2026-03-15T06:45:00Z',
    ]);
    const lordHowe: Window = { from: '02:00', to: '02:30', timeZone: 'Australia/Lord_Howe' };
    expect(changes(lordHowe, '2026-10-03T00:00:00Z', '2026-10-04T20:00:00Z')).to.deep.equal([
      '+2026-10-04T15:00:00Z',
      '-2026-10-04T15:30:00Z',
    ]);
  });

  it('open late or close early where one of their ends is in the missing hour', () => {
    const into: Window = { from: '01:30', to: '02:30', timeZone: 'Europe/Berlin' };
    expect(changes(into, '2026-03-28T12:00:00Z', '2026-03-29T12:00:00Z')).to.deep.equal([
      '+2026-03-29T00:30:00Z',
      '-2026-03-29T01:00:00Z',
    ]);
    const outOf: Window = { from: '02:30', to: '03:30', timeZone: 'Europe/Berlin' };
    expect(changes(outOf, '2026-03-28T12:00:00Z', '2026-03-29T12:00:00Z')).to.deep.equal([
      '+2026-03-29T01:00:00Z',
      '-2026-03-29T01:30:00Z',
    ]);
  });

  it('are open both times in the hour that comes twice', () => {
    // On 25 October 2026 Berlin goes from 03:00 back to 02:00, on 1 November New York from 02:00 to 01:00; on 5 April Lord Howe from 02:00 to 01:30.
    const berlin: Window = { from: '02:00', to: '03:00', timeZone: 'Europe/Berlin' };
    expect(changes(berlin, '2026-10-24T12:00:00Z', '2026-10-25T12:00:00Z')).to.deep.equal([
      '+2026-10-25T00:00:00Z',
      '-2026-10-25T02:00:00Z',
    ]);
    const newYork: Window = { from: '01:15', to: '01:45', timeZone: 'America/New_York' };
    expect(changes(newYork, '2026-10-31T12:00:00Z', '2026-11-01T12:00:00Z')).to.deep.equal([
      '+2026-11-01T05:15:00Z',
      '-2026-11-01T05:45:00Z',
      '+2026-11-01T06:15:00Z',
      '-2026-11-01T06:45:00Z',
    ]);
    const lordHowe: Window = { from: '01:00', to: '01:45', timeZone: 'Australia/Lord_Howe' };
    expect(changes(lordHowe, '2026-04-04T00:00:00Z', '2026-04-04T20:00:00Z')).to.deep.equal([
      '+2026-04-04T14:00:00Z',
      '-2026-04-04T14:45:00Z',
      '+2026-04-04T15:00:00Z',
      '-2026-04-04T15:15:00Z',
    ]);
  });

  it('open again where the clock is set back over their end', () => {
    const window: Window = { from: '01:30', to: '02:30', timeZone: 'Europe/Berlin' };
    expect(changes(window, '2026-10-24T12:00:00Z', '2026-10-25T12:00:00Z')).to.deep.equal([
      '+2026-10-24T23:30:00Z',
      '-2026-10-25T00:30:00Z',
      '+2026-10-25T01:00:00Z',
      '-2026-10-25T01:30:00Z',
    ]);
  });

  const weekday = fc.constantFrom<NonNullable<Window['days']>[number]>('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun');
  const clock = fc.integer({ min: 0, max: 47 }).map((half) => {
    const two = (n: number) => String(n).padStart(2, '0');
    return `${two(Math.floor(half / 2))}:${two((half % 2) * 30)}`;
  });
  const windows = fc.array(
    fc
      .record({
        days: fc.array(weekday, { maxLength: 3 }),
        from: clock,
        to: clock,
        timeZone: fc.constantFrom('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC'),
      })
      .filter(({ from, to }) => from !== to),
    { minLength: 1, maxLength: 2 },
  );
  const instant = fc.integer({ min: time('2026-01-01T00:00:00Z'), max: time('2027-01-01T00:00:00Z') });

  it('stay as they are until the time that is said, by law', () => {
    fc.assert(
      fc.property(
        windows,
        instant,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (some, now, part) => {
          const { open, changesAt } = opening(some, now);
          if (changesAt === undefined) throw new Error('no time is said');
          expect(changesAt).to.be.above(now);
          const between = Math.min(Math.floor(now + (changesAt - now) * part), changesAt - 1);
          expect(opening([...some], between).open).to.equal(open);
          // Those that leave no gap never change.
          if (changesAt < now + FORTNIGHT) expect(opening([...some], changesAt).open).to.equal(!open);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are open less often with one taken away, by law', () => {
    fc.assert(
      fc.property(windows, instant, ([first, ...more], now) => {
        if (first && opening([first], now).open) expect(opening([first, ...more], now).open).to.equal(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the name of a zone', () => {
  it('is one that the IANA keeps', () => {
    for (const name of ['Europe/Berlin', 'America/Argentina/Buenos_Aires', 'UTC', 'Etc/GMT+5'])
      expect(isTimeZone(name), name).to.equal(true);
    for (const name of ['Europe/Berln', 'Mars/Olympus', '', '+02:00', '02:00', 'Europe/Berlin ', '../etc/passwd'])
      expect(isTimeZone(name), name).to.equal(false);
  });
});
