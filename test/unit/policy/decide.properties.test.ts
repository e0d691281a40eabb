// Laws of the decision, over generated snapshots.

import { expect } from 'chai';
import fc from 'fast-check';
import type { ParsedGrant } from '../../../src/api/grant.ts';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import type { Answer } from '../../../src/cel/question.ts';
import { decide } from '../../../src/policy/decide.ts';
import { isRefused } from '../../../src/policy/policies.ts';
import { covers, type PolicyRule } from '../../../src/policy/rules.ts';
import { isLive, type NamespaceView, type Snapshot, viewOf } from '../../../src/policy/snapshot.ts';
import type { TaskView } from '../../../src/policy/task.ts';
import {
  agentReview,
  evaluated,
  grant,
  identity,
  MINUTE,
  mayReview,
  NOON,
  policy,
  receipt,
  review,
  signal,
  snapshot,
} from './snapshots.ts';

const inNamespaces: fc.Arbitrary<PolicyRule & { namespaces?: string[] }> = fc.record({
  verbs: fc.subarray(['get', 'list', 'watch', '*'], { minLength: 1 }),
  apiGroups: fc.oneof(
    { weight: 12, arbitrary: fc.subarray(['', 'apps'], { minLength: 1 }) },
    fc.constant('*').map((name) => [name]),
  ),
  resources: fc.oneof(
    { weight: 12, arbitrary: fc.subarray(['pods', 'configmaps', 'deployments'], { minLength: 1 }) },
    fc.constantFrom('serviceaccounts', '*').map((name) => [name]),
  ),
  namespaces: fc.option(fc.subarray(['team-a', 'team-b'], { minLength: 1 }), { nil: undefined }),
});

// Every verb is never given in the whole cluster, so there it is rare.
const inCluster = fc.tuple(inNamespaces, fc.constantFrom(true, false, false, false)).map(([one, wild]) => {
  const verbs = wild ? one.verbs : ['get', ...one.verbs.filter((verb) => verb !== '*' && verb !== 'get')];
  return { ...one, verbs, namespaces: undefined, scope: 'Cluster' as const };
});

const permission: fc.Arbitrary<PolicyRule & { namespaces?: string[]; scope?: 'Cluster' }> = fc.oneof(
  { weight: 4, arbitrary: inNamespaces },
  { weight: 1, arbitrary: inCluster },
);

const validity = fc
  .record({
    duration: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
    notAfter: fc.option(fc.integer({ min: -10, max: 300 }), { nil: undefined }),
  })
  .filter(({ duration, notAfter }) => duration !== undefined || notAfter !== undefined)
  .map(({ duration, notAfter }) => ({
    ...(duration === undefined ? {} : { duration: `${duration}m` }),
    ...(notAfter === undefined ? {} : { notAfter: new Date(NOON + notAfter * MINUTE).toISOString() }),
  }));

