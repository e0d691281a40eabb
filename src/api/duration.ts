// Durations as the kinds spell them: whole seconds in Kubernetes' notation, such as `90s` or `1h30m`.

/** Ninety days: the longest duration that any field accepts. */
export const MAX_DURATION_SECONDS = 2160 * 3600;

/** Hours, minutes, seconds, in that order, each at most once. RE2 and JavaScript read it alike: the CRDs use it too. */
export const DURATION_PATTERN = '^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$';
/** The longest string that the pattern matches. */
export const DURATION_LENGTH = 20;
export const DURATION_HINT = 'a whole number of seconds above 0 and at most 2160h, written like 90s, 45m or 1h30m';

const PARTS = new RegExp(DURATION_PATTERN);

/** Length in seconds of a duration; undefined when the text is none, is not above zero or is over 2160h. */
export function parseDuration(text: string): number | undefined {
  const parts = PARTS.exec(text);
  if (parts === null) return undefined;
  const count = (part: string | undefined) => (part === undefined ? 0 : Number(part.slice(0, -1)));
  const seconds = count(parts[1]) * 3600 + count(parts[2]) * 60 + count(parts[3]);
  return seconds > 0 && seconds <= MAX_DURATION_SECONDS ? seconds : undefined;
}

/** The shortest spelling of a number of seconds, such as `1h30m`; fractions are dropped, nothing is below `0s`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const text = parts.map(([count, unit]) => (count > 0 ? `${count}${unit}` : '')).join('');
  return text === '' ? '0s' : text;
}
