#!/usr/bin/env node
// kubectl hallpass, the process: words come in, lines and an exit code go out.

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { openTerminal } from './terminal.ts';

// Compiling takes longer than most commands. What is kept is run as it is found, so it lies where only this user writes.
enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'hallpass', 'node'));

// Whoever reads the output may have seen enough, as `head` does.
process.stdout.on('error', () => process.exit());

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv.slice(2), openTerminal());
