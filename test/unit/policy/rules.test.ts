// The algebra of RBAC rules as a specification in tables, where Kubernetes' own tests (rules.kubernetes.test.ts) say nothing.
import { expect } from 'chai';
import { covers, type PolicyRule, rulesAllow } from '../../../src/policy/rules.ts';
import {
  type AllowsCase,
  ask,
  type CoversCase,
  expectAllows,
  expectCovers,
  expectUrl,
  rule,
  type UrlCase,
  url,
} from './rules.shorthand.ts';

const coversCases: CoversCase[] = [
  {
    name: 'nothing is covered by anyone',
    owner: [],
    servant: [],
    uncovered: [],
  },
  {
    name: 'a rule with an empty list gives nothing, so it is covered by anyone',
    owner: [],
    servant: [
      { verbs: [], apiGroups: [''], resources: ['pods'] },
      { verbs: ['get'], apiGroups: [], resources: ['pods'] },
      { verbs: ['get'], apiGroups: [''] },
      { verbs: ['get'], resources: ['pods'] },
      { verbs: ['get'], nonResourceURLs: [] },
    ],
    uncovered: [],
  },
  {
    name: 'a rule with an empty list covers nothing',
    owner: [
      { verbs: [], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], apiGroups: [], resources: ['*'] },
      { verbs: ['*'], apiGroups: ['*'], resources: [] },
    ],
    servant: [rule('get', '', 'pods')],
    uncovered: [rule('get', '', 'pods')],
  },
  {
    name: 'what is uncovered comes group by group, then resource, verb and name, then URL and verb, rule after rule',
    owner: [],
    servant: [
      { ...rule('get list', ' apps', 'pods services', 'b a'), nonResourceURLs: ['/y', '/x'] },
      rule('create', '', 'pods'),
    ],
    uncovered: [
      rule('get', '', 'pods', 'b'),
      rule('get', '', 'pods', 'a'),
      rule('list', '', 'pods', 'b'),
      rule('list', '', 'pods', 'a'),
      rule('get', '', 'services', 'b'),
      rule('get', '', 'services', 'a'),
      rule('list', '', 'services', 'b'),
      rule('list', '', 'services', 'a'),
      rule('get', 'apps', 'pods', 'b'),
      rule('get', 'apps', 'pods', 'a'),
      rule('list', 'apps', 'pods', 'b'),
      rule('list', 'apps', 'pods', 'a'),
      rule('get', 'apps', 'services', 'b'),
      rule('get', 'apps', 'services', 'a'),
      rule('list', 'apps', 'services', 'b'),
      rule('list', 'apps', 'services', 'a'),
      url('get', '/y'),
      url('list', '/y'),
      url('get', '/x'),
      url('list', '/x'),
      rule('create', '', 'pods'),
    ],
  },
  {
    name: 'what the servant says twice is uncovered twice',
    owner: [],
    servant: [rule('get get', '', 'pods'), rule('get', '', 'pods')],
    uncovered: [rule('get', '', 'pods'), rule('get', '', 'pods'), rule('get', '', 'pods')],
  },
  {
    name: 'several rules cover by verbs, groups, resources and names what none covers alone, but for the gap between them',
    owner: [
      rule('get', '* ', 'pods', 'a b'),
      rule('list', '', 'pods'),
      rule('get list', 'apps', '*', 'a'),
      rule('*', 'apps', 'pods', 'b'),
    ],
    servant: [rule('get list', ' apps', 'pods', 'a b c')],
    uncovered: [rule('get', '', 'pods', 'c'), rule('get', 'apps', 'pods', 'c'), rule('list', 'apps', 'pods', 'c')],
  },
  {
    name: 'a verb, a group and a resource held in different rules do not add up',
    owner: [rule('get', 'apps', 'deployments'), rule('delete', '', 'pods')],
    servant: [rule('delete', 'apps', 'deployments')],
    uncovered: [rule('delete', 'apps', 'deployments')],
  },
  {
    name: 'a resource is not its subresources, nor the other way round',
    owner: [rule('get', '', 'pods'), rule('create', '', 'pods/exec')],
    servant: [rule('get', '', 'pods/log'), rule('create', '', 'pods')],
    uncovered: [rule('get', '', 'pods/log'), rule('create', '', 'pods')],
  },
  {
    name: '"*" as a resource covers every subresource',
    owner: [rule('*', '*', '*')],
    servant: [rule('*', '*', '* pods pods/exec */scale pods/* */*')],
    uncovered: [],
  },
  {
    name: '"*/scale" covers the scale subresource of every resource and nothing else',
    owner: [rule('get', 'apps', '*/scale')],
    servant: [rule('get', 'apps', '*/scale deployments/scale */* deployments/status deployments * x/y/scale')],
    uncovered: [
      rule('get', 'apps', '*/*'),
      rule('get', 'apps', 'deployments/status'),
      rule('get', 'apps', 'deployments'),
      rule('get', 'apps', '*'),
      rule('get', 'apps', 'x/y/scale'),
    ],
  },
  {
    name: '"deployments/*" is no wildcard: it covers itself alone',
    owner: [rule('get', 'apps', 'deployments/*')],
    servant: [rule('get', 'apps', 'deployments/* deployments/scale deployments')],
    uncovered: [rule('get', 'apps', 'deployments/scale'), rule('get', 'apps', 'deployments')],
  },
  {
    name: '"*/*" covers what ends in "/*", and no real subresource',
    owner: [rule('get', 'apps', '*/*')],
    servant: [rule('get', 'apps', 'deployments/* deployments/scale')],
    uncovered: [rule('get', 'apps', 'deployments/scale')],
  },
  {
    name: 'the subresource of a resource with two slashes begins after the first',
    owner: [rule('get', '', '*/b/c')],
    servant: [rule('get', '', 'a/b/c a/c')],
    uncovered: [rule('get', '', 'a/c')],
  },
  {
    name: 'an asterisk is no wildcard in names, nor at the end of a verb, group or resource',
    owner: [rule('get', '', 'pods', '*'), rule('g*', 'app*', 'pod*')],
    servant: [rule('get', '', 'pods', 'a'), rule('get', 'apps', 'pods')],
    uncovered: [rule('get', '', 'pods', 'a'), rule('get', 'apps', 'pods')],
  },
  {
    name: 'verbs, groups, resources and names are compared with their case',
    owner: [rule('get', 'apps', 'pods', 'a')],
    servant: [rule('GET', 'apps', 'pods', 'a'), rule('get', 'Apps', 'Pods', 'A')],
    uncovered: [rule('GET', 'apps', 'pods', 'a'), rule('get', 'Apps', 'Pods', 'A')],
  },
  {
    name: 'names that an object inherits from its prototype are names like any other',
    owner: [rule('get', '', 'pods')],
    servant: [rule('constructor', '__proto__', 'toString', 'hasOwnProperty')],
    uncovered: [rule('constructor', '__proto__', 'toString', 'hasOwnProperty')],
  },
  {
    name: 'an owner rule with names covers no URL, its own neither',
    owner: [{ verbs: ['*'], nonResourceURLs: ['*'], resourceNames: ['a'] }],
    servant: [{ verbs: ['get'], nonResourceURLs: ['/healthz'], resourceNames: ['a'] }],
    uncovered: [url('get', '/healthz')],
  },
  {
    name: 'rules for resources cover no URL, and rules for URLs no resource',
    owner: [rule('*', '*', '*'), url('list', '*')],
    servant: [url('get', '/healthz'), rule('list', '', 'pods')],
    uncovered: [url('get', '/healthz')],
  },
  {
    name: 'several rules together cover URLs and verbs',
    owner: [url('get', '/a*'), url('post', '/ab'), url('*', '/c')],
    servant: [url('get post', '/ab /abc /c /a* /b*')],
    uncovered: [url('post', '/abc'), url('post', '/a*'), url('get', '/b*'), url('post', '/b*')],
  },
  {
    name: 'more than 32 owner rules, values and names are told apart',
    owner: Array.from({ length: 40 }, (_, i) => rule('get', `g${i}`, 'pods', 'n33 n0')),
    servant: Array.from({ length: 2 }, (_, i) => rule('get', `g${i + 38} g40`, 'pods', 'n0 n1 n33')),
    uncovered: [
      rule('get', 'g38', 'pods', 'n1'),
      ...['n0', 'n1', 'n33'].map((name) => rule('get', 'g40', 'pods', name)),
      rule('get', 'g39', 'pods', 'n1'),
      ...['n0', 'n1', 'n33'].map((name) => rule('get', 'g40', 'pods', name)),
    ],
  },
];

