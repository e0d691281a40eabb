// Whether a dead man that can't be made keeps a grant from being given.

import { expect } from 'chai';
import fc from 'fast-check';
import { parsePolicy } from '../../../src/api/policy.ts';
import { deadManRule } from '../../../src/policy/dead-man.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Refusal, Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, identity, live, MINUTE, NOON, namespace, policy, readPods, receipt, snapshot } from './snapshots.ts';

const refusal: Refusal = {
  reason: 'DeadManRefused',
  what: 'exceeded quota',
  remedy: 'raise it',
  namespaces: ['team-a'],
  retryAt: NOON + MINUTE,
};
/** May be given access in a second namespace, too. */
const reaching = identity({ spec: { boundary: { namespaces: ['team-a', 'team-b'] } } });
const BEST_EFFORT = policy({ deadMan: 'BestEffort' });

/** The own namespace under these policies. */
const under = (...policies: ReturnType<typeof policy>[]): Pick<Snapshot, 'namespaces'> => ({
  namespaces: new Map([['team-a', namespace({ policies })]]),
});
const unreadable = parsePolicy({ metadata: { name: 'broken', uid: 'broken', resourceVersion: '1' }, spec: {} });

describe('whether a dead man is required', () => {
  const table: [said: (string | undefined)[], expected: string][] = [
    [[], 'Required'],
    [[undefined], 'Required'],
    [['Required'], 'Required'],
    [['BestEffort'], 'BestEffort'],
    [['BestEffort', 'BestEffort'], 'BestEffort'],
    [['BestEffort', undefined], 'Required'],
    [['Required', 'BestEffort'], 'Required'],
  ];
  for (const [said, expected] of table) {
    it(`is ${expected} where policies say ${said.map((word) => word ?? 'nothing').join(' and ') || 'nothing, being none'}`, () => {
      const policies = said.map((deadMan, at) => policy(deadMan ? { deadMan } : {}, `policy-${at}`));
      expect(deadManRule({ ...under(...policies), cluster: undefined })).to.equal(expected);
    });
  }

  it('goes by the policies of every place concerned', () => {
    const namespaces = new Map([
      ['team-a', namespace({ policies: [BEST_EFFORT] })],
      ['team-b', namespace({ policies: [policy({ deadMan: 'Required' }, 'other')] })],
    ]);
    expect(deadManRule({ namespaces, cluster: undefined })).to.equal('Required');
  });

  it('goes by enforced policies only, and takes one that can not be read for strict', () => {
    const warns = (deadMan: string) => policy({ deadMan, enforcement: 'Warn' }, 'warns');
    expect(deadManRule({ ...under(warns('BestEffort')), cluster: undefined })).to.equal('Required');
    expect(deadManRule({ ...under(BEST_EFFORT, warns('Required')), cluster: undefined })).to.equal('BestEffort');
    expect(deadManRule({ ...under(BEST_EFFORT, unreadable), cluster: undefined })).to.equal('Required');
  });

  it('is always required of what reaches the whole cluster', () => {
    const cluster = { ceiling: [], policies: [BEST_EFFORT], namespaces: new Map() };
    expect(deadManRule({ ...under(BEST_EFFORT), cluster })).to.equal('Required');
  });
});

describe('a dead man that is refused', () => {
  const reasons = (input: Snapshot) => decide(input).reasons.map(({ reason }) => reason);

  it('keeps a grant waiting where it is required, also where one policy of two does without', () => {
    for (const policies of [[policy()], [BEST_EFFORT, policy({}, 'strict')]]) {
      const verdict = decide(snapshot({ refusal, ...under(...policies) }));
      expect([verdict.phase, verdict.withoutDeadMan, verdict.warnings]).to.deep.equal(['Pending', [], []]);
      expect(verdict.reasons[0]).to.include({ reason: 'DeadManRefused', gate: 'creation', nextCheck: NOON + MINUTE });
    }
  });

  it('is a warning where the policies do without, and is tried again in time', () => {
    const verdict = decide(snapshot({ refusal, ...under(BEST_EFFORT) }));
    expect([verdict.phase, verdict.withoutDeadMan]).to.deep.equal(['Active', ['team-a']]);
    expect(verdict.gates?.creation).to.equal('Passed');
    expect(verdict.nextCheck).to.equal(NOON + MINUTE);
    expect(verdict.warnings).to.deep.equal([
      {
        reason: 'DeadManLacking',
        message: 'exceeded quota; raise it',
        remedy: 'raise it',
        by: ['NamespaceAdmin', 'ClusterAdmin'],
        nextCheck: NOON + MINUTE,
      },
    ]);
  });

  it('is missed in no namespace but those in which it was refused, or in all where that is not known', () => {
    const permissions = [readPods, { ...readPods, namespaces: ['team-b'] }];
    const of = grant({ spec: { permissions } });
    const namespaces = new Map(
      ['team-a', 'team-b'].map((name) => [name, namespace({ policies: [BEST_EFFORT], acceptsGrantsFrom: ['team-a'] })]),
    );
    const without = (names: string[] | undefined) =>
      decide(snapshot({ grant: of, identity: reaching, namespaces, refusal: { ...refusal, namespaces: names } }));
    expect(without(['team-b'])).to.deep.include({ phase: 'Active', withoutDeadMan: ['team-b'] });
    expect(without(undefined)).to.deep.include({ phase: 'Active', withoutDeadMan: ['team-a', 'team-b'] });
  });

  it('suspends what was given without one when a policy requires it from now on', () => {
    const before = decide(live({ refusal, ...under(BEST_EFFORT) }));
    expect([before.phase, before.withoutDeadMan]).to.deep.equal(['Active', ['team-a']]);
    const after = live({ refusal, ...under(policy({ deadMan: 'Required' })) });
    expect([decide(after).phase, reasons(after)]).to.deep.equal(['Suspended', ['DeadManRefused']]);
  });

  it('says what policies would have against it that only warn', () => {
    const warns = policy({ enforcement: 'Warn' }, 'warns');
    const told = decide(snapshot({ refusal, ...under(BEST_EFFORT, warns) })).warnings;
    expect(told.map(({ reason }) => reason)).to.deep.equal(['DeadManLacking', 'DeadManRefused']);
    expect(told[1]?.message).to.equal('AgentPolicy warns (spec.deadMan): exceeded quota; raise it');
  });

  it('is the only refusal that policies do without', () => {
    for (const reason of ['AccessRefused', 'ForeignObject'] as const) {
      expect(reasons(snapshot({ refusal: { ...refusal, reason }, ...under(BEST_EFFORT) }))).to.deep.equal([reason]);
    }
  });

  it('is not spoken of once the grant is over', () => {
    const over = decide(live({ refusal, now: NOON + 60 * MINUTE, ...under(BEST_EFFORT) }));
    expect([over.phase, over.withoutDeadMan, over.warnings]).to.deep.equal(['Expired', [], []]);
  });
});

