// Whatever happens to a grant, in whatever order: its phase moves along the lines of the diagram in docs/concepts.md.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { isTerminal, type Phase } from '../../../src/api/conditions.ts';
import type { ParsedReview } from '../../../src/api/review.ts';
import type { Answer } from '../../../src/cel/question.ts';
import { grantStatus } from '../../../src/controllers/grant-status.ts';
import { decide } from '../../../src/policy/decide.ts';
import { timestamp } from '../../../src/policy/schedule.ts';
import { isLive, type Snapshot } from '../../../src/policy/snapshot.ts';
import type { TaskView } from '../../../src/policy/task.ts';
import {
  evaluated,
  grant,
  mayReview,
  NOON,
  namespace,
  policy,
  receipt,
  review,
  signal,
  snapshot,
} from './snapshots.ts';

const concepts = readFileSync(join(import.meta.dirname, '../../../docs/concepts.md'), 'utf8');
const drawn = new Set(
  [...concepts.matchAll(/^ {2}(\S+) --> (\S+?)(?::.*)?$/gm)].map(([, from, to]) => `${from} --> ${to}`),
);

type Happening = (input: Snapshot) => Snapshot;

const of = (input: Snapshot, decision: string, at: number): ParsedReview => {
  const creationTimestamp = timestamp(NOON + at * 1000);
  const name = `${decision}-${at}`;
  return review(input.grant, { spec: { decision }, metadata: { name, uid: name, creationTimestamp } });
};
const reviewed =
  (decision: string): Happening =>
  (input) => {
    const made = of(input, decision, input.reviews.ofGrant.length);
    const ofGrant = [...input.reviews.ofGrant, made];
    return {
      ...input,
      reviews: { ofGrant, ofIdentity: [] },
      reviewers: mayReview(...ofGrant.map((each) => each.metadata.uid)),
    };
  };
const guarded =
  (spec: Record<string, unknown>): Happening =>
  (input) => ({ ...input, namespaces: new Map([['team-a', namespace({ policies: [policy(spec)] })]]) });
/** What the grant's own condition comes to from now on, whatever else changes. */
const comingTo =
  (answer: Answer | boolean): Happening =>
  (input) => {
    comesTo.set(input.grant.metadata.uid, answer);
    return input;
  };
const comesTo = new Map<string, Answer | boolean>();
const later =
  (ms: number): Happening =>
  (input) => ({ ...input, now: input.now + ms });

const task =
  (object: TaskView['object']): Happening =>
  (input) => ({ ...input, task: { object, first: undefined, problem: undefined } });

const signalled =
  (severity: string): Happening =>
  (input) => ({ ...input, signals: [...input.signals, signal({ spec: { severity } })] });

const happenings: Record<string, Happening> = {
  second: later(1_000),
  'half a minute': later(30_000),
  hour: later(3600_000),
  week: later(7 * 24 * 3600_000),
  approve: reviewed('Approve'),
  deny: reviewed('Deny'),
  suspend: reviewed('Suspend'),
  resume: reviewed('Resume'),
  revoke: reviewed('Revoke'),
  'condition true': comingTo(true),
  'condition false': comingTo(false),
  'condition failing': comingTo({ kind: 'failed', message: 'a test' }),
  'approvals wanted': guarded({ approvals: [{ why: 'a test', count: 1 }] }),
  frozen: guarded({ freeze: { reason: 'a test' } }),
  'signals answered': guarded({
    responses: [
      { signal: 'Incident', severity: 'High', action: 'Suspend' },
      { signal: 'Incident', severity: 'Critical', action: 'Revoke' },
    ],
    reporters: { groups: ['sre'] },
  }),
  'grave signal': signalled('High'),
  'critical signal': signalled('Critical'),
  'signals lifted': (input) => ({ ...input, signals: [] }),
  'policies as before': guarded({}),
  'agent gone': (input) => ({ ...input, identity: undefined }),
  'agent there': (input) => ({ ...input, identity: snapshot().identity }),
  'authors lack': (input) => ({
    ...input,
    authorsCovered: false,
    authorsLack: { creator: ['get pods'], requester: [] },
  }),
  'authors hold': (input) => ({ ...input, authorsCovered: true, authorsLack: { creator: [], requester: [] } }),
  'nobody says what authors hold': (input) => ({ ...input, authorsCovered: false, authorsLack: undefined }),
  deleted: (input) => ({
    ...input,
    grant: { ...input.grant, metadata: { ...input.grant.metadata, deletionTimestamp: timestamp(input.now) } },
  }),
  'receipt deleted': (input) => ({ ...input, receipt: undefined }),
  'task seen': task({ uid: 'task-uid', ended: undefined }),
  'task finished': task({ uid: 'task-uid', ended: 'Complete' }),
  'task gone': task(undefined),
  'status wiped': (input) => ({ ...input, grant: { ...input.grant, status: {} } }),
};

