// The guardrails, one rule a line: what AgentPolicies have against a grant, and what they let pass.

import { expect } from 'chai';
import { type DataSensitivity, labelledSensitivity } from '../../../src/api/sensitivity.ts';
import { decide } from '../../../src/policy/decide.ts';
import { isRefused } from '../../../src/policy/policies.ts';
import { type Snapshot, viewOf } from '../../../src/policy/snapshot.ts';
import { grant, identity, live, MINUTE, NOON, namespace, policy, readPods, snapshot } from './snapshots.ts';

type Fields = Record<string, unknown>;

const ceiling = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
const rule = (verbs: string, apiGroups: string, resources: string, more: Fields = {}) => ({
  why: 'a test',
  verbs: verbs.split(','),
  apiGroups: apiGroups.split(','),
  resources: resources.split(','),
  ...more,
});
const asking = (...permissions: Fields[]) =>
  grant({ spec: { permissions: permissions.map(({ why: _, ...permission }) => permission) } });

/** Everything in order but for these policies, which select the grant's own namespace. */
const guardedBy = (policies: ReturnType<typeof policy>[], o: Partial<Snapshot> = {}) =>
  snapshot({ namespaces: new Map([['team-a', namespace({ ceiling, policies })]]), ...o });

const reasons = (input: Snapshot) => {
  const { phase, reasons } = decide(input);
  return [phase, ...reasons.map(({ reason }) => reason)].join(' ');
};
const message = (input: Snapshot) => decide(input).reasons[0]?.message ?? '';

