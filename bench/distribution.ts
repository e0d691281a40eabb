// Numbers as people read them: percentiles, ratios, durations.

/** The value below which `share` of all lie, by the nearest rank. NaN when there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
}

export function distribution(values: readonly number[], show = milliseconds): string {
  return `p50 ${show(percentile(values, 0.5))}, p99 ${show(percentile(values, 0.99))}, max ${show(percentile(values, 1))}`;
}