describe('a dead man that is refused, by law', () => {
  const policies = fc
    .array(
      fc.record({
        deadMan: fc.constantFrom(undefined, 'BestEffort', 'BestEffort', 'BestEffort', 'Required'),
        enforcement: fc.constantFrom('Enforce', 'Enforce', 'Warn'),
        freeze: fc.constantFrom(undefined, undefined, undefined, { reason: 'an incident' }),
      }),
      { maxLength: 3 },
    )
    .map((specs) => specs.map((spec, at) => policy(JSON.parse(JSON.stringify(spec)), `policy-${at}`)));
  const snapshots = fc
    .record({
      own: policies,
      other: policies,
      given: fc.boolean(),
      intact: fc.boolean(),
      guardProblems: fc.constantFrom<string[]>([], [], ['gone']),
      namespaces: fc.constantFrom<string[] | undefined>(undefined, ['team-a'], ['team-b'], ['team-a', 'team-b']),
    })
    .map(({ own, other, given, intact, guardProblems, namespaces }) => {
      const permissions = [readPods, { ...readPods, namespaces: ['team-b'] }];
      const access = ['team-a', 'team-b'].map((name) => ({ namespace: name, rules: [readPods] }));
      const of = grant({
        spec: { permissions },
        status: given ? { phase: 'Active', specHash: grant({ spec: { permissions } }).hash } : {},
      });
      return snapshot({
        grant: of,
        identity: reaching,
        receipt: given ? receipt(of, { spec: { access } }) : undefined,
        intact,
        guardProblems,
        namespaces: new Map([
          ['team-a', namespace({ policies: own })],
          ['team-b', namespace({ policies: other, acceptsGrantsFrom: ['team-a'] })],
        ]),
        refusal: { ...refusal, namespaces },
      });
    });
  const law = (holds: (input: Snapshot) => void) => () => fc.assert(fc.property(snapshots, holds), { numRuns: 500 });

  it(
    'lets nothing be given that an enforced policy requires it for',
    law((input) => {
      const enforced = [...input.namespaces.values()].flatMap(({ policies }) =>
        policies.filter(({ spec }) => spec?.enforcement !== 'Warn'),
      );
      const required = enforced.some(({ spec }) => spec?.deadMan !== 'BestEffort');
      const { phase, withoutDeadMan } = decide(input);
      if (!required) return;
      expect(phase).to.not.equal('Active');
      expect(withoutDeadMan).to.deep.equal([]);
    }),
  );

  it(
    'where they do without changes nothing but what is warned of and looked at again',
    law((input) => {
      if (deadManRule(input) === 'Required') return;
      const [{ phase, reasons, access, term, gates }, plain] = [
        decide(input),
        decide({ ...input, refusal: undefined }),
      ];
      const { phase: p, reasons: r, access: a, term: t, gates: g } = plain;
      expect({ phase, reasons, access, term, gates }).to.deep.equal({
        phase: p,
        reasons: r,
        access: a,
        term: t,
        gates: g,
      });
    }),
  );

  it(
    'never gives more with one more policy, whatever that says',
    law((input) => {
      for (const deadMan of ['BestEffort', 'Required']) {
        const more = policy({ deadMan }, 'zz-more');
        const namespaces = new Map(
          [...input.namespaces].map(([name, view]) => [name, { ...view, policies: [...view.policies, more] }]),
        );
        const guarded = [...input.namespaces.values()].every(({ policies }) =>
          policies.some(({ spec }) => spec?.enforcement !== 'Warn'),
        );
        if (guarded && decide(input).phase !== 'Active') {
          expect(decide({ ...input, namespaces }).phase).to.not.equal('Active');
        }
      }
    }),
  );
});