const everything = { why: 'a test', verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
const everywhere = [everything, { ...everything, scope: 'Cluster' }];

const line = inNamespaces.map(({ namespaces: _, ...rule }) => ({ why: 'a test', ...rule }));

const policySpec = fc
  .record({
    deny: fc.array(
      fc.tuple(line, fc.boolean()).map(([rule, unlessAllowed]) => ({ ...rule, unlessAllowed })),
      {
        maxLength: 2,
      },
    ),
    allow: fc.array(
      fc.tuple(line, fc.constantFrom(undefined, 'Cluster')).map(([rule, scope]) => ({ ...rule, scope })),
      { maxLength: 2 },
    ),
    limits: fc.record({
      maxGrantDuration: fc.constantFrom('10m', '2h'),
      maxActiveGrants: fc.integer({ min: 1, max: 3 }),
    }),
    freeze: fc.constantFrom(undefined, undefined, undefined, { reason: 'an incident' }),
    approvals: fc.constantFrom(
      undefined,
      undefined,
      [{ why: 'a test', count: 1 }],
      [{ why: 'a test', count: 2 }],
      [{ why: 'a test', count: 1, when: 'risky' }],
    ),
    conditions: fc.constantFrom(undefined, undefined, undefined, [
      { name: 'so', why: 'a test', expression: 'of policy' },
    ]),
    requesterCheck: fc.constantFrom(undefined, undefined, 'AtIssue', 'Off'),
    pipelines: fc.constantFrom(
      undefined,
      undefined,
      [{ subjects: [{ kind: 'User', name: 'jane' }], ownerGroups: ['team-a'] }],
      [{ subjects: [{ kind: 'Group', name: 'team-a' }], ownerGroups: ['others'], review: 'Waived' }],
    ),
    responses: fc.array(
      fc.record({
        signal: fc.constantFrom('Incident', 'Risk'),
        severity: fc.constantFrom('Low', 'High'),
        action: fc.constantFrom('Suspend', 'Suspend', 'Revoke'),
      }),
      { maxLength: 2 },
    ),
    reporters: fc.constantFrom(undefined, { groups: ['sre'] }),
    enforcement: fc.constantFrom('Enforce', 'Enforce', 'Warn'),
  })
  .map((spec): Record<string, unknown> => JSON.parse(JSON.stringify(spec)));

const view: fc.Arbitrary<NamespaceView> = fc.record({
  terminating: fc.constantFrom(false, false, false, false, false, true),
  acceptsGrantsFrom: fc.constantFrom('team-a', 'team-a', 'team-c').map((name) => [name]),
  // Half of them allow everything, so that other gates get their turn.
  ceiling: fc.oneof(
    { weight: 6, arbitrary: fc.constant<PolicyRule[]>([{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]) },
    fc.array(
      permission.map(({ namespaces: _, ...rule }) => rule),
      { maxLength: 3 },
    ),
    fc.constant<PolicyRule[] | undefined>(undefined),
  ),
  labels: fc.constant({}),
  dataSensitivity: fc.constantFrom(undefined, undefined, 'public', 'confidential'),
  // Most allow every wildcard, so that other gates get their turn.
  policies: fc.oneof(
    { weight: 5, arbitrary: fc.constant<ParsedPolicy[]>([policy({ allow: everywhere })]) },
    {
      weight: 2,
      arbitrary: fc.constant<ParsedPolicy[]>([policy({ allow: everywhere, approvals: [{ why: 'a test', count: 1 }] })]),
    },
    {
      weight: 2,
      arbitrary: fc
        .array(policySpec, { maxLength: 2 })
        .map((specs) => specs.map((spec, at) => policy(spec, `policy-${at}`))),
    },
  ),
});

const facts = fc
  .record({
    name: fc.constantFrom('one', 'two', 'three'),
    namespace: fc.constantFrom('team-a', 'team-b', 'hallpass-system'),
    signal: fc.constantFrom('Incident', 'Risk'),
    severity: fc.constantFrom('Low', 'High'),
    minute: fc.integer({ min: 1, max: 59 }),
    group: fc.constantFrom('sre', 'dev'),
  })
  .map(({ name, namespace, minute, group, ...fact }) =>
    signal({
      metadata: { name, namespace, uid: name },
      spec: { ...fact, expiresAt: new Date(NOON + minute * MINUTE).toISOString() },
      reporter: { groups: [group] },
    }),
  );

const agent = fc
  .record({
    maxGrantDuration: fc.option(fc.constantFrom('10m', '1h', '2h'), { nil: undefined }),
    maxActiveGrants: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    namespaces: fc.option(fc.constantFrom(['team-a'], ['team-a', 'team-b']), { nil: undefined }),
    clusterScope: fc.constantFrom(true, true, true, false, undefined),
  })
  .chain((boundary) =>
    fc.constantFrom(undefined, undefined, { every: '20m' }, { every: '40m' }).map((review) => {
      const spec = JSON.parse(JSON.stringify({ boundary, review }));
      return identity({ spec, metadata: { creationTimestamp: '2026-03-01T12:00:00Z' } });
    }),
  );

const conditions = fc.constantFrom(
  undefined,
  undefined,
  [{ name: 'so', expression: 'own' }],
  [{ name: 'so', expression: 'own', onFalse: 'Revoke' }],
);

/** Noon is on a Sunday. */
const windows = fc.constantFrom(
  undefined,
  undefined,
  [{ from: '11:30', to: '12:30', timeZone: 'UTC' }],
  [{ days: ['Sun'], from: '13:00', to: '14:00', timeZone: 'Europe/Berlin' }],
  [{ days: ['Mon'], from: '22:00', to: '01:00', timeZone: 'America/New_York' }],
);

const answer: fc.Arbitrary<Answer> = fc.constantFrom<Answer>(
  { kind: 'value', value: true },
  { kind: 'value', value: true },
  { kind: 'value', value: false },
  { kind: 'failed', message: 'a test', retryAt: NOON + 90 * MINUTE },
  { kind: 'invalid', message: 'a test', line: 1, column: 1 },
);

const snapshots: fc.Arbitrary<Snapshot> = fc
  .record({
    conditions,
    windows,
    answers: fc.record({ own: answer, 'of policy': answer, risky: answer }),
    permissions: fc.array(permission, { minLength: 1, maxLength: 3 }),
    validity,
    phase: fc.constantFrom(undefined, undefined, 'Pending', 'Active', 'Active', 'Suspended', 'Expired', 'Denied'),
    deleted: fc.constantFrom(false, false, false, false, false, true),
    receipt: fc.constantFrom('none', 'none', 'own', 'own', 'another', 'ended'),
    identity: fc.option(agent, { nil: undefined }),
    views: fc.record({ 'team-a': view, 'team-b': view }),
    cluster: view,
    activeBefore: fc.integer({ min: 0, max: 3 }),
    covered: fc.boolean(),
    lacks: fc.oneof(
      { weight: 3, arbitrary: fc.constant<string[]>([]) },
      fc.constant('get pods').map((text) => [text]),
    ),
    guardProblems: fc.oneof(
      { weight: 3, arbitrary: fc.constant<string[]>([]) },
      fc.constant('gone').map((text) => [text]),
    ),
    intact: fc.boolean(),
    minute: fc.integer({ min: 0, max: 70 }),
    signals: fc.oneof(
      { weight: 2, arbitrary: fc.constant<ParsedSignal[]>([]) },
      fc.uniqueArray(facts, { maxLength: 2, selector: ({ metadata }) => `${metadata.namespace}/${metadata.name}` }),
    ),
    decisions: fc.constantFrom<string[]>(
      [],
      [],
      ['Approve'],
      ['Approve', 'Approve'],
      ['Suspend', 'Resume'],
      ['Suspend'],
    ),
  })
  .map((o) => {
    const { permissions, validity, conditions, windows } = o;
    const spec = JSON.parse(JSON.stringify({ permissions, validity, conditions, windows }));
    const { hash } = grant({ spec });
    const metadata = o.deleted ? { deletionTimestamp: '2026-03-01T12:00:00Z' } : {};
    const of = grant({ spec, metadata, status: o.phase ? { phase: o.phase, specHash: hash } : {} });
    const receipts = {
      none: undefined,
      own: receipt(of),
      another: receipt(of, { spec: { grant: { namespace: 'team-a', name: 'incident', uid: 'earlier' } } }),
      ended: receipt(of, { status: { outcome: 'Expired', endedAt: '2026-03-01T13:00:00Z' } }),
    };
    const all = snapshot({
      now: NOON + o.minute * MINUTE,
      grant: of,
      identity: o.identity,
      receipt: receipts[o.receipt],
      namespaces: new Map(Object.entries(o.views).map(([name, view]) => [name, named(name, view)])),
      cluster: { ...named('cluster', o.cluster), namespaces: new Map() },
      activeBefore: o.activeBefore,
      authorsLack: { creator: o.lacks, requester: o.lacks },
      authorsCovered: o.covered,
      guardProblems: o.guardProblems,
      intact: o.intact,
      reviews: { ofGrant: o.decisions.map((decision, at) => reviewed(of, decision, `reviewer-${at}`)), ofIdentity: [] },
      signals: o.signals,
      reviewers: mayReview('reviewer-0', 'reviewer-1', 'one-more'),
    });
    return evaluated(all, (expression) => new Map<string, Answer>(Object.entries(o.answers)).get(expression) ?? true);
  });

/** Where there is no policy that is enforced, one more is the guardrail that was missing. */
const lacksGuardrails = (input: Snapshot): boolean =>
  [...input.namespaces.values()].some(({ policies }) => policies.every(({ spec }) => spec?.enforcement === 'Warn'));

/** With the same answers as before, and for what is new with these. */
const again = (input: Snapshot, before: Snapshot, comesTo: Answer | boolean = true): Snapshot =>
  evaluated(input, (expression) => before.answers?.flatMap(({ of }) => of.get(expression) ?? [])[0] ?? comesTo);

/** A review by somebody, of what stands there; those with later names are later. */
const reviewed = (of: ParsedGrant, decision: string, by: string) => {
  const creationTimestamp = `2026-03-01T11:0${by.at(-1)?.replace(/\D/, '9')}:00Z`;
  return review(of, {
    spec: { decision },
    metadata: { name: by, uid: by, creationTimestamp },
    reviewer: { username: by },
  });
};

const taskView: fc.Arbitrary<TaskView> = fc.record({
  object: fc.constantFrom(
    undefined,
    { uid: 'task-uid', ended: undefined },
    { uid: 'task-uid', ended: 'Complete' },
    { uid: 'another-uid', ended: undefined },
  ),
  first: fc.constantFrom(undefined, 'task-uid'),
  problem: fc.constantFrom(undefined, undefined, 'it was not read yet'),
});

/** The same request, but that it also ends with a task. */
const withTask = (input: Snapshot, task: TaskView): Snapshot => {
  const { spec } = input.grant;
  if (!spec) return input;
  const endsWith = { kind: 'Pod' as const, name: 'task' };
  return { ...input, task, grant: { ...input.grant, spec: { ...spec, validity: { ...spec.validity, endsWith } } } };
};

/** Policies of one name are one object, so that those of two namespaces have two. */
const named = (namespace: string, view: NamespaceView): NamespaceView => ({
  ...view,
  policies: view.policies.map((one) => ({
    ...one,
    metadata: { ...one.metadata, name: `${one.metadata.name}-${namespace}` },
  })),
});

/** The snapshot with one more policy in each place. */
const withPolicy = (input: Snapshot, more: ParsedPolicy): Snapshot => ({
  ...input,
  namespaces: new Map(
    [...input.namespaces].map(([name, view]) => [name, { ...view, policies: [...view.policies, more] }]),
  ),
  cluster: input.cluster && { ...input.cluster, policies: [...input.cluster.policies, more] },
});

const law = (holds: (input: Snapshot) => void) => () => fc.assert(fc.property(snapshots, holds), { numRuns: 500 });

describe('the decision, by law', () => {
  it(
    'gives access in phase Active only, and then what the ceiling of each place covers',
    law((input) => {
      const { phase, access } = decide(input);
      expect(access.length > 0).to.equal(phase === 'Active');
      for (const { namespace: name, rules } of access) {
        expect(covers(viewOf(input, name)?.ceiling ?? [], rules).covered).to.equal(true);
      }
    }),
  );

  it(
    'gives nothing in the whole cluster that no policy of the own namespace allows there, and no writing that none names',
    law((input) => {
      for (const { namespace: name, rules } of decide(input).access) {
        if (name !== undefined) continue;
        expect(input.identity?.spec?.boundary?.clusterScope).to.equal(true);
        const enforced =
          input.namespaces.get('team-a')?.policies.filter(({ spec }) => spec?.enforcement !== 'Warn') ?? [];
        const lines = enforced.flatMap(({ spec }) => spec?.allow?.filter(({ scope }) => scope === 'Cluster') ?? []);
        expect(covers(lines, rules).covered).to.equal(true);
        for (const { verbs } of rules) expect(['get', 'list', 'watch']).to.include.members(verbs);
      }
    }),
  );

  it(
    'always says why',
    law((input) => {
      const { reasons } = decide(input);
      expect(reasons).to.not.be.empty;
      for (const { message } of reasons) expect(message).to.not.equal('');
    }),
  );

  it(
    'never moves the end of a live grant, whatever the time',
    law((input) => {
      if (!isLive(input)) return;
      const { term } = decide(input);
      if (term) expect(term.end).to.equal(NOON + 60 * MINUTE);
    }),
  );

  it(
    'gives a grant that is not live an end no later than it asks for',
    law((input) => {
      const { term } = decide(input);
      const notAfter = input.grant.spec?.validity.notAfter;
      if (term && notAfter && !isLive(input)) expect(term.end).to.be.at.most(Date.parse(notAfter));
    }),
  );

  it('gives no more to an agent that is to be certified, and the more often the less', () => {
    const certifiedEvery = (input: Snapshot, every: string): Snapshot => {
      const { identity: of } = input;
      return of?.spec ? { ...input, identity: { ...of, spec: { ...of.spec, review: { every } } } } : input;
    };
    fc.assert(
      fc.property(
        snapshots,
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 0, max: 80 }),
        (input, minutes, more) => {
          const often = decide(certifiedEvery(input, `${minutes}m`));
          const seldom = decide(certifiedEvery(input, `${minutes + more}m`));
          if (often.phase === 'Active') expect(seldom.phase).to.equal('Active');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('gives no more, and nothing for longer, to a grant that also ends with a task', () => {
    fc.assert(
      fc.property(snapshots, taskView, (input, task) => {
        const [without, ending] = [decide(input), decide(withTask(input, task))];
        if (without.phase !== 'Active') expect(ending.phase).to.not.equal('Active');
        if (without.term && ending.term) expect(ending.term.end).to.be.at.most(without.term.end);
        if (task.object?.ended) expect(ending.access).to.deep.equal([]);
      }),
      { numRuns: 500 },
    );
  });

  it(
    'does not let a request through that an earlier grant used',
    law((input) => {
      if (input.receipt && !isLive(input)) expect(decide(input).phase).to.be.oneOf(['Denied', 'Expired', 'Revoked']);
    }),
  );

  it(
    'gives nothing in the past of its next check that it would not give then',
    law((input) => {
      const { phase, nextCheck } = decide(input);
      if (nextCheck === undefined) return;
      // Time alone changes nothing before the next check.
      const later = Math.max(input.now, nextCheck - 1);
      if (phase === 'Active' && isLive(input)) expect(decide({ ...input, now: later }).phase).to.equal('Active');
    }),
  );

  it(
    'gives no more when something is added that stands against it',
    law((input) => {
      if (decide(input).phase === 'Active') return;
      for (const worse of [
        { ...input, identity: undefined },
        { ...input, cluster: undefined },
        { ...input, activeBefore: input.activeBefore + 1 },
        { ...input, guardProblems: [...input.guardProblems, 'another'] },
        { ...input, recordsGoing: true },
        {
          ...input,
          namespaces: new Map([...input.namespaces].map(([name, view]) => [name, { ...view, ceiling: [] }])),
          cluster: input.cluster && { ...input.cluster, ceiling: [] },
        },
        {
          ...input,
          namespaces: new Map([...input.namespaces].map(([name, view]) => [name, { ...view, policies: [] }])),
        },
        { ...input, authorsLack: { creator: ['x'], requester: ['x'] } },
      ]) {
        expect(decide(worse).phase).to.not.equal('Active');
      }
    }),
  );

  it(
    'gives no more for what somebody stops, or for the word of who wrote the request',
    law((input) => {
      if (decide(input).phase === 'Active') return;
      const { ofGrant, ofIdentity } = input.reviews;
      const own = (decision: string) =>
        review(input.grant, { spec: { decision }, metadata: { uid: 'one-more' }, reviewer: { username: 'jane' } });
      for (const more of [
        ...['Suspend', 'Revoke', 'Deny'].map((decision) => reviewed(input.grant, decision, 'one-more')),
        own('Approve'),
        own('Resume'),
      ]) {
        expect(decide({ ...input, reviews: { ofGrant: [...ofGrant, more], ofIdentity } }).phase).to.not.equal('Active');
      }
      const agent = agentReview({ spec: { decision: 'Suspend' } });
      expect(decide({ ...input, reviews: { ofGrant, ofIdentity: [...ofIdentity, agent] } }).phase).to.not.equal(
        'Active',
      );
    }),
  );

  it('gives no more for a signal more, for an expiry that is later, or for a reporter whom nobody trusts', () => {
    fc.assert(
      fc.property(snapshots, facts, (input, more) => {
        if (decide(input).phase === 'Active') return;
        const later = (one: ParsedSignal): ParsedSignal =>
          one.spec ? { ...one, spec: { ...one.spec, expiresAt: '2026-03-02T12:00:00Z' } } : one;
        const distrusted = ({ stamps: _, ...one }: ParsedSignal): ParsedSignal => one;
        for (const signals of [[...input.signals, more], input.signals.map(later), input.signals.map(distrusted)]) {
          expect(decide({ ...input, signals }).phase).to.not.equal('Active');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives no more for a policy that denies, limits or freezes more, or wants more approvals', () => {
    fc.assert(
      fc.property(snapshots, policySpec, (input, { allow: _, enforcement: __, ...spec }) => {
        if (decide(input).phase === 'Active') return;
        if (lacksGuardrails(input)) return;
        expect(decide(again(withPolicy(input, policy(spec, 'one-more')), input)).phase).to.not.equal('Active');
      }),
      { numRuns: 500 },
    );
  });

  it(
    'is never Active where policies refuse it whatever else is true, by which hallpass goes before it decides',
    law((input) => {
      const refused = (one: Snapshot) => isRefused(one.grant, (place) => viewOf(one, place)?.policies ?? []);
      if (refused(input)) expect(decide(input).phase).to.not.equal('Active');
      const stopped = withPolicy(input, policy({ freeze: { reason: 'an incident' } }, 'one-more'));
      const denied = withPolicy(input, policy({ deny: [everything] }, 'one-more'));
      for (const edited of [stopped, denied]) {
        if (refused(edited)) expect(decide(edited).phase).to.not.equal('Active');
      }
      // These two are always seen ahead, where there is anything to refuse.
      if (input.namespaces.size > 0) expect(refused(stopped)).to.equal(true);
      const reached = decide(input).access.some(({ namespace }) => namespace !== undefined);
      if (reached) expect(refused(denied)).to.equal(true);
    }),
  );

  it('gives no more for one more condition, of the grant or of a policy, or for windows where there were none', () => {
    const restricting = fc.record({
      onFalse: fc.constantFrom('Suspend', 'Revoke'),
      comesTo: answer,
      windows,
    });
    fc.assert(
      fc.property(snapshots, restricting, (input, { onFalse, comesTo, windows }) => {
        if (decide(input).phase === 'Active' || !input.grant.spec) return;
        const one = { name: 'one-more', why: 'a test', expression: 'one more', onFalse: onFalse as 'Suspend' };
        const weighed = (more: Snapshot) => decide(again(more, input, comesTo)).phase;
        const { spec } = input.grant;
        const own = { ...input.grant, spec: { ...spec, conditions: [...(spec.conditions ?? []), one] } };
        expect(weighed({ ...input, grant: own })).to.not.equal('Active');
        if (!lacksGuardrails(input)) {
          expect(weighed(withPolicy(input, policy({ conditions: [one] }, 'one-more')))).to.not.equal('Active');
        }
        const hours = grant({ spec: JSON.parse(JSON.stringify({ windows })) }).spec?.windows;
        if (!spec.windows && hours) {
          expect(weighed({ ...input, grant: { ...input.grant, spec: { ...spec, windows: hours } } })).to.not.equal(
            'Active',
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it(
    'is Active and Revoked by no expression that fails, does not compile, or was not evaluated',
    law((input) => {
      const before = decide(input);
      if (before.phase !== 'Active' && before.reasons[0]?.reason !== 'ConditionFalse') return;
      for (const bad of [
        { kind: 'failed', message: 'a test' },
        { kind: 'invalid', message: 'a test', line: 1, column: 1 },
      ] satisfies Answer[]) {
        const { phase, reasons } = decide(evaluated(input, () => bad));
        if (reasons.some(({ reason }) => /^Condition/.test(reason)))
          expect(phase).to.be.oneOf(['Pending', 'Suspended']);
      }
      const unasked = decide({ ...input, answers: undefined });
      if (unasked.questions.length === 0) return;
      // A policy's `when` that was not evaluated wants its approvals, as if it were true; they may be there.
      const onlyWhen = unasked.questions.every(({ expressions }) => expressions.every((each) => each === 'risky'));
      const approved = onlyWhen && decide(evaluated(input, () => true)).phase === 'Active';
      const phases = ['Pending', 'Suspended', 'AwaitingApproval'];
      expect(unasked.phase).to.be.oneOf(approved ? [...phases, 'Active'] : phases);
    }),
  );

  it('takes nothing away for a policy that only allows', () => {
    fc.assert(
      fc.property(snapshots, fc.array(line, { maxLength: 3 }), (input, allow) => {
        if (decide(input).phase !== 'Active') return;
        expect(decide(withPolicy(input, policy({ allow }, 'one-more'))).phase).to.equal('Active');
      }),
      { numRuns: 500 },
    );
  });

  it('is the same with a policy that only warns as without it', () => {
    fc.assert(
      fc.property(snapshots, policySpec, (input, spec) => {
        const warned = decide(again(withPolicy(input, policy({ ...spec, enforcement: 'Warn' }, 'one-more')), input));
        const without = decide(input);
        const same = { warnings: [], nextCheck: undefined };
        expect({ ...warned, ...same }).to.deep.equal({ ...without, ...same });
        // What it warns of may change sooner; and what another warned of already, later, where this one is stricter.
        if (without.warnings.length > 0) return;
        expect(warned.nextCheck ?? Infinity).to.be.at.most(without.nextCheck ?? Infinity);
      }),
      { numRuns: 500 },
    );
  });

  it('warns of what the same policy refuses when it is enforced', () => {
    fc.assert(
      fc.property(snapshots, policySpec, (input, { allow: _, ...spec }) => {
        const before = decide(input);
        if (before.phase !== 'Active') return;
        const under = (enforcement: string) =>
          decide(again(withPolicy(input, policy({ ...spec, enforcement }, 'one-more')), input, false));
        const enforced = under('Enforce');
        const warned = under('Warn');
        const already = new Set(before.warnings.map(({ message }) => message));
        const news = warned.warnings.filter(({ message }) => !already.has(message));
        expect(news.length > 0).to.equal(enforced.phase !== 'Active');
      }),
      { numRuns: 500 },
    );
  });

  it(
    'is the same whatever order policies, their lines, reviews and signals come in',
    law((input) => {
      const turned = [...input.namespaces].reverse().map(([name, view]): [string, NamespaceView] => {
        const policies = [...view.policies].reverse().map((one): ParsedPolicy => {
          if (!one.spec) return one;
          const { deny = [], allow = [] } = one.spec;
          return { ...one, spec: { ...one.spec, deny: [...deny].reverse(), allow: [...allow].reverse() } };
        });
        return [name, { ...view, policies }];
      });
      const cluster = input.cluster && { ...input.cluster, policies: [...input.cluster.policies].reverse() };
      const { phase, access, term } = decide(input);
      const reviews = { ...input.reviews, ofGrant: [...input.reviews.ofGrant].reverse() };
      const signals = [...input.signals].reverse();
      const second = decide({ ...input, reviews, signals, cluster, namespaces: new Map(turned) });
      expect({ phase: second.phase, access: second.access, term: second.term }).to.deep.equal({ phase, access, term });
    }),
  );

  it(
    'is the same whatever order the permissions come in',
    law((input) => {
      const spec = input.grant.spec;
      if (!spec) return;
      const turned = {
        ...input,
        grant: { ...input.grant, spec: { ...spec, permissions: [...spec.permissions].reverse() } },
      };
      expect(decide(again(turned, input)).phase).to.equal(decide(input).phase);
    }),
  );

  it('is Active somewhere in what is generated, or these laws would say little', () => {
    const verdicts = fc.sample(snapshots, { numRuns: 12_000, seed: 1 }).map((input) => decide(input));
    const phases = verdicts.map(({ phase }) => phase);
    expect(verdicts.filter(({ access }) => access.some(({ namespace }) => namespace === undefined))).to.not.be.empty;
    expect([...new Set(phases)]).to.include.members([
      'Active',
      'Pending',
      'AwaitingApproval',
      'Suspended',
      'Expired',
      'Revoked',
      'Denied',
    ]);
  });
});
