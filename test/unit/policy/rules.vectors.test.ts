// Recorded answers of Kubernetes' own code (`Covers`, `RulesAllow`, v1.37.2) to inputs that were generated at random.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { z } from 'zod';
import { covers, rulesAllow } from '../../../src/policy/rules.ts';

describe("the answers of Kubernetes' own code", () => {
  const list = z.array(z.string()).optional();
  const rules = z.array(
    z.strictObject({
      verbs: z.array(z.string()),
      apiGroups: list,
      resources: list,
      resourceNames: list,
      nonResourceURLs: list,
    }),
  );
  const request = z.union([
    z.strictObject({ verb: z.string(), path: z.string() }),
    z.strictObject({
      verb: z.string(),
      apiGroup: z.string(),
      resource: z.string(),
      subresource: z.string(),
      name: z.string(),
    }),
  ]);
  const vectors = z
    .strictObject({
      source: z.string(),
      cases: z.array(
        z.strictObject({
          owner: rules,
          servant: rules,
          uncovered: rules,
          allowed: z.array(request),
          refused: z.array(request),
        }),
      ),
    })
    .parse(JSON.parse(readFileSync(new URL('./rules.vectors.json', import.meta.url), 'utf8')));

  it('are ours on every recorded case', () => {
    expect(vectors.cases.length).to.be.greaterThan(100);
    for (const { owner, servant, uncovered, allowed, refused } of vectors.cases) {
      expect(covers(owner, servant)).to.deep.equal({ covered: uncovered.length === 0, uncovered });
      expect(allowed.filter((each) => !rulesAllow(owner, each))).to.deep.equal([]);
      expect(refused.filter((each) => rulesAllow(owner, each))).to.deep.equal([]);
    }
  });
});
