// How many decisions one core makes in a second.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { type ParsedPolicy, parsePolicy } from '../../src/api/policy.ts';
import { keepOnce } from '../../src/controllers/kept-once.ts';
import { decide as decided } from '../../src/policy/decide.ts';
import type { PolicyRule } from '../../src/policy/rules.ts';
import type { Snapshot } from '../../src/policy/snapshot.ts';
import { grant, namespace, snapshot } from '../../test/unit/policy/snapshots.ts';
import { percentile } from '../distribution.ts';
import type { Figure } from '../figure.ts';

const target = 200_000;
/** Each a grant of its own, as an edit of a policy finds them. */
const grants = 10_000;
const rounds = 41;

const rules = z.array(
  z.record(z.string(), z.array(z.string())).transform((rule): PolicyRule => ({ verbs: [], ...rule })),
);
const fixture = z.object({
  permissions: z.array(z.unknown()),
  ceiling: rules,
  policies: z.record(z.string(), z.record(z.string(), z.unknown())),
});
const root = join(import.meta.dirname, '..', '..');
const yaml = async (path: string): Promise<unknown> => parse(await readFile(join(root, path), 'utf8'));

async function snapshots(): Promise<Snapshot[]> {
  const { permissions, ceiling, policies } = fixture.parse(await yaml('bench/fixtures/decision.yaml'));
  const own = Object.entries(policies).map(([name, spec]) =>
    parsePolicy({ metadata: { name, uid: name }, spec: { namespaceSelector: {}, ...spec } }),
  );
  const all: ParsedPolicy[] = [parsePolicy(await yaml('deploy/policy/default.yaml')), ...own];
  for (const { metadata, invalid } of all) if (invalid) throw new Error(`AgentPolicy ${metadata.name}: ${invalid}`);
  const namespaces = new Map([['team-a', namespace({ ceiling, policies: all })]]);
  const kept = keepOnce();
  return Array.from({ length: grants }, (_, at) => {
    const read = grant({
      metadata: { name: `grant-${at}`, uid: `${at}` },
      // Parsed from text, as each of them comes: what it shares with others, it shares by the cache.
      spec: { permissions: JSON.parse(JSON.stringify(permissions)) },
    });
    return snapshot({ namespaces, grant: kept.inGrant(read) });
  });
}

export const decide: Figure = {
  name: 'decide',
  title: 'pure decisions a second on one core: a grant with 10 permissions under 5 policies',
  target: `≥ ${target.toLocaleString('en')}`,
  method: `${grants.toLocaleString('en')} grants, each an object of its own that has been through the cache, which keeps equal permissions once, decided once each in a round; the median of ${rounds} rounds after one to warm up. The fixture is bench/fixtures/decision.yaml.`,
  async measure(progress) {
    const all = await snapshots();
    let first = 0;
    const rates: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const from = performance.now();
      for (const snapshot of all) {
        const { phase, reasons } = decided(snapshot);
        if (phase !== 'Active') throw new Error(`the fixture is ${phase}: ${reasons[0]?.message}`);
      }
      const rate = grants / ((performance.now() - from) / 1000);
      progress(`round ${round}: ${Math.round(rate).toLocaleString('en')} a second`);
      if (round === 0) first = rate;
      else rates.push(rate);
    }
    const median = percentile(rates, 0.5);
    return {
      value: `${Math.round(median).toLocaleString('en')}`,
      met: median >= target,
      details: [
        ['the first round, cold and with nothing remembered', `${Math.round(first).toLocaleString('en')}`],
        [
          'slowest and fastest round',
          `${Math.round(Math.min(...rates)).toLocaleString('en')} and ${Math.round(Math.max(...rates)).toLocaleString('en')}`,
        ],
      ],
    };
  },
};
