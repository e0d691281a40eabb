// Reads what `make demo` has told: the agent's answers, the figures it measured, the record at the end.

export type DemoStory = {
  lines: string[];
  /** HTTP statuses of the agent's requests, in order. */
  answers: string[];
  /** Seconds from the deadline, or from the deletion, to the refusal; of the last with no hallpass there. NaN where it wasn't told. */
  lapse: number;
  revoked: number;
  dead: number;
  /** Seconds in all. */
  total: number;
  /** Outcomes on record, sorted. `record` matches the lines that count. */
  outcomes(record?: RegExp): string[];
};

export function readDemo(output: string): DemoStory {
  const lines = output.split('\n').map((line) => line.trim());
  const all = (pattern: RegExp) => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []);
  const seconds = (pattern: RegExp) => Number(all(pattern)[0] ?? Number.NaN);
  return {
    lines,
    answers: all(/^The agent lists pods: (\d+)/),
    lapse: seconds(/^deadline .* refused at .*: ([\d.]+) s later$/),
    revoked: seconds(/^refused ([\d.]+) s after kubectl delete/),
    dead: seconds(/^deadline .*: ([\d.]+) s later, without hallpass$/),
    total: seconds(/^That was it, in ([\d.]+) s\.$/),
    outcomes: (record = /^[0-9a-f]{40} /) =>
      lines
        .filter((line) => record.test(line))
        .flatMap((line) => / (Expired|Revoked) /.exec(line)?.[1] ?? [])
        .sort(),
  };
}
