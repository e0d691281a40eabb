// Whether somebody agrees to what a command is about to do: by an option, or by their word at the terminal.

import { EXIT, Failure } from './failure.ts';
import type { Terminal } from './terminal.ts';

/** Where nobody can be asked, all must have been said. Throws a Failure with what is missing, unless that is nothing. */
export function mustHaveSaid(terminal: Terminal, missing: string): void {
  if (terminal.ask !== undefined || missing === '') return;
  throw new Failure(`this is no terminal, so nobody can be asked: say ${missing}`, EXIT.usage);
}

/** Asks, where `yes` did not say so already. Throws a Failure that says `otherwise` for everything but a yes. */
export async function mustAgree(terminal: Terminal, yes: boolean, question: string, otherwise: string): Promise<void> {
  if (yes) return;
  const answer = (await terminal.ask?.(`${question} [y/N]`)) ?? '';
  if (!/^y(es)?$/i.test(answer)) throw new Failure(otherwise, EXIT.no);
}
