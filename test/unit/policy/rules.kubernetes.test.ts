// What Kubernetes' own tests say of RBAC rules. The cases are facts (inputs and expected outputs) from
// policy_comparator_test.go and rbac_test.go of Kubernetes v1.37.2, Copyright The Kubernetes Authors, Apache License 2.0.
import type { PolicyRule } from '../../../src/policy/rules.ts';
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
  words,
} from './rules.shorthand.ts';

const perGroup = (group: string) => [
  rule('delete', group, 'deployments'),
  rule('delete', group, 'builds'),
  rule('update', group, 'builds deployments'),
];

const coversOfKubernetes: CoversCase[] = [
  {
    name: 'ExactMatch',
    owner: [rule('get', 'v1', 'builds')],
    servant: [rule('get', 'v1', 'builds')],
    uncovered: [],
  },
  {
    name: 'SubresourceWildcard',
    owner: [rule('get', 'v1', '*/scale')],
    servant: [rule('get', 'v1', 'foo/scale')],
    uncovered: [],
  },
  {
    name: 'MultipleRulesCoveringSingleRule',
    owner: perGroup('v1'),
    servant: [rule('delete update', 'v1', 'builds deployments')],
    uncovered: [],
  },
  {
    name: 'MultipleAPIGroupsCoveringSingleRule',
    owner: [...perGroup('group1'), ...perGroup('group2')],
    servant: [rule('delete update', 'group1 group2', 'builds deployments')],
    uncovered: [],
  },
  {
    name: 'SingleAPIGroupsCoveringMultiple',
    owner: [rule('delete update', 'group1 group2', 'builds deployments')],
    servant: [...perGroup('group1'), ...perGroup('group2')],
    uncovered: [],
  },
  {
    name: 'MultipleRulesMissingSingleVerbResourceCombination',
    owner: [rule('delete update', 'v1', 'builds deployments'), rule('delete', 'v1', 'pods')],
    servant: [rule('delete update', 'v1', 'builds deployments pods')],
    uncovered: [rule('update', 'v1', 'pods')],
  },
  {
    name: 'APIGroupStarCoveringMultiple',
    owner: [rule('get', '*', 'roles')],
    servant: [rule('get', 'group1 group2', 'roles')],
    uncovered: [],
  },
  {
    name: 'EnumerationNotCoveringAPIGroupStar',
    owner: [rule('get', 'dummy-group', 'roles')],
    servant: [rule('get', '*', 'roles')],
    uncovered: [rule('get', '*', 'roles')],
  },
  {
    name: 'APIGroupStarCoveringStar',
    owner: [rule('get', '*', 'roles')],
    servant: [rule('get', '*', 'roles')],
    uncovered: [],
  },
  {
    name: 'VerbStarCoveringMultiple',
    owner: [rule('*', 'v1', 'roles')],
    servant: [rule('watch list', 'v1', 'roles')],
    uncovered: [],
  },
  {
    name: 'EnumerationNotCoveringVerbStar',
    owner: [rule('get list watch create update delete exec', 'v1', 'roles')],
    servant: [rule('*', 'v1', 'roles')],
    uncovered: [rule('*', 'v1', 'roles')],
  },
  {
    name: 'VerbStarCoveringStar',
    owner: [rule('*', 'v1', 'roles')],
    servant: [rule('*', 'v1', 'roles')],
    uncovered: [],
  },
  {
    name: 'ResourceStarCoveringMultiple',
    owner: [rule('get', 'v1', '*')],
    servant: [rule('get', 'v1', 'resourcegroup:deployments')],
    uncovered: [],
  },
  {
    name: 'EnumerationNotCoveringResourceStar',
    owner: [rule('get', 'v1', 'roles resourcegroup:deployments')],
    servant: [rule('get', 'v1', '*')],
    uncovered: [rule('get', 'v1', '*')],
  },
  {
    name: 'ResourceStarCoveringStar',
    owner: [rule('get', 'v1', '*')],
    servant: [rule('get', 'v1', '*')],
    uncovered: [],
  },
  {
    name: 'ResourceNameEmptyCoveringMultiple',
    owner: [{ ...rule('get', 'v1', 'pods'), resourceNames: [] }],
    servant: [rule('get', 'v1', 'pods', 'foo bar')],
    uncovered: [],
  },
  {
    name: 'EnumerationNotCoveringResourceNameEmpty',
    owner: [rule('get', 'v1', 'pods', 'foo bar')],
    servant: [{ ...rule('get', 'v1', 'pods'), resourceNames: [] }],
    uncovered: [rule('get', 'v1', 'pods')],
  },
  { name: 'NonResourceURLs', owner: [url('*', '/apis')], servant: [url('*', '/apis')], uncovered: [] },
  { name: 'NonResourceURLsStar', owner: [url('*', '*')], servant: [url('*', '/apis /apis/v1 /')], uncovered: [] },
  {
    name: 'NonResourceURLsStarAfterPrefixDoesntCover',
    owner: [url('*', '/apis/*')],
    servant: [url('get', '/apis /apis/v1')],
    uncovered: [url('get', '/apis')],
  },
  {
    name: 'NonResourceURLsStarAfterPrefix',
    owner: [url('*', '/apis/*')],
    servant: [url('get', '/apis/v1/foo /apis/v1')],
    uncovered: [],
  },
  {
    name: 'NonResourceURLsWithOtherFields',
    owner: [{ ...rule('get', 'v1', 'builds'), nonResourceURLs: ['/apis'] }],
    servant: [{ ...rule('get', 'v1', 'builds'), nonResourceURLs: ['/apis'] }],
    uncovered: [],
  },
  {
    name: 'NonResourceURLsWithOtherFieldsFailure',
    owner: [rule('get', 'v1', 'builds')],
    servant: [{ ...rule('get', 'v1', 'builds'), nonResourceURLs: ['/apis'] }],
    uncovered: [url('get', '/apis')],
  },
];

