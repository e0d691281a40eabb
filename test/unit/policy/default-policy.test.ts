// The policy that is shipped: what it refuses, why, and how much of it gives way.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { type ParsedPolicy, parsePolicy } from '../../../src/api/policy.ts';
import { decide } from '../../../src/policy/decide.ts';
import { ESCALATION_ROUTES } from '../../harness/escalation-routes.ts';
import { grant, namespace, policy, readPods, snapshot } from './snapshots.ts';

const path = join(import.meta.dirname, '../../../deploy/policy/default.yaml');

describe('the shipped policy', () => {
  let shipped: ParsedPolicy;
  let text: string;
  const ceiling = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
  const decided = (permission: object, policies: ParsedPolicy[]) =>
    decide(
      snapshot({
        grant: grant({ spec: { permissions: [permission] } }),
        namespaces: new Map([['team-a', namespace({ ceiling, policies })]]),
      }),
    );

  before(async () => {
    text = await readFile(path, 'utf8');
    shipped = parsePolicy(parse(text));
  });

  it('is valid, selects every namespace, and lets plain reading pass', () => {
    expect(shipped.invalid).to.equal(undefined);
    expect(shipped.spec?.namespaceSelector).to.deep.equal({});
    expect(decided(readPods, [shipped]).phase).to.equal('Active');
    const logs = { apiGroups: [''], resources: ['pods/log', 'events', 'configmaps'], verbs: ['get', 'list'] };
    expect(decided(logs, [shipped]).phase).to.equal('Active');
    const scale = { apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['get', 'patch'] };
    expect(decided(scale, [shipped]).phase).to.equal('Active');
  });

  it('says in a comment above each line what the line is about', () => {
    const lines = text.split('\n');
    const entries = lines.flatMap((line, at) => (line.startsWith('    - why:') ? [lines[at - 1] ?? ''] : []));
    expect(entries).to.have.length(shipped.spec?.deny?.length ?? 0);
    for (const comment of entries) expect(comment).to.match(/^ {4}# .{20,}/);
  });

  for (const { name, permission, refusedBy } of ESCALATION_ROUTES) {
    const { verbs, resources } = permission;
    it(`refuses to let an agent ${name} (${verbs} ${resources})`, () => {
      const { phase, reasons } = decided(permission, [shipped]);
      expect(phase).to.equal('Pending');
      expect(reasons.map(({ reason }) => reason)).to.include(refusedBy);
    });

    it(`${refusedBy === 'ForbiddenPermission' ? 'never gives way' : 'gives way'} to a policy that allows it: ${name}`, () => {
      const allowing = policy({ allow: [{ why: 'a test', ...permission }] }, 'exception');
      const { phase } = decided(permission, [shipped, allowing]);
      expect(phase).to.equal(refusedBy === 'ForbiddenPermission' ? 'Pending' : 'Active');
    });
  }
});
