// Turns the sources into the JavaScript that an image runs: Node strips types itself, but what does that stays in memory,
// 28 MB of it.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';

const sourceName = /\.ts$/;
/** A module of our own, by its relative name, in an import, an export, an `import()`, or the URL of a thread's. */
const ownModule = /((?:\bfrom|\bimport|\bnew URL)\s*\(?\s*)(['"])(\.\.?\/[^'"\n]+)\.ts\2/g;

/** Writes every `.ts` under `from` as `.js` under `to`. Lines and columns stay what they were. */
export function stripTypes(from: string, to: string): void {
  for (const path of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (!sourceName.test(path)) continue;
    const code = stripTypeScriptTypes(readFileSync(join(from, path), 'utf8'));
    const target = join(to, path.replace(sourceName, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, code.replace(ownModule, '$1$2$3.js$2'));
  }
}
