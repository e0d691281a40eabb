// Waits for what a process of hallpass says in its log.
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { HallpassProcess } from '../controlplane/playground.ts';

/** Resolves with the log once it says that; rejects, with the log, when it doesn't within 20 s. */
export async function logged({ logFile }: Pick<HallpassProcess, 'logFile'>, says: RegExp): Promise<string> {
  const said = Promise.withResolvers<string>();
  const look = async () => {
    const text = await readFile(logFile, 'utf8');
    if (says.test(text)) said.resolve(text);
    return text;
  };
  const watcher = watch(logFile, () => void look().catch(said.reject));
  const late = setTimeout(() => {
    look().then((text) => said.reject(new Error(`${says} isn't in the log:\n${text}`)), said.reject);
  }, 20_000);
  try {
    // It may have been said before it was watched.
    await look();
    return await said.promise;
  } finally {
    clearTimeout(late);
    watcher.close();
  }
}