const urlCases: UrlCase[] = [
  ['/api/**', '/api/v1', true],
  ['**', '/api', true],
  ['/api*', '/apis', true],
  ['/a*i', '/api', false],
  ['/a*i', '/a*i', true],
  ['/api/*', '/api/', true],
  ['', '', true],
  ['', '/', false],
];

const allowsCases: AllowsCase[] = [
  { name: 'no rules allow nothing', rules: [], yes: [], no: [ask('get', '/pods'), { verb: 'get', path: '/' }] },
  {
    name: 'a rule with an empty list allows nothing',
    rules: [
      { verbs: [], apiGroups: ['*'], resources: ['*'], nonResourceURLs: ['*'] },
      { verbs: ['*'], apiGroups: [], resources: ['*'] },
      { verbs: ['*'], apiGroups: ['*'], resources: [] },
    ],
    yes: [],
    no: [ask('get', '/pods'), { verb: 'get', path: '/' }],
  },
  {
    name: 'an empty list of names means all, and requests without a name too',
    rules: [{ ...rule('get list', '', 'pods'), resourceNames: [] }],
    yes: [ask('get', '/pods', 'a'), ask('list', '/pods')],
    no: [],
  },
  {
    name: 'a list of names allows these names, and no request without a name',
    rules: [rule('get list', '', 'pods', 'a b')],
    yes: [ask('get', '/pods', 'a'), ask('list', '/pods', 'b')],
    no: [ask('get', '/pods', 'c'), ask('list', '/pods'), ask('get', '/pods', '*')],
  },
  {
    name: '"*" as a name names an object, and is no wildcard',
    rules: [rule('get', '', 'pods', '*')],
    yes: [ask('get', '/pods', '*')],
    no: [ask('get', '/pods', 'a'), ask('get', '/pods')],
  },
  {
    name: '"*" as a resource includes subresources',
    rules: [rule('get', '', '*')],
    yes: [ask('get', '/pods/log'), ask('get', '/pods')],
    no: [ask('get', 'apps/deployments')],
  },
  {
    name: '"deployments/*" is no wildcard: it allows a subresource named "*", and nothing real',
    rules: [rule('get', 'apps', 'deployments/*')],
    yes: [ask('get', 'apps/deployments/*')],
    no: [ask('get', 'apps/deployments/scale'), ask('get', 'apps/deployments'), ask('get', 'apps/deployments/')],
  },
  {
    name: '"*/scale" allows no resource, no other subresource and no longer one',
    rules: [rule('get', 'apps', '*/scale')],
    yes: [ask('get', 'apps/deployments/scale'), ask('get', 'apps/*/scale')],
    no: [
      ask('get', 'apps/scale'),
      ask('get', 'apps/deployments'),
      ask('get', 'apps/deployments/cale'),
      ask('get', 'apps/deployments/status/scale'),
      { verb: 'get', apiGroup: 'apps', resource: '*/scale/', subresource: '' },
    ],
  },
  {
    name: 'a rule with names allows its URLs all the same',
    rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz'], resourceNames: ['a'] }],
    yes: [{ verb: 'get', path: '/healthz' }],
    no: [],
  },
  {
    name: 'rules for resources allow no URL, and rules for URLs no resource',
    rules: [rule('get', '*', '*'), url('list', '*')],
    yes: [],
    no: [{ verb: 'get', path: '/' }, ask('list', '/pods')],
  },
  {
    name: 'a field left out of a request is empty, as in a SubjectAccessReview',
    rules: [rule('list', '', 'pods')],
    yes: [{ verb: 'list', resource: 'pods' }],
    no: [{ verb: 'list', resource: 'pods', subresource: 'log' }],
  },
];

