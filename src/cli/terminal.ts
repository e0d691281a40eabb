// Where a command's lines go, and who answers its questions. Calm everywhere: no colours, nothing that moves.

import { createInterface } from 'node:readline/promises';
import { printable } from '../text.ts';

/** Lines are no wider than this, on wider terminals either: beyond it nobody reads with ease. */
const WIDEST = 100;
const NARROWEST = 40;

export type Terminal = {
  /** What was asked for, a line of standard output. */
  print: (line: string) => void;
  /** What a person should know beside it, a line of standard error. */
  tell: (line: string) => void;
  /** Asks whoever sits there; undefined where nobody does. */
  ask: ((question: string) => Promise<string>) | undefined;
  /** In characters. */
  width: number;
};

/** What is read and written; `isTTY` and `columns` only where somebody sits there. */
type Streams = {
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  stderr: NodeJS.WritableStream & { isTTY?: boolean };
};

/** A terminal, of this process unless told otherwise. Nothing leaves it that would move a cursor, change a colour or reorder text. */
export function openTerminal({ stdin, stdout, stderr }: Streams = process): Terminal {
  const ask = async (question: string) => {
    const dialogue = createInterface({ input: stdin, output: stderr, terminal: false });
    const given = new AbortController();
    // The end of input is no answer, and no reason to wait for one.
    dialogue.once('close', () => given.abort());
    try {
      return (await dialogue.question(`${printable(question)} `, { signal: given.signal })).trim();
    } catch {
      return '';
    } finally {
      dialogue.close();
    }
  };
  return {
    // A tab moves on and nothing else; completions have one between a name and what it is.
    print: (line) =>
      stdout.write(
        `${line
          .split('\t')
          .map((part) => printable(part))
          .join('\t')}\n`,
      ),
    tell: (line) => stderr.write(`${printable(line)}\n`),
    ask: stdin.isTTY && stderr.isTTY ? ask : undefined,
    width: Math.max(NARROWEST, Math.min(WIDEST, (stdout.isTTY && stdout.columns) || WIDEST)),
  };
}
