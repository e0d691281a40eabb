// docs/escalation.md says of each way to more what the tests try, and what refuses it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { parsePolicy } from '../../../src/api/policy.ts';
import { describeRule } from '../../../src/policy/access.ts';
import { decide } from '../../../src/policy/decide.ts';
import { ESCALATION_ROUTES, type EscalationRoute } from '../../harness/escalation-routes.ts';
import { grant, namespace, snapshot } from '../policy/snapshots.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const page = readFileSync(join(root, 'docs/escalation.md'), 'utf8');
const shipped = parsePolicy(parse(readFileSync(join(root, 'deploy/policy/default.yaml'), 'utf8')));
const rows = new Map(
  page
    .split('\n')
    .filter((line) => /^\| (?!an agent)/.test(line))
    .map((line) => line.slice(2, -2).split(' | '))
    .map((cells) => [cells[0], cells]),
);

const BY_ITSELF = { ForbiddenPermission: 'hallpass', WildcardRefused: 'hallpass, as a wildcard' };

/** The lines of the shipped policy that the decision names. */
function refusedBy({ permission, refusedBy: reason }: EscalationRoute): string {
  const ceiling = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
  const namespaces = new Map([['team-a', namespace({ ceiling, policies: [shipped] })]]);
  const { reasons } = decide(snapshot({ grant: grant({ spec: { permissions: [permission] } }), namespaces }));
  const lines = reasons.flatMap(({ message }) =>
    [...message.matchAll(/spec\.(deny\[\d+\])/g)].map(([, line]) => `\`${line}\``),
  );
  const itself = reason === 'DeniedByPolicy' ? [] : [BY_ITSELF[reason]];
  return [...itself, ...new Set(lines)].join(', ');
}

describe('the page on escalation', () => {
  it('has a row for each way, in the order in which they are tried, and no other', () => {
    expect([...rows.keys()]).to.deep.equal(ESCALATION_ROUTES.map(({ name }) => name));
  });

  for (const route of ESCALATION_ROUTES) {
    it(`says what it takes to ${route.name}, why that is more, what refuses it, and how an exception is made`, () => {
      const [, right, why, refused, exception, ...more] = rows.get(route.name) ?? [];
      const rights = [route.permission, ...route.besides].map((rule) => `\`${describeRule(rule)}\``);
      expect(right).to.equal(rights.join('<br>with '));
      expect(refused).to.equal(refusedBy(route));
      expect(why).to.match(/\w{3}/);
      expect(exception).to.match(/\w{3}/);
      expect(more).to.deep.equal([]);
    });
  }

  it('names each way that is not taken to its end, with the reason', () => {
    const [, section = ''] = page.split('## Not taken to their end');
    const listed = section.split('\n').filter((line) => line.startsWith('- '));
    const left = new Map<string, string[]>();
    for (const { name, notTried } of ESCALATION_ROUTES)
      if (notTried) left.set(notTried, [...(left.get(notTried) ?? []), name]);
    expect(listed).to.deep.equal([...left].map(([reason, names]) => `- ${reason}: ${names.join('; ')}`));
  });
});
