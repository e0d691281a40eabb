// list: the grants of a namespace or of all, by their agents, with what each waits for.

import { isTerminal } from '../api/conditions.ts';
import { formatDuration } from '../api/duration.ts';
import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { printable } from '../text.ts';
import { type ClusterOptions, withCluster } from './cluster.ts';
import { explained } from './explained.ts';
import { EXIT, type ExitCode } from './failure.ts';
import { type Form, show } from './output.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Lists grants; those that have ended only where `ended` says so. */
export async function list(
  where: ClusterOptions,
  terminal: Terminal,
  o: { everywhere: boolean; ended: boolean; form: Form },
): Promise<ExitCode> {
  return withCluster(where, async (cluster) => {
    const all = await cluster.list(agentGrants, o.everywhere ? undefined : cluster.namespace);
    const grants = all
      .filter(({ status }) => o.ended || !isTerminal(status.phase))
      .sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
    const left = all.length - grants.length;
    const value = grants.map((grant) => ({
      namespace: grant.metadata.namespace,
      name: grant.metadata.name,
      agent: grant.spec?.agent,
      phase: grant.status.phase,
      expiresAt: grant.status.expiresAt,
      waitsFor: waitsFor(grant),
    }));
    show(terminal, o.form, value, () => {
      const scope = o.everywhere ? 'any namespace' : `namespace ${cluster.namespace}`;
      const more = left > 0 ? ` (${left} ended; --ended lists them, too)` : '';
      if (grants.length === 0) return [`There are no grants in ${scope}${more}.`];
      const now = cluster.clock.now().getTime();
      const rows = grants.map((grant) => [
        ...(o.everywhere ? [grant.metadata.namespace ?? ''] : []),
        grant.spec?.agent ?? '?',
        grant.metadata.name,
        grant.status.phase ?? '-',
        endOf(grant, now),
        waitsFor(grant) ?? '-',
      ]);
      const header = [...(o.everywhere ? ['NAMESPACE'] : []), 'AGENT', 'GRANT', 'PHASE', 'ENDS', 'WAITS FOR'];
      return table(
        header,
        rows.map((row) => row.map((cell) => printable(cell))),
        terminal.width,
      );
    });
    return EXIT.yes;
  });
}

function placeOf({ metadata, spec }: ParsedGrant): string {
  return [metadata.namespace, spec?.agent, metadata.name].join('\0');
}

function endOf({ status }: ParsedGrant, now: number): string {
  if (isTerminal(status.phase)) return status.endedAt ?? '-';
  const left = Date.parse(status.expiresAt ?? '') - now;
  if (Number.isNaN(left)) return '-';
  return left > 0 ? `in ${formatDuration(Math.ceil(left / 1000))}` : 'now';
}

/** Who has to act first; undefined where nobody has to. */
function waitsFor(grant: ParsedGrant): string | undefined {
  const { gates, reasons } = explained(grant);
  return [...gates.flatMap((gate) => gate.reasons), ...reasons][0]?.who;
}
