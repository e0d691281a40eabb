// Rules, requests and cases in short form, for tests that are tables.
import { expect } from 'chai';
import {
  covers,
  type NonResourceRequest,
  type PolicyRule,
  type ResourceRequest,
  rulesAllow,
  uncoveredRules,
} from '../../../src/policy/rules.ts';

/** Splits at spaces, so that '' is the list of the empty string alone: of the core group, say. */
export const words = (list: string): string[] => list.split(' ');

/** A rule for resources. */
export function rule(verbs: string, apiGroups: string, resources: string, resourceNames?: string): PolicyRule {
  const unnamed = { verbs: words(verbs), apiGroups: words(apiGroups), resources: words(resources) };
  return resourceNames === undefined ? unnamed : { ...unnamed, resourceNames: words(resourceNames) };
}

export function url(verbs: string, nonResourceURLs: string): PolicyRule {
  return { verbs: words(verbs), nonResourceURLs: words(nonResourceURLs) };
}

export type CoversCase = { name: string; owner: PolicyRule[]; servant: PolicyRule[]; uncovered: PolicyRule[] };

export function expectCovers({ owner, servant, uncovered }: CoversCase): void {
  const result = covers(owner, servant);
  expect(result.covered).to.equal(uncovered.length === 0);
  expect(result.uncovered).to.deep.equal(uncovered);
  expect([...uncoveredRules(owner, servant)]).to.deep.equal(uncovered);
}

/** A request as `verb group/resource/subresource name`; the core group is empty. */
export function ask(verb: string, of: string, name = ''): ResourceRequest {
  const [apiGroup = '', resource = '', ...subresource] = of.split('/');
  return { verb, apiGroup, resource, subresource: subresource.join('/'), name };
}

type Request = ResourceRequest | NonResourceRequest;

export type AllowsCase = { name: string; rules: PolicyRule[]; yes: Request[]; no: Request[] };

export function expectAllows({ rules, yes, no }: AllowsCase): void {
  expect(yes.filter((request) => !rulesAllow(rules, request))).to.deep.equal([]);
  expect(no.filter((request) => rulesAllow(rules, request))).to.deep.equal([]);
}

/** An owner's pattern, a path, and whether the one covers and allows the other. */
export type UrlCase = [pattern: string, path: string, matches: boolean];

export function expectUrl([pattern, path, matches]: UrlCase): void {
  const rules = [{ verbs: ['get'], nonResourceURLs: [pattern] }];
  expect(covers(rules, [{ verbs: ['get'], nonResourceURLs: [path] }]).covered).to.equal(matches);
  expect(rulesAllow(rules, { verb: 'get', path })).to.equal(matches);
}
