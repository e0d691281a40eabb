// Columns for people: aligned, and no wider than the terminal.

const GAP = 2;
const NARROWEST = 8;

/**
 * The rows under a header, as lines. Where they are wider than `width` characters, the widest columns give way and end in `…`;
 * without a width, as where the output is not a terminal, nothing is cut.
 */
export function table(header: string[], rows: string[][], width = Infinity): string[] {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const total = () => widths.reduce((sum, each) => sum + each, GAP * (widths.length - 1));
  while (total() > width) {
    const widest = Math.max(...widths);
    if (widest <= NARROWEST) break;
    widths[widths.indexOf(widest)] = widest - 1;
  }
  return [header, ...rows].map((row) =>
    widths
      .map((each, at) => cut(row[at] ?? '', each).padEnd(each))
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
