// The laws of the algebra of RBAC rules, on generated rules.
import { expect } from 'chai';
import fc from 'fast-check';
import {
  covers,
  type PolicyRule,
  type ResourceRequest,
  rulesAllow,
  uncoveredRules,
} from '../../../src/policy/rules.ts';

// Few values, so that rules meet; wildcards and odd forms among them.
const verb = fc.constantFrom('get', 'list', 'create', '*');
const group = fc.constantFrom('', 'apps', 'batch', '*');
const resource = fc.constantFrom(
  'pods',
  'pods/log',
  'pods/scale',
  'deployments',
  'deployments/scale',
  'deployments/*',
  '*/scale',
  '*/log',
  '*/*',
  '*',
);
const name = fc.constantFrom('a', 'b', 'c', '*');
const path = fc.constantFrom('/', '/api', '/api/', '/api/v1', '/apis', '/api*', '/api/*', '/api/**', '/*', '*', '/a*i');

const some = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: 1, maxLength: 3 });

// As the API server admits them: for resources or for URLs, never both, and no name for a URL.
const resourceRule: fc.Arbitrary<PolicyRule> = fc.record({
  verbs: some(verb),
  apiGroups: some(group),
  resources: some(resource),
  resourceNames: fc.array(name, { maxLength: 3 }),
});
const urlRule: fc.Arbitrary<PolicyRule> = fc.record({ verbs: some(verb), nonResourceURLs: some(path) });
const rules = fc.array(fc.oneof({ arbitrary: resourceRule, weight: 3 }, { arbitrary: urlRule, weight: 1 }), {
  maxLength: 5,
});

const resourceRequest: fc.Arbitrary<ResourceRequest> = fc.record({
  verb: fc.constantFrom('get', 'list', 'create', 'delete'),
  apiGroup: fc.constantFrom('', 'apps', 'batch', 'policy'),
  resource: fc.constantFrom('pods', 'deployments', 'services'),
  subresource: fc.constantFrom('', 'log', 'scale', 'status', '*'),
  name: fc.constantFrom('', 'a', 'b', 'c', 'd', '*'),
});
const urlRequest = fc.record({ verb: fc.constantFrom('get', 'list', 'delete'), path });
const request = fc.oneof({ arbitrary: resourceRequest, weight: 3 }, { arbitrary: urlRequest, weight: 1 });

/** Rules that others surely cover: some of their atoms, wildcards replaced by what they stand for. */
const narrowed = (wide: PolicyRule[]) =>
  fc.shuffledSubarray([...uncoveredRules([], wide)]).map((atoms) =>
    atoms.map((atom) => ({
      ...atom,
      verbs: atom.verbs.map((each) => (each === '*' ? 'list' : each)),
      ...(atom.resources && { resources: atom.resources.map((each) => each.replace(/^\*/, 'deployments')) }),
      ...(atom.resources && { resourceNames: atom.resourceNames ?? ['a'] }),
    })),
  );
const wideAndNarrow = rules.chain((wide) => fc.tuple(fc.constant(wide), narrowed(wide)));

/** The rule that gives this request and no other. */
function atomOf(asked: ResourceRequest | { verb: string; path: string; resource?: undefined }): PolicyRule {
  if (asked.resource === undefined) {
    return { verbs: [asked.verb], nonResourceURLs: [asked.path] };
  }
  const { verb: verbAsked, apiGroup = '', resource: plural, subresource = '', name: object = '' } = asked;
  const resources = [subresource === '' ? plural : `${plural}/${subresource}`];
  return { verbs: [verbAsked], apiGroups: [apiGroup], resources, resourceNames: object === '' ? [] : [object] };
}

const law = <T extends unknown[]>(property: fc.IPropertyWithHooks<T>) => fc.assert(property, { numRuns: 2000 });

describe('covers, by law', () => {
  it('is reflexive', () => {
    law(
      fc.property(rules, (owner) => {
        expect(covers(owner, owner)).to.deep.equal({ covered: true, uncovered: [] });
      }),
    );
  });

  it('is transitive', () => {
    law(
      fc.property(
        wideAndNarrow.chain(([wide, narrow]) =>
          fc.tuple(fc.constant(wide), fc.constant(narrow), narrowed(narrow), rules),
        ),
        ([wide, narrow, narrower, other]) => {
          expect(covers(wide, narrow).covered).to.equal(true);
          expect(covers(narrow, narrower).covered).to.equal(true);
          expect(covers(wide, narrower).covered).to.equal(true);
          if (covers(other, wide).covered) {
            expect(covers(other, narrow).covered).to.equal(true);
          }
        },
      ),
    );
  });

  it('says of an atom what it says of the list that holds it', () => {
    law(
      fc.property(rules, rules, (owner, servant) => {
        const one = [...uncoveredRules([], servant)].filter((atom) => !covers(owner, [atom]).covered);
        expect(covers(owner, servant).uncovered).to.deep.equal(one);
      }),
    );
  });

  it('needs nothing more once the owner has what was uncovered', () => {
    law(
      fc.property(rules, rules, (owner, servant) => {
        expect(covers([...owner, ...covers(owner, servant).uncovered], servant).covered).to.equal(true);
      }),
    );
  });

  it('never covers less when the owner has more, or the servant less', () => {
    law(
      fc.property(rules, rules, rules, (owner, servant, more) => {
        const left = covers([...owner, ...more], servant).uncovered.length;
        expect(left).to.be.at.most(covers(owner, servant).uncovered.length);
        expect(covers(owner, servant.slice(1)).uncovered.length).to.be.at.most(covers(owner, servant).uncovered.length);
      }),
    );
  });
});

describe('rulesAllow, by law', () => {
  it('allows an owner whatever it allows a rule that the owner covers', () => {
    const many = fc.array(request, { minLength: 30, maxLength: 30 });
    let allowed = 0;
    law(
      fc.property(rules, rules, many, (owner, servant, asked) => {
        const covered = [...uncoveredRules([], servant)].filter((atom) => covers(owner, [atom]).covered);
        const ofServant = asked.filter((each) => rulesAllow(covered, each));
        allowed += ofServant.length;
        expect(ofServant.filter((each) => !rulesAllow(owner, each))).to.deep.equal([]);
      }),
    );
    expect(allowed, 'requests that a covered rule allows').to.be.greaterThan(100);
  });

  it('agrees with covers on the rule that gives one request and no other', () => {
    law(
      fc.property(rules, request, (owner, asked) => {
        expect(rulesAllow(owner, asked)).to.equal(covers(owner, [atomOf(asked)]).covered);
      }),
    );
  });

  it('allows what any one of the rules allows', () => {
    law(
      fc.property(rules, request, (owner, asked) => {
        expect(rulesAllow(owner, asked)).to.equal(owner.some((each) => rulesAllow([each], asked)));
      }),
    );
  });
});
