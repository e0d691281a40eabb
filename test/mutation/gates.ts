// Takes each gate of the decision away, one at a time, and runs the decision's unit tests: one that none of them misses is
// tested by nothing. Prints which test missed it; exits with 1 when a gate went unmissed.
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** Where gates are listed, a line each: what comes before the first, what comes after the last. */
const lists = [
  { file: 'src/policy/gates.ts', from: 'const ASK: Record<Gate, Ask> = {', to: '};' },
  { file: 'src/policy/gates.ts', from: 'const stopGate: Ask = (input) => together(', to: ');\n' },
  { file: 'src/policy/policies.ts', from: '  return together(\n    unguarded', to: '  );' },
  { file: 'src/policy/authors.ts', from: '  return ofEach(AUTHORS, (author) => together(notAnswered', to: '));\n' },
  { file: 'src/policy/approvals.ts', from: '  return [...lines, ', to: '];' },
  { file: 'src/policy/decide.ts', from: '  return ended(snapshot) ?? stopped', to: '\n' },
];

type Mutant = { file: string; gate: string; source: string };

async function mutants(): Promise<Mutant[]> {
  const found: Mutant[] = [];
  for (const { file, from, to } of lists) {
    const source = await readFile(join(root, file), 'utf8');
    const start = source.indexOf(from);
    if (start < 0) throw new Error(`${file} has no list of gates that begins with ${JSON.stringify(from)}`);
    const end = source.indexOf(to, start + from.length);
    const list = source.slice(start, end);
    const without = (part: string, replacement: string) =>
      source.slice(0, start) + list.replace(part, replacement) + source.slice(end);
    // Functions called one after another, each of which may have the last word; or an entry of a list.
    const chain = [...list.matchAll(/(\w+)\(snapshot\) \?\? /g)].map(([part, gate = '']) => ({ part, gate }));
    const spread = [...list.matchAll(/\.\.\.(\w+)\([^()]*\)/g)].map(([part, gate = '']) => ({ part, gate }));
    const called = [...list.matchAll(/(?<!\.)\b(\w+)\((?:input|policies)[^()]*\)/g)].map(([part, gate = '']) => ({
      part,
      gate,
    }));
    const named = [...list.matchAll(/: (\w+),$/gm)].map(([part, gate = '']) => ({ part, gate }));
    for (const { part, gate } of chain) found.push({ file, gate, source: without(part, '') });
    for (const { part, gate } of named) found.push({ file, gate, source: without(part, ': () => [],') });
    for (const { part, gate } of spread) found.push({ file, gate, source: without(part, '...[]') });
    for (const { part, gate } of called) found.push({ file, gate, source: without(part, '[]') });
  }
  return found;
}

/** The first test that fails; undefined when all pass. */
async function firstFailure(checkout: string): Promise<string | undefined> {
  const mocha = join(root, 'node_modules/mocha/bin/mocha.js');
  const args = [mocha, '--bail', '--reporter=json', 'test/unit/policy/**/*.test.ts'];
  try {
    await run(process.execPath, args, { cwd: checkout, maxBuffer: 64 * 1024 * 1024 });
    return undefined;
  } catch (error) {
    const { stdout = '' } = Object(error);
    const at = String(stdout).indexOf('{\n');
    const report = JSON.parse(String(stdout).slice(at));
    return String(report.failures[0]?.fullTitle);
  }
}

const checkout = await mkdtemp(join(tmpdir(), 'hallpass-mutants-'));
try {
  for (const part of ['src', 'test', 'deploy', 'docs', 'package.json', '.mocharc.json']) {
    await cp(join(root, part), join(checkout, part), { recursive: true }).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'));
  const clean = await firstFailure(checkout);
  if (clean !== undefined) throw new Error(`the tests fail with every gate in place: ${clean}`);
  let unmissed = 0;
  for (const { file, gate, source } of await mutants()) {
    const original = await readFile(join(checkout, file), 'utf8');
    await writeFile(join(checkout, file), source);
    const missedBy = await firstFailure(checkout);
    await writeFile(join(checkout, file), original);
    if (missedBy === undefined) unmissed += 1;
    console.log(`${missedBy === undefined ? 'UNMISSED' : 'missed'}  ${file} ${gate}${missedBy ? `: ${missedBy}` : ''}`);
  }
  if (unmissed > 0) process.exitCode = 1;
} finally {
  await rm(checkout, { recursive: true, force: true });
}
