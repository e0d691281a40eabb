// lint: what would stand against manifests, before they are applied. It asks no cluster.

import { join } from 'node:path';
import { EXIT, type ExitCode } from './failure.ts';
import { count, type Report, reported } from './findings.ts';
import { judge } from './judged.ts';
import { readManifests } from './manifests.ts';
import type { Terminal } from './terminal.ts';

const deploy = join(import.meta.dirname, '..', '..', 'deploy');

/** What ships and decides with what an admin adds: the default policy, and the ceiling. */
const SHIPPED = [join(deploy, 'policy', 'default.yaml'), join(deploy, 'cluster', 'ceiling.yaml')];

/** Judges manifests; with errors the answer is no. */
export async function lint(
  terminal: Terminal,
  o: { paths: string[]; namespace: string | undefined; report: Report },
): Promise<ExitCode> {
  const { manifests, unreadable } = await readManifests(o.paths);
  const shipped = (await readManifests(SHIPPED)).manifests;
  const judged = [
    ...unreadable.map(({ file, line, message }) => ({
      file,
      line,
      object: 'document',
      findings: [{ level: 'error' as const, rule: 'Unreadable', message }],
    })),
    ...judge(manifests, { shipped, namespace: o.namespace ?? 'default', now: Date.now() }),
  ];
  for (const line of reported(judged, o.report, terminal.width)) terminal.print(line);
  return count(judged, 'error') > 0 ? EXIT.no : EXIT.yes;
}
