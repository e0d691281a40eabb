// Waits for what a process of hallpass says in its log; a file tells nobody when it grows in a way that every system shares.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { HallpassProcess } from '../controlplane/playground.ts';

/** Resolves with the log once it says that; rejects, with the log, when it doesn't within 20 s. */
export async function logged({ logFile }: Pick<HallpassProcess, 'logFile'>, says: RegExp): Promise<string> {
  const giveUp = performance.now() + 20_000;
  for (;;) {
    const text = await readFile(logFile, 'utf8');
    if (says.test(text)) return text;
    if (performance.now() > giveUp) throw new Error(`${says} isn't in the log:\n${text}`);
    await delay(30);
  }
}
