// The tutorial, block by block, as someone would paste it.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { binary } from '../../controlplane/binaries.ts';
import { type Playground, startPlayground } from '../../controlplane/playground.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const run = promisify(execFile);

/** The blocks to paste, each with what its end should print where the page shows it. */
function blocks(page: string): { code: string; shown: string | undefined }[] {
  const fenced = [...readFileSync(join(root, page), 'utf8').matchAll(/^```(sh|text)\n([\s\S]*?)^```$/gm)];
  return fenced.flatMap(([, language, code = ''], at) => {
    if (language !== 'sh') return [];
    const [, next, shown] = fenced[at + 1] ?? [];
    return [{ code, shown: next === 'text' ? shown : undefined }];
  });
}

describe('the tutorial', function () {
  this.timeout(120_000);
  let playground: Playground;
  let path: string;

  before(async () => {
    playground = await startPlayground();
    path = `${dirname(await binary('kubectl'))}:${process.env.PATH}`;
  });
  after(() => playground.stop());

  for (const { code, shown } of blocks('docs/tutorial.md')) {
    if (code.startsWith('export KUBECONFIG=')) continue;
    it(`runs: ${code.trim().split('\n').at(-1)}`, async () => {
      const env = { ...process.env, PATH: path, KUBECONFIG: playground.kubeconfig };
      const { stdout, stderr } = await run('bash', ['-euo', 'pipefail', '-c', code], { env, cwd: root });
      if (shown !== undefined)
        expect((stdout + stderr).trimEnd().endsWith(shown.trimEnd()), stdout + stderr).to.equal(true);
    });
  }
});
