#!/usr/bin/env node
// kubectl hallpass, the process: words come in, lines and an exit code go out.

import { run } from './program.ts';
import { openTerminal } from './terminal.ts';

// Whoever reads the output may have seen enough, as `head` does.
process.stdout.on('error', () => process.exit());

process.exitCode = await run(process.argv.slice(2), openTerminal());
