// Durations: one spelling in, whole seconds out.
import { expect } from 'chai';
import fc from 'fast-check';
import { formatDuration, MAX_DURATION_SECONDS, parseDuration } from '../../../src/api/duration.ts';

describe('a duration', () => {
  it('is read in seconds', () => {
    expect(parseDuration('90s')).to.equal(90);
    expect(parseDuration('1h30m')).to.equal(5400);
    expect(parseDuration('1h0m1s')).to.equal(3601);
    expect(parseDuration('2160h')).to.equal(MAX_DURATION_SECONDS);
  });

  for (const text of [
    '',
    '0s',
    '0h0m0s',
    '-1h',
    '+1h',
    '10y',
    'soon',
    '1',
    '1.5h',
    '500ms',
    '30m1h',
    '1h1h',
    ' 1h',
    '1h ',
    '1H',
    '2160h1s',
    '9999h',
    '１h',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => {
      expect(parseDuration(text)).to.equal(undefined);
    });
  }

  it('survives being formatted and read again, whatever its length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_DURATION_SECONDS }), (seconds) => {
        expect(parseDuration(formatDuration(seconds))).to.equal(seconds);
      }),
    );
  });

  it('is never read from text that is not one, and never out of bounds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9hms.-]{0,12}$/)), (text) => {
        const seconds = parseDuration(text);
        if (seconds === undefined) return;
        expect(text).to.match(/^(\d+h)?(\d+m)?(\d+s)?$/);
        expect(seconds).to.be.within(1, MAX_DURATION_SECONDS);
        expect(Number.isInteger(seconds)).to.equal(true);
      }),
    );
  });

  it('is formatted in whole seconds, rounded down, and never below zero', () => {
    expect(formatDuration(0)).to.equal('0s');
    expect(formatDuration(-5)).to.equal('0s');
    expect(formatDuration(59.9)).to.equal('59s');
    expect(formatDuration(3600)).to.equal('1h');
    expect(formatDuration(90_061)).to.equal('25h1m1s');
  });
});
