// The command line explains itself: every option of every command says what it is for.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

/** Each option of a command with what the help says about it, without choices and default. */
function helpOf(...command: string[]): [flag: string, text: string][] {
  const help = execFileSync(process.execPath, [main, ...command, '--help'], { encoding: 'utf8' });
  const options = help.slice(help.indexOf('Options:'), help.indexOf('Commands:') + 1 || undefined);
  return options
    .split(/^ {2}(?=-)/m)
    .slice(1)
    .map((entry) => {
      const [flag = '', ...text] = entry.split(/ {2,}|\n/);
      return [
        flag,
        text
          .join(' ')
          .replace(/\((choices|default).*/, '')
          .trim(),
      ];
    });
}

describe("hallpass's help", () => {
  for (const command of [[], ['release']]) {
    it(`says what each option of ${['hallpass', ...command].join(' ')} is for`, () => {
      const options = helpOf(...command);
      expect(options).to.have.length.above(3);
      for (const [flag, text] of options) expect(text, flag).to.match(/\w+ \w+/);
    });
  }
});
