// The tutorial does what it shows: its blocks run in order in one shell, as a reader pastes them.
import { execFile } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { binary } from '../../controlplane/binaries.ts';
import { type Supervisor, startSupervisor } from '../../controlplane/supervise.ts';
import { fences, page, root } from './pages.ts';
import { openShell, type Shell } from './shell.ts';

const command = join(root, 'test', 'controlplane', 'playground-command.ts');

/** Output without what differs from run to run: times, ages, uids, digests, widths of columns, and where the checkout is. */
function steady(output: string): string[] {
  return output
    .trim()
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UID')
    .replaceAll(/\b[0-9a-f]{40}\b/g, 'DIGEST')
    .replaceAll(/(?<= )(\d+[dhms])+$/gm, 'AGE')
    .replaceAll(/KUBECONFIG=\S*\.playground/g, 'KUBECONFIG=.playground')
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' ').trimEnd());
}

/** Each block to paste, with the output that the page shows for it. */
function steps(): { line: number; heading: string; block: string; shown: string | undefined }[] {
  const tutorial = page('docs/tutorial.md');
  const blocks = fences(tutorial);
  return blocks.flatMap(({ language, text, line }, index) => {
    if (language !== 'sh') return [];
    const next = blocks[index + 1];
    const above = tutorial.text.split('\n').slice(0, line);
    const heading = above.findLast((each) => each.startsWith('## ')) ?? '';
    return [{ line, heading: heading.slice(3), block: text, shown: next?.language === 'text' ? next.text : undefined }];
  });
}

describe('the tutorial', function () {
  this.timeout(90_000);
  let directory: string;
  let supervisor: Supervisor;
  let shell: Shell;

  before(async () => {
    // A checkout of its own: nobody's playground is disturbed. It is served from here, so that nothing of it outlives
    // this process, and `make up` finds it up already.
    directory = await mkdtemp(join(tmpdir(), 'hallpass-tutorial-'));
    supervisor = await startSupervisor(directory);
    for (const entry of await readdir(root)) {
      if (!entry.startsWith('.')) await symlink(join(root, entry), join(directory, entry));
    }
    const playground = join(directory, '.playground');
    await mkdir(playground);
    const { KUBECONFIG: _, ...environment } = process.env;
    const serving = new Promise<void>((resolve) => {
      const watcher = watch(playground, (_event, name) => {
        if (name !== 'control.sock') return;
        watcher.close();
        resolve();
      });
    });
    await supervisor.start({
      name: 'playground',
      command: '/bin/sh',
      arguments: ['-c', 'cd "$1" && shift && exec "$@"', 'sh', directory, process.execPath, command, 'serve', '1'],
      environment,
      logFile: join(directory, 'playground.log'),
    });
    await serving;
    const PATH = [dirname(await binary('kubectl')), environment.PATH].join(delimiter);
    shell = openShell(directory, { ...environment, PATH, MAKEFLAGS: '--no-print-directory' });
  });
  after(async () => {
    shell?.end();
    // Where the one that is served here ended, `make up` has started another, and only the last block ends that.
    if (directory) await promisify(execFile)(process.execPath, [command, 'down'], { cwd: directory });
    await supervisor?.end();
    await rm(directory, { recursive: true, force: true });
  });

  let failed = false;
  for (const { line, heading, block, shown } of steps()) {
    it(`shows what happens: ${heading} (line ${line})`, async function () {
      // Each builds on the one before.
      if (failed) return this.skip();
      failed = true;
      const { output, code } = await shell.run(block);
      const seen = steady(output.replace('It is up already.\n', ''));
      if (shown !== undefined) expect(seen, output).to.deep.equal(steady(shown));
      if (!shown?.includes('Error from server') && !shown?.endsWith('\nno')) expect(code, output).to.equal(0);
      failed = false;
    });
  }

  it('leaves nothing running, and no file', function () {
    if (failed) return this.skip();
    expect(existsSync(join(directory, '.playground', 'kubeconfig'))).to.equal(false);
    expect(existsSync(join(directory, 'look-around.yaml'))).to.equal(false);
  });
});
