// Measures the figures that are named, or all, and writes bench/results: one file a figure, and the table of them all.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { Figure } from './figure.ts';
import { approval } from './figures/approval.ts';
import { burst } from './figures/burst.ts';
import { create } from './figures/create.ts';
import { deadMan } from './figures/dead-man.ts';
import { decide } from './figures/decide.ts';
import { guardrails } from './figures/guardrails.ts';
import { idle } from './figures/idle.ts';
import { lag } from './figures/lag.ts';
import { memory } from './figures/memory.ts';
import { one } from './figures/one.ts';
import { policyEdit } from './figures/policy-edit.ts';
import { signal } from './figures/signal.ts';
import { start } from './figures/start.ts';
import { writes } from './figures/writes.ts';
import { load, machine, revision } from './machine.ts';
import { endTenThousand } from './ten-thousand.ts';

// They follow one another in this order: idle, memory and start share their grants, and so do the two after them; the last of
// each changes them.
const withTenThousand = [idle, memory, start, policyEdit, guardrails];
const figures: Figure[] = [create, writes, lag, burst, ...withTenThousand, signal, one, approval, deadMan, decide];
const directory = join(import.meta.dirname, 'results');

const resultSchema = z.object({
  value: z.string(),
  met: z.boolean().optional(),
  details: z.array(z.tuple([z.string(), z.string()])),
  measuredAt: z.string(),
  revision: z.string(),
  load: z.number(),
  machine: z.object({ cores: z.string(), memory: z.string(), system: z.string(), versions: z.string() }),
});
type Result = z.infer<typeof resultSchema>;

const started = performance.now();
function progress(text: string): void {
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}

function chosen(names: string[]): Figure[] {
  const known = figures.map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no figure ${unknown.join(', ')}; there are ${known.join(', ')}`);
  return names.length === 0 ? figures : figures.filter(({ name }) => names.includes(name));
}

async function stored(name: string): Promise<Result | undefined> {
  try {
    return resultSchema.parse(JSON.parse(await readFile(join(directory, `${name}.json`), 'utf8')));
  } catch {
    return undefined;
  }
}

async function measure(figure: Figure): Promise<void> {
  const before = { measuredAt: new Date().toISOString(), revision: await revision(), load: load() };
  const measured = await figure.measure((text) => progress(`${figure.name}: ${text}`));
  const result: Result = { ...measured, ...before, machine: await machine() };
  await writeFile(join(directory, `${figure.name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
  progress(`${figure.name}: ${measured.value} (target ${figure.target}${verdict(measured.met)})`);
  for (const [label, value] of measured.details) progress(`${figure.name}:   ${label}: ${value}`);
}

function verdict(met: boolean | undefined): string {
  return met === undefined ? '' : met ? ', met' : ', missed';
}

/** The table of every figure that was ever measured here. */
async function writeTable(): Promise<void> {
  const lines = [
    '# Measured',
    '',
    'Written by `make bench`; `make bench FIGURE=name` measures one again. Each figure is taken within one run, on the',
    'control plane of the tests. Ratios carry over to other machines, times and rates less so.',
    '',
    '| figure | | target | measured | |',
    '|---|---|---|---|---|',
  ];
  const notes: string[] = [];
  for (const figure of figures) {
    const result = await stored(figure.name);
    const met = result?.met === undefined ? '' : result.met ? 'met' : '**missed**';
    lines.push(`| ${figure.name} | ${figure.title} | ${figure.target} | ${result?.value ?? 'not measured'} | ${met} |`);
    if (!result) continue;
    const { cores, memory: ram, system, versions } = result.machine;
    notes.push('', `## ${figure.name}`, '', figure.method, '');
    for (const [label, value] of result.details) notes.push(`- ${label}: ${value}`);
    notes.push(
      `- ${result.measuredAt.slice(0, 16)}Z, revision ${result.revision}, load before it ${result.load.toFixed(1)}; ${cores}, ${ram}, ${system}; ${versions}`,
    );
  }
  await writeFile(join(directory, 'README.md'), `${[...lines, ...notes].join('\n')}\n`);
}

// What a control plane's supervisor has to say doesn't keep this process alive.
const alive = setInterval(() => {}, 60_000);
try {
  for (const figure of chosen(process.argv.slice(2))) {
    if (!withTenThousand.includes(figure)) await endTenThousand();
    try {
      await measure(figure);
    } catch (error) {
      // The others can still be measured.
      progress(`${figure.name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
  await endTenThousand();
  await writeTable();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
clearInterval(alive);
process.exit();
