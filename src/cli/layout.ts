// Text for people in lines of a certain width.

import { printable } from '../text.ts';

/**
 * Breaks a text into lines at its blanks. A command that somebody is to paste is never broken: it gets a line of its own where it
 * does not fit, and may be wider than all else.
 */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of pieces(printable(text))) {
    if (line !== '' && line.length + 1 + piece.length > width) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? piece : `${line} ${piece}`;
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
}

/** Words, and whole commands: from `kubectl` or `printf` to the end of its clause. */
function pieces(text: string): string[] {
  return text.match(/printf %s '[^']*' \| kubectl create -f -\S*|kubectl [^;")]*?(?=[;")]|\. |$)[;")]*\.?|\S+/g) ?? [];
}

/** Labels and what they say, one below the other; what takes more lines stays in its column. */
export function fields(rows: [label: string, text: string][], width: number): string[] {
  const column = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.flatMap(([label, text]) =>
    wrapped(text, width - column).map((line, at) => (at === 0 ? label : '').padEnd(column) + line),
  );
}

export type Tree = { text: string; children: Tree[] };

/** A tree as people draw one, its root at the margin. */
export function drawn({ text, children }: Tree, width: number): string[] {
  const below = children.flatMap((child, at) => {
    const last = at === children.length - 1;
    const rest = last ? '   ' : '│  ';
    return drawn(child, width - rest.length).map((line, nth) => (nth === 0 ? (last ? '└─ ' : '├─ ') : rest) + line);
  });
  const stem = children.length > 0 ? '│ ' : '  ';
  return [...wrapped(text, width - stem.length).map((line, at) => (at === 0 ? line : stem + line)), ...below];
}
