// What no grant may hold, whatever the ceiling says; above all, what hallpass holds beyond the ceiling and could hand on.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { forbiddenReach } from '../../../src/policy/forbidden.ts';

const deploy = join(import.meta.dirname, '..', '..', '..', 'deploy', 'cluster');
const roleSchema = z.object({
  kind: z.literal('ClusterRole'),
  metadata: z.object({ name: z.enum(['hallpass', 'hallpass-issuer']) }),
  rules: z.array(
    z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
  ),
});

/** Each right on one resource that hallpass holds by deploy/cluster, beyond reading. */
const held = ['ceiling.yaml', 'operator.yaml']
  .flatMap((file) => parseAllDocuments(readFileSync(join(deploy, file), 'utf8')))
  .flatMap((document) => {
    const role = roleSchema.safeParse(document.toJS());
    return role.success ? role.data.rules : [];
  })
  .flatMap(({ apiGroups: [group = ''], resources, verbs }) =>
    resources.flatMap((resource) =>
      verbs.map((verb) => ({ apiGroups: [group], resources: [resource], verbs: [verb] })),
    ),
  )
  .filter(({ verbs: [verb = ''] }) => !['get', 'list', 'watch'].includes(verb));

/** By these nobody gains access: a Role gives nothing of what is outside namespaces. */
const harmless = ['events.k8s.io/events', 'authorization.k8s.io/subjectaccessreviews'];

describe('what no grant may hold', () => {
  it('is whatever hallpass itself may write, since the API server would let it hand that on', () => {
    expect(held).to.have.length.above(10);
    const through = held
      .filter((rule) => forbiddenReach(rule).length === 0)
      .map(({ apiGroups, resources }) => `${apiGroups}/${resources}`);
    expect([...new Set(through)].sort()).to.deep.equal([...harmless].sort());
  });

  const job = { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create'] };

  it('is writing Jobs, by any verb, subresource or wildcard, and not reading them', () => {
    const writes = [
      job,
      { ...job, verbs: ['get', 'patch'] },
      { ...job, verbs: ['*'] },
      { ...job, verbs: ['deletecollection'] },
      { ...job, resources: ['jobs/status'] },
      { ...job, resources: ['*'] },
      { ...job, resources: ['*/status'] },
      { ...job, apiGroups: ['apps', '*'] },
    ];
    for (const rule of writes) expect(forbiddenReach(rule), JSON.stringify(rule)).to.have.length.above(0);
    expect(forbiddenReach({ ...job, verbs: ['get', 'list', 'watch'] })).to.deep.equal([]);
  });

  it('is nothing else of what an admin puts into the ceiling', () => {
    const deployments = { apiGroups: ['apps'], resources: ['deployments'], verbs: ['patch'] };
    const cronJobs = { apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['patch'] };
    for (const rule of [deployments, cronJobs]) expect(forbiddenReach(rule)).to.deep.equal([]);
  });
});