/** What hallpass does about a verdict, as far as the next one can see: receipt and status. */
function followed(input: Snapshot): { phase: Phase; next: Snapshot } {
  const verdict = decide(evaluated(input, () => comesTo.get(input.grant.metadata.uid) ?? true));
  const gives = verdict.phase === 'Active' && !isLive(input) && verdict.term;
  const issued = gives
    ? receipt(input.grant, {
        spec: { startTime: timestamp(gives.start), expiresAt: timestamp(gives.end) },
      })
    : input.receipt;
  const own = issued?.spec?.grant.uid === input.grant.metadata.uid && issued.status.outcome === undefined;
  const outcome = verdict.phase === 'Expired' ? ('Expired' as const) : ('Revoked' as const);
  const closed = issued && own && isTerminal(verdict.phase) ? { ...issued, status: { outcome } } : issued;
  const status = grantStatus(
    input.grant,
    {
      phase: verdict.phase,
      reasons: verdict.reasons,
      warnings: verdict.warnings,
      gates: verdict.gates,
      decision: undefined,
      settled: true,
      specHash: input.hash,
      term: own
        ? { start: Date.parse(issued?.spec?.startTime ?? ''), end: Date.parse(issued?.spec?.expiresAt ?? '') }
        : undefined,
      receipt: own ? issued?.metadata.name : undefined,
      approvals: verdict.approvals,
      task: verdict.task,
      created: [],
      deadMan: undefined,
      passingSince: verdict.passingSince,
    },
    input.now,
  );
  return { phase: verdict.phase, next: { ...input, receipt: closed, grant: { ...input.grant, status } } };
}

describe('the phase of a grant', () => {
  const seen = new Set<string>();

  it('moves along the lines of the diagram only, whatever happens', () => {
    const beginnings = fc.constantFrom<Record<string, unknown>>(
      {},
      { notBefore: timestamp(NOON + 60_000) },
      { notAfter: timestamp(NOON + 7200_000) },
      { endsWith: { kind: 'Job', name: 'rollout' } },
      { endsWith: { kind: 'Job', name: 'rollout' }, notBefore: timestamp(NOON + 60_000) },
    );
    const restrictions = fc.constantFrom<Record<string, unknown>>(
      ...Array.from({ length: 6 }, () => ({})),
      { conditions: [{ name: 'so', expression: 'own' }] },
      { conditions: [{ name: 'so', expression: 'own', onFalse: 'Revoke' }] },
      { windows: [{ from: '00:00', to: '12:30', timeZone: 'UTC' }] },
    );
    const happening = fc.constantFrom(...Object.entries(happenings));
    const before = fc.array(happening, { maxLength: 2 });
    const after = fc.array(happening, { maxLength: 12 });
    fc.assert(
      fc.property(beginnings, restrictions, before, after, (validity, restricted, already, all) => {
        comesTo.clear();
        const asked = grant({ spec: { validity: { duration: '1h', ...validity }, ...restricted } });
        const found = already.reduce((input, [, happens]) => happens(input), snapshot({ grant: asked, intact: true }));
        let { phase, next } = followed(found);
        expect(drawn).to.include(`[*] --> ${phase}`);
        seen.add(`[*] --> ${phase}`);
        for (const [name, happens] of all) {
          const happened = happens(next);
          // Who wiped the status knows what it said; the diagram speaks of what it says.
          const from = happened.grant.status.phase;
          ({ phase, next } = followed(happened));
          if (from === undefined || from === phase) continue;
          expect(drawn, `after ${name}`).to.include(`${from} --> ${phase}`);
          seen.add(`${from} --> ${phase}`);
        }
      }),
      { numRuns: 10_000, seed: 1 },
    );
  }).timeout(180_000);

  it('takes every line of the diagram at some time', () => {
    const ends = /^(Expired|Revoked|Denied) --> \[\*\]$/;
    expect([...drawn].filter((line) => !ends.test(line) && !seen.has(line))).to.deep.equal([]);
  });
});
