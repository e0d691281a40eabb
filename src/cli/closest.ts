// Which name somebody may have meant who wrote another.

/** So many edits apart, a name is no misspelling any more. */
const FARTHEST = 3;

/** The name that is closest to the one that was written, if any is close; the first of those that are equally so. */
export function closest(written: string, names: string[]): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const name of names) {
    const far = Math.min(FARTHEST, Math.floor(Math.max(written.length, name.length) / 2));
    const distance = edits(written, name);
    if (distance <= far && (!best || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

/** How many characters must be put in, taken out or changed to make one of the other; two that changed places count as one. */
function edits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, change);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