/** TestNonResourceURLCovers. */
const urlsOfKubernetes: UrlCase[] = [
  ['*', '', true],
  ['*', '/', true],
  ['*', '/api', true],
  ['/*', '', false],
  ['/*', '/', true],
  ['/*', '/foo', true],
  ['/api', '/api', true],
  ['/apis', '/api', false],
  ['/api/v1', '/api', false],
  ['/api/v1', '/api/v1', true],
  ['/api/*', '/api/v1', true],
  ['/api/*', '/api', false],
  ['/api/*/*', '/api/v1', false],
  ['/*/v1/*', '/api/v1', false],
];

/** rbac_test.go writes a rule with all four lists. */
const both = (verbs: string, groups: string, resources: string, urls: string): PolicyRule => ({
  ...rule(verbs, groups, resources),
  nonResourceURLs: words(urls),
});

const allowsOfKubernetes: AllowsCase[] = [
  {
    name: 'Authorizer, all wildcards',
    rules: [both('*', '*', '*', '*')],
    yes: [ask('get', '/Pods'), ask('watch', '/Pods'), ask('watch', '/Foobar')],
    no: [],
  },
  {
    name: 'Authorizer, one URL for one verb',
    rules: [both('get', '', '', '/apis')],
    yes: [{ verb: 'get', path: '/apis' }],
    no: [
      { verb: 'watch', path: '/apis' },
      { verb: 'get', path: '/api/v1' },
    ],
  },
  {
    name: 'Authorizer, one URL for all verbs',
    rules: [both('*', '', '', '/apis')],
    yes: [
      { verb: 'get', path: '/apis' },
      { verb: 'watch', path: '/apis' },
    ],
    no: [{ verb: 'get', path: '/api/v1' }],
  },
  {
    name: 'Authorizer, a prefix of URLs',
    rules: [both('get', '', '', '/apis/*')],
    yes: [
      { verb: 'get', path: '/apis/v1' },
      { verb: 'get', path: '/apis/v1/foobar' },
    ],
    no: [{ verb: 'get', path: '/api/v1' }],
  },
  {
    name: 'Authorizer, a resource without its subresources',
    rules: [both('*', '*', 'pods', '*')],
    yes: [ask('get', '/pods')],
    no: [ask('get', '/pods/status')],
  },
  {
    name: 'Authorizer, subresources without their resource',
    rules: [both('*', '*', 'pods/status', '*'), both('*', '*', '*/scale', '*')],
    yes: [
      ask('get', '/pods/status'),
      ask('get', '/pods/scale'),
      ask('get', '/deployments/scale'),
      ask('get', '/anything/scale'),
    ],
    no: [ask('get', '/pods')],
  },
  {
    name: 'RuleMatches, star verb, exact match other',
    rules: [rule('*', 'group1', 'resource1')],
    yes: ['verb1', 'verb2'].map((verb) => ask(verb, 'group1/resource1')),
    no: ['verb1', 'verb2'].flatMap((verb) =>
      ['group2/resource1', 'group1/resource2', 'group2/resource2'].map((of) => ask(verb, of)),
    ),
  },
  {
    name: 'RuleMatches, star group, exact match other',
    rules: [rule('verb1', '*', 'resource1')],
    yes: [ask('verb1', 'group1/resource1'), ask('verb1', 'group2/resource1')],
    no: [
      ask('verb1', 'group1/resource2'),
      ask('verb1', 'group2/resource2'),
      ask('verb2', 'group1/resource1'),
      ask('verb2', 'group2/resource1'),
      ask('verb2', 'group1/resource2'),
      ask('verb2', 'group2/resource2'),
    ],
  },
  {
    name: 'RuleMatches, star resource, exact match other',
    rules: [rule('verb1', 'group1', '*')],
    yes: [ask('verb1', 'group1/resource1'), ask('verb1', 'group1/resource2')],
    no: [
      ask('verb1', 'group2/resource1'),
      ask('verb1', 'group2/resource2'),
      ask('verb2', 'group1/resource1'),
      ask('verb2', 'group2/resource1'),
      ask('verb2', 'group1/resource2'),
      ask('verb2', 'group2/resource2'),
    ],
  },
  {
    name: 'RuleMatches, tuple expansion',
    rules: [rule('verb1 verb2', 'group1 group2', 'resource1 resource2')],
    yes: ['verb1', 'verb2'].flatMap((verb) =>
      ['group1/resource1', 'group2/resource1', 'group1/resource2', 'group2/resource2'].map((of) => ask(verb, of)),
    ),
    no: [],
  },
  {
    name: 'RuleMatches, subresource expansion',
    rules: [rule('*', '*', 'resource1/subresource1')],
    yes: [ask('verb1', 'group1/resource1/subresource1'), ask('verb2', 'group1/resource1/subresource1')],
    no: ['verb1', 'verb2'].flatMap((verb) =>
      ['group2/resource1/subresource2', 'group1/resource2/subresource1', 'group2/resource2/subresource1'].map((of) =>
        ask(verb, of),
      ),
    ),
  },
  {
    name: 'RuleMatches, star nonresource, exact match other',
    rules: [url('verb1', '*')],
    yes: words('/foo /foo/bar /foo/baz /foo/bar/one /foo/baz/one').map((path) => ({ verb: 'verb1', path })),
    no: words('/foo /foo/bar /foo/baz /foo/bar/one /foo/baz/one').map((path) => ({ verb: 'verb2', path })),
  },
  {
    name: 'RuleMatches, star nonresource subpath',
    rules: [url('verb1', '/foo/*')],
    yes: words('/foo/bar /foo/baz /foo/bar/one /foo/baz/one').map((path) => ({ verb: 'verb1', path })),
    no: words('/foo /notfoo /notfoo/bar /notfoo/baz /notfoo/bar/one /notfoo/baz/one').map((path) => ({
      verb: 'verb1',
      path,
    })),
  },
  {
    name: 'RuleMatches, star verb, exact nonresource',
    rules: [url('*', '/foo /foo/bar/one')],
    yes: words('/foo /foo/bar/one').flatMap((path) => words('verb1 verb2').map((verb) => ({ verb, path }))),
    no: words('/foo/bar /foo/baz /foo/baz/one').flatMap((path) => words('verb1 verb2').map((verb) => ({ verb, path }))),
  },
];

describe("Kubernetes' own tests", () => {
  for (const each of coversOfKubernetes) {
    it(`agree with covers in TestCovers${each.name}`, () => expectCovers(each));
  }
  for (const each of allowsOfKubernetes) {
    it(`agree with rulesAllow in Test${each.name}`, () => expectAllows(each));
  }
  for (const each of urlsOfKubernetes) {
    it(`hold that the URL "${each[0]}" ${each[2] ? 'matches' : 'does not match'} "${each[1]}"`, () => expectUrl(each));
  }
});
