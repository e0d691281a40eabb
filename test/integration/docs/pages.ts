// The pages that people read, and the fenced blocks in them.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export const root = join(import.meta.dirname, '..', '..', '..');

/** A page of README or docs, by its path from the checkout. */
export type Page = { path: string; text: string };

export type Fence = {
  language: string;
  text: string;
  /** Of its first line in the page, from 1. */
  line: number;
};

export function page(path: string): Page {
  return { path, text: readFileSync(join(root, path), 'utf8') };
}

/** Every page for people: those at the top, docs, examples, and those of the bench. */
export function pages(): Page[] {
  const below = ['docs', 'examples', 'bench'].flatMap((directory) =>
    readdirSync(join(root, directory), { recursive: true, withFileTypes: true }).map((entry) =>
      relative(root, join(entry.parentPath, entry.name)),
    ),
  );
  return [...readdirSync(root), ...below].filter((path) => path.endsWith('.md')).map(page);
}

/** The fenced blocks of a page, in order. */
export function fences({ text }: Page): Fence[] {
  const found: Fence[] = [];
  let open: { mark: string; language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^(?<mark>```+)(?<language>\S*)/.exec(line)?.groups;
    if (open && line.startsWith(open.mark)) {
      found.push({ language: open.language, text: open.lines.join('\n'), line: open.line });
      open = undefined;
    } else if (open) {
      open.lines.push(line);
    } else if (fence) {
      open = { mark: fence.mark ?? '', language: fence.language ?? '', line: index + 2, lines: [] };
    }
  }
  return found;
}