describe('the guardrails', () => {
  const secrets = rule('get', '', 'secrets');
  const cases: [string, Snapshot, string][] = [
    ['lets pass what no line refuses', guardedBy([policy({ deny: [secrets] })]), 'Active Granted'],
    ['grants nothing where no policy is', guardedBy([]), 'Pending NoPolicy'],
    ['grants nothing where all policies only warn', guardedBy([policy({ enforcement: 'Warn' })]), 'Pending NoPolicy'],
    [
      'grants nothing beside a policy that cannot be read',
      guardedBy([policy(), policy({ deny: 'everything' }, 'broken')]),
      'Pending PolicyInvalid',
    ],
    [
      'says of a policy that cannot be read nothing but that',
      guardedBy([policy({ deny: 'everything' })]),
      'Pending PolicyInvalid',
    ],
    [
      'grants nothing where no policy lets a credential be used',
      guardedBy([policy({ credentials: undefined })]),
      'Pending CredentialNotAllowed',
    ],
    [
      'grants nothing where only a policy that warns lets one be used',
      guardedBy([policy({ credentials: undefined }), policy({ enforcement: 'Warn' }, 'other')]),
      'Pending CredentialNotAllowed',
    ],
    [
      'lets be used what one policy lists beside others that say nothing',
      guardedBy([policy({ credentials: undefined }), policy({}, 'other')], {
        grant: grant({ spec: { credential: 'Identity' } }),
      }),
      'Active Granted',
    ],
    [
      'goes by the policies of the own namespace for credentials, whatever those of a target list',
      snapshot({
        grant: asking({ ...readPods, namespaces: ['team-b'] }),
        identity: identity({ spec: { boundary: { namespaces: ['team-b'] } } }),
        namespaces: new Map([
          ['team-a', namespace({ policies: [policy({ credentials: undefined })] })],
          ['team-b', namespace({ acceptsGrantsFrom: ['team-a'], policies: [policy({}, 'theirs')] })],
        ]),
      }),
      'Pending CredentialNotAllowed',
    ],
    [
      'withdraws what is live once its credential may not be used any more',
      live({ namespaces: new Map([['team-a', namespace({ policies: [policy({ credentials: undefined })] })]]) }),
      'Suspended CredentialNotAllowed',
    ],
    [
      'refuses what a line names',
      guardedBy([policy({ deny: [secrets] })], { grant: asking(secrets) }),
      'Pending DeniedByPolicy',
    ],
    [
      'refuses a permission of which a line names a part',
      guardedBy([policy({ deny: [secrets] })], { grant: asking(rule('get,list', ',apps', 'pods,secrets')) }),
      'Pending DeniedByPolicy',
    ],
    [
      'refuses by any line of any policy',
      guardedBy([policy(), policy({ deny: [rule('list', 'apps', 'deployments'), secrets] }, 'other')], {
        grant: asking(secrets),
      }),
      'Pending DeniedByPolicy',
    ],
    [
      'lifts nothing of a line that does not give way',
      guardedBy([policy({ deny: [secrets] }), policy({ allow: [secrets] }, 'other')], { grant: asking(secrets) }),
      'Pending DeniedByPolicy',
    ],
    [
      'lifts a line that gives way, by any policy',
      guardedBy([policy({ deny: [{ ...secrets, unlessAllowed: true }] }), policy({ allow: [secrets] }, 'other')], {
        grant: asking(secrets),
      }),
      'Active Granted',
    ],
    [
      'lifts a line only where all of it that is asked for is allowed',
      guardedBy(
        [
          policy({
            deny: [{ ...rule('*', '', 'secrets'), unlessAllowed: true }],
            allow: [rule('get', '', 'secrets', { resourceNames: ['a'] })],
          }),
        ],
        { grant: asking(rule('get', '', 'secrets', { resourceNames: ['a', 'b'] })) },
      ),
      'Pending DeniedByPolicy',
    ],
    [
      'lifts a line by the name of one object',
      guardedBy(
        [
          policy({
            deny: [{ ...rule('*', '', 'secrets'), unlessAllowed: true }],
            allow: [rule('get', '', 'secrets', { resourceNames: ['a'] })],
          }),
        ],
        { grant: asking(rule('get', '', 'secrets', { resourceNames: ['a'] })) },
      ),
      'Active Granted',
    ],
    [
      'lifts nothing by a policy that only warns',
      guardedBy(
        [
          policy({ deny: [{ ...secrets, unlessAllowed: true }] }),
          policy({ allow: [secrets], enforcement: 'Warn' }, 'other'),
        ],
        { grant: asking(secrets) },
      ),
      'Pending DeniedByPolicy',
    ],
    [
      'refuses nothing by a policy that only warns',
      guardedBy([policy(), policy({ deny: [secrets], enforcement: 'Warn' }, 'other')], { grant: asking(secrets) }),
      'Active Granted',
    ],
    [
      'hands out no wildcard verb',
      guardedBy([policy()], { grant: asking(rule('*', '', 'pods')) }),
      'Pending WildcardRefused',
    ],
    [
      'hands out no wildcard subresource',
      guardedBy([policy()], { grant: asking(rule('get', 'apps', '*/scale')) }),
      'Pending WildcardRefused',
    ],
    [
      'hands out a wildcard that a policy says',
      guardedBy([policy({ allow: [rule('*', '', 'pods')] })], { grant: asking(rule('*', '', 'pods')) }),
      'Active Granted',
    ],
    [
      'hands out no wildcard for all that is behind it by name',
      guardedBy([policy({ allow: [rule('get,list,watch,create,update,patch,delete,deletecollection', '', 'pods')] })], {
        grant: asking(rule('*', '', 'pods')),
      }),
      'Pending WildcardRefused',
    ],
    [
      'gives no more time than the strictest policy',
      guardedBy([
        policy({ limits: { maxGrantDuration: '2h' } }),
        policy({ limits: { maxGrantDuration: '59m' } }, 'other'),
      ]),
      'Pending ExceedsPolicyLimit',
    ],
    [
      'gives as much time as the strictest policy',
      guardedBy([policy({ limits: { maxGrantDuration: '1h' } })]),
      'Active Granted',
    ],
    [
      'gives an agent no more grants than the strictest policy',
      guardedBy([policy({ limits: { maxActiveGrants: 3 } }), policy({ limits: { maxActiveGrants: 2 } }, 'other')], {
        activeBefore: 2,
      }),
      'Pending ExceedsPolicyLimit',
    ],
    [
      'looks at the wildcard alone, and not at what stands beside it',
      guardedBy([policy({ allow: [rule('get', 'apps', '*/scale')] })], {
        grant: asking(rule('get', 'apps', 'deployments,*/scale')),
      }),
      'Active Granted',
    ],
    [
      'gives nothing while one is frozen',
      guardedBy([policy(), policy({ freeze: { reason: 'an incident' } }, 'stop')]),
      'Pending Frozen',
    ],
    [
      'tells everything that stands against a grant',
      guardedBy([policy({ deny: [secrets], limits: { maxGrantDuration: '1m' }, freeze: { reason: 'an incident' } })], {
        grant: asking(secrets, rule('*', '', 'pods')),
      }),
      'Pending Frozen ExceedsPolicyLimit WildcardRefused DeniedByPolicy',
    ],
  ];
  for (const [what, input, expected] of cases) {
    it(what, () => expect(reasons(input)).to.equal(expected));
  }

  it('are known ahead to refuse what a freeze, a line, a wildcard or an unreadable policy of one namespace stands against', () => {
    for (const [what, input, expected] of cases) {
      const ahead = isRefused(input.grant, (place) => viewOf(input, place)?.policies ?? []);
      const { permissions = [] } = input.grant.spec ?? {};
      const elsewhere = permissions.some(({ scope, namespaces }) => scope === 'Cluster' || namespaces !== undefined);
      const stands = /Frozen|PolicyInvalid|WildcardRefused|DeniedByPolicy/.test(expected);
      // A line of the own namespace's policies about another, or about the whole cluster, is for the decision alone.
      if (ahead || !elsewhere) expect(ahead, what).to.equal(stands);
    }
  });

  describe('on sensitive data', () => {
    const limit = (maxDataSensitivity: string, more: Fields = {}, name?: string) =>
      policy({ limits: { maxDataSensitivity }, ...more }, name);
    const holding = (dataSensitivity: DataSensitivity | undefined, policies: ReturnType<typeof policy>[], o = {}) =>
      snapshot({ namespaces: new Map([['team-a', namespace({ dataSensitivity, policies })]]), ...o });
    const bounded = (maxDataSensitivity: string) => ({
      identity: identity({ spec: { boundary: { maxDataSensitivity } } }),
    });
    const cases: [string, Snapshot, string][] = [
      ['let pass what is at the limit', holding('internal', [limit('internal')]), 'Active Granted'],
      ['refuse what is above it', holding('confidential', [limit('internal')]), 'Pending TooSensitive'],
      [
        'refuse by the strictest',
        holding('internal', [limit('restricted'), limit('public', {}, 'b')]),
        'Pending TooSensitive',
      ],
      ['take what has no label for internal', holding(undefined, [limit('public')]), 'Pending TooSensitive'],
      [
        'take what has no label for what a policy says',
        holding(undefined, [limit('public', { unlabelledDataSensitivity: 'public' })]),
        'Active Granted',
      ],
      [
        'take what has no label for the highest that any says',
        holding(undefined, [
          limit('internal', { unlabelledDataSensitivity: 'public' }),
          policy({ unlabelledDataSensitivity: 'restricted' }, 'b'),
        ]),
        'Pending TooSensitive',
      ],
      [
        'go by the label where there is one',
        holding('public', [limit('public', { unlabelledDataSensitivity: 'restricted' })]),
        'Active Granted',
      ],
      ['say nothing without a limit', holding('restricted', [policy()]), 'Active Granted'],
      [
        'leave it to the boundary, too',
        holding('confidential', [policy()], bounded('internal')),
        'Pending TooSensitive',
      ],
      [
        'leave it to the boundary, at its limit',
        holding('confidential', [policy()], bounded('confidential')),
        'Active Granted',
      ],
    ];
    for (const [what, input, expected] of cases) it(what, () => expect(reasons(input)).to.equal(expected));

    it('name namespace, level, where it comes from, and the limit', () => {
      expect(message(holding('confidential', [limit('internal')]))).to.equal(
        'the data of namespace team-a is confidential (by its label), above the internal of AgentPolicy guardrails (spec.limits.maxDataSensitivity); ask for access elsewhere, or have whoever answers for the data look at its label',
      );
    });

    it('take a label of any other word for the highest level', () => {
      expect(labelledSensitivity('secret')).to.equal('restricted');
      expect(labelledSensitivity('')).to.equal('restricted');
      expect(labelledSensitivity('public')).to.equal('public');
      expect(labelledSensitivity(undefined)).to.equal(undefined);
    });
  });

  it('name policy, line, reason and remedy', () => {
    const deny = [{ ...secrets, why: 'Secrets hold credentials', unlessAllowed: true }];
    expect(message(guardedBy([policy({ deny })], { grant: asking(secrets) }))).to.equal(
      'in namespace team-a AgentPolicy guardrails refuses get secrets (core) (spec.deny[0]: Secrets hold credentials); ask for less, or have whoever maintains AgentPolicies add it to spec.allow of one that selects team-a',
    );
    expect(message(guardedBy([]))).to.include('kubectl create -k deploy/policy');
  });

  it('name two dozen lines at most, so that a status stays readable', () => {
    const deny = Array.from({ length: 40 }, () => secrets);
    expect(decide(guardedBy([policy({ deny })], { grant: asking(secrets) })).reasons).to.have.length(24);
  });

  it('withdraw a live grant at once, and give it back half a minute after they let it pass again', () => {
    const frozen = {
      namespaces: new Map([['team-a', namespace({ policies: [policy({ freeze: { reason: 'x' } })] })]]),
    };
    expect(reasons(live(frozen))).to.equal('Suspended Frozen');
    const suspended = { phase: 'Suspended', passingSince: '2026-03-01T12:00:00Z' };
    expect(reasons(live({ grantStatus: suspended }))).to.equal('Suspended Restoring');
    expect(reasons(live({ grantStatus: suspended, now: NOON + MINUTE / 2 }))).to.equal('Active Granted');
  });

  describe('of a namespace that a grant reaches into', () => {
    const reaching = grant({ spec: { permissions: [{ ...readPods, namespaces: ['prod'] }] } });
    const denyPods = rule('get', '', 'pods', { unlessAllowed: true });
    const between = (own: Fields, target: Fields) =>
      snapshot({
        grant: reaching,
        identity: identity({ spec: { boundary: { namespaces: ['prod'] } } }),
        namespaces: new Map([
          ['team-a', namespace({ policies: [policy(own, 'own')] })],
          ['prod', namespace({ policies: [policy(target, 'prod')], acceptsGrantsFrom: ['team-a'] })],
        ]),
      });

    it('count beside those of its own', () => {
      expect(reasons(between({}, {}))).to.equal('Active Granted');
      expect(reasons(between({}, { deny: [denyPods] }))).to.equal('Pending DeniedByPolicy');
      expect(reasons(between({ deny: [denyPods] }, {}))).to.equal('Pending DeniedByPolicy');
      expect(reasons(between({}, { freeze: { reason: 'x' } }))).to.equal('Pending Frozen');
    });

    it('are not passed over where the own namespace is not known yet', () => {
      const { namespaces, ...rest } = between({}, {});
      const known = new Map([...namespaces].filter(([name]) => name === 'prod'));
      expect(reasons({ ...rest, namespaces: known })).to.equal('Pending NoPolicy');
    });

    it('alone lift what is refused there', () => {
      expect(reasons(between({ allow: [denyPods] }, { deny: [denyPods] }))).to.equal('Pending DeniedByPolicy');
      expect(reasons(between({}, { deny: [denyPods], allow: [denyPods] }))).to.equal('Active Granted');
      expect(reasons(between({ deny: [denyPods] }, { allow: [denyPods] }))).to.equal('Active Granted');
    });
  });

  it('that only warn are told beside the verdict, and change nothing', () => {
    const warn = policy({ deny: [secrets, rule('get', '', 'pods')], enforcement: 'Warn' }, 'trial');
    const verdict = decide(guardedBy([policy(), warn]));
    expect(verdict.phase).to.equal('Active');
    expect(verdict.warnings.map(({ reason, message }) => `${reason} ${message.split(' (')[0]}`)).to.deep.equal([
      'DeniedByPolicy in namespace team-a AgentPolicy trial refuses get pods',
    ]);
  });

  it('that only warn do not repeat what is refused already', () => {
    const deny = [secrets];
    const warned = guardedBy([policy({ deny }), policy({ deny, enforcement: 'Warn' }, 'trial')], {
      grant: asking(secrets),
    });
    expect(decide(warned).warnings.map(({ message }) => /AgentPolicy (\w+)/.exec(message)?.[1])).to.deep.equal([
      'trial',
    ]);
  });
});
