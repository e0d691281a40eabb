// How soon hallpass is ready after a start with many grants, and has withdrawn what lapsed while it was down.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { LABELS } from '../../src/api/names.ts';
import { roleBindings } from '../../src/kube/kinds.ts';
import { seconds } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower } from '../follower.ts';
import { quiet } from '../metrics.ts';
import { residentMegabytes } from '../processes.ts';
import { GRANTS, LAPSING, tenThousandGrants } from '../ten-thousand.ts';

const [readyTargetMs, revokedTargetMs] = [5_000, 10_000];

const logged = z.object({ message: z.string(), timestamp: z.string() });

/** What a process that was started at `from` has said on its way so far, and how long after it did. */
async function milestones(logFile: string, from: number): Promise<[string, string][]> {
  const lines = (await readFile(logFile, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => logged.parse(JSON.parse(line)));
  const wanted = [
    'hallpass starts',
    'what takes access away is known; waiting for the lease',
    'leads',
    'all that a decision rests on is known; grants are given from now on',
  ];
  return wanted.flatMap((message): [string, string][] => {
    const line = lines.find((each) => each.message === message && Date.parse(each.timestamp) >= from);
    return line ? [[`"${message}"`, `after ${seconds(Date.parse(line.timestamp) - from)}`]] : [];
  });
}

export const start: Figure = {
  name: 'start',
  title: `start (lease released) to ready with ${GRANTS.toLocaleString('en')} grants of which ${LAPSING.toLocaleString('en')} lapsed while it was down; and until those are revoked`,
  target: '≤ 5 s, ≤ 10 s',
  method:
    'hallpass is stopped by SIGTERM shortly before the grants end and started right after, too soon for their dead-man Jobs. From the start of the process until /readyz is ready, which since decision 10 is before Receipts, Jobs and Roles are listed (figures from before it waited for those, too), and until a watch shows the last of their bindings gone.',
  async measure(progress) {
    const { lab, lapseAt } = await tenThousandGrants(progress, { lapsing: LAPSING });
    const { hallpass } = lab;
    const bindings = await Follower.start(lab.admin, roleBindings, {
      labelSelector: LABELS.grant,
      stateOf: () => 'present',
    });
    await bindings.until(() => bindings.count('present') >= GRANTS, 'the bindings to be there');
    const left = lapseAt - 3_000 - Date.now();
    if (left < 0) throw new Error('the grants that were to lapse now have lapsed already');
    progress(`${Math.round(left / 1000)} s until ${LAPSING} of them end`);
    await delay(left);
    await hallpass.stop();
    await delay(lapseAt + 500 - Date.now());
    const from = Date.now();
    await hallpass.restart();
    const readyMs = Date.now() - from;
    progress(`ready after ${seconds(readyMs)}`);
    await bindings.until(() => bindings.goneAt.size >= LAPSING, 'bindings to go');
    const revokedMs = Math.max(...bindings.goneAt.values()) - from;
    bindings.stop();
    const resident = await residentMegabytes(hallpass.pid);
    await quiet(hallpass.healthUrl, 10_000);
    return {
      value: `${seconds(readyMs)}, ${seconds(revokedMs)}`,
      met: readyMs <= readyTargetMs && revokedMs <= revokedTargetMs,
      details: [
        ...(await milestones(hallpass.logFile, from)),
        ['resident memory right after', `${resident.toFixed(0)} MB`],
      ],
    };
  },
};