/** Rules as they come in JSON from Go, where a nil slice is null: no TypeScript type promises their shape. */
const fromGo = (json: string): PolicyRule[] => JSON.parse(json);

describe('covers', () => {
  for (const each of coversCases) {
    it(`holds that ${each.name}`, () => expectCovers(each));
  }

  it('takes null for an empty list, as Go does', () => {
    const servant = fromGo(
      '[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":null,"nonResourceURLs":null}]',
    );
    expect(
      covers(fromGo('[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"resourceNames":null}]'), servant).covered,
    ).to.equal(true);
    expect(covers(fromGo('[{"verbs":null,"apiGroups":null,"resources":null}]'), servant).uncovered).to.deep.equal([
      rule('get', '', 'pods'),
    ]);
    expect(covers(fromGo('null'), servant).covered).to.equal(false);
    expect(covers([], fromGo('[{"verbs":null,"apiGroups":["*"],"resources":["*"]}]')).covered).to.equal(true);
    expect(covers([], fromGo('null'))).to.deep.equal({ covered: true, uncovered: [] });
  });

  it('changes neither list, and gives the same answer when it is read again', () => {
    const owner = [rule('get', '', 'pods', 'a')];
    const servant = [rule('get list', '', 'pods', 'a b')];
    const before = JSON.stringify({ owner, servant });
    const result = covers(owner, servant);
    expect(result.uncovered).to.equal(result.uncovered);
    expect(JSON.stringify({ owner, servant })).to.equal(before);
  });
});

describe('rulesAllow', () => {
  for (const each of allowsCases) {
    it(`holds that ${each.name}`, () => expectAllows(each));
  }

  it('takes null for an empty list, as Go does', () => {
    const rules = fromGo('[{"verbs":null},{"verbs":["get"],"apiGroups":null,"resources":null,"nonResourceURLs":null}]');
    expect(rulesAllow(rules, ask('get', '/pods'))).to.equal(false);
    expect(rulesAllow(rules, { verb: 'get', path: '/' })).to.equal(false);
    expect(rulesAllow(fromGo('null'), ask('get', '/pods'))).to.equal(false);
    expect(
      rulesAllow(
        fromGo('[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":null}]'),
        ask('get', '/pods', 'a'),
      ),
    ).to.equal(true);
  });
});

describe('covers and rulesAllow', () => {
  for (const each of urlCases) {
    it(`hold that the URL "${each[0]}" ${each[2] ? 'matches' : 'does not match'} "${each[1]}"`, () => expectUrl(each));
  }
});
