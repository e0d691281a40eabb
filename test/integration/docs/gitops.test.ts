// What the GitOps page says of exported manifests. (What a re-sync does is tried in ../endings/gitops.test.ts.)
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { CONDITIONS, PHASES } from '../../../src/api/conditions.ts';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { installHallpass } from '../../controlplane/installation.ts';
import { fences, page } from './pages.ts';

const exported = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string(), namespace: z.string(), uid: z.string(), finalizers: z.array(z.string()) }),
  spec: z.looseObject({}),
  stamps: z.object({ creator: z.object({ username: z.string() }), requester: z.object({ username: z.string() }) }),
});

describe('a manifest that was exported from the cluster', function () {
  this.timeout(60_000);
  let cluster: ControlPlane;
  // Admission alone decides this, so hallpass need not run.
  before(async () => {
    cluster = await startControlPlane();
    await installHallpass(cluster);
  });
  after(() => cluster?.stop());

  const manifest = (name: string, more: object = {}) => ({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentGrant',
    metadata: { name, namespace: 'demo' },
    spec: {
      agent: 'triage',
      task: { description: 'Find out why.' },
      permissions: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }],
      validity: { duration: '1h' },
    },
    ...more,
  });
  const apply = (object: object, ...flags: string[]) =>
    cluster.kubectl(['apply', ...flags, '-f', '-'], { input: stringify(object) });
  const as = (manager: string) => ['--server-side', `--field-manager=${manager}`];
  const stored = async (name: string) =>
    exported.parse(parse(await cluster.admin(['get', 'aggrant', name, '-n', 'demo', '-o=yaml'])));
  const somebody = { username: 'somebody-else' };
  const stamps = { creator: somebody, requester: somebody };

  it('claims its stamps in vain, and conflicts with the next field manager that claims them', async () => {
    expect((await apply(manifest('stamped', { stamps }), ...as('argocd'))).code).to.equal(0);
    expect((await stored('stamped')).stamps.creator.username).to.not.equal(somebody.username);
    const second = await apply(manifest('stamped', { stamps }), ...as('flux'));
    expect(second.code).to.equal(1);
    expect(second.stderr).to.contain('.stamps.creator.username');
    expect((await apply(manifest('stamped'), ...as('flux'))).code, 'of a clean one').to.equal(0);
  });

  it('loses the finalizer when a cluster admin drops it from the manifest later', async () => {
    const { metadata } = manifest('finalized');
    const finalizers = ['hallpass.dev/cleanup'];
    await apply(manifest('finalized', { metadata: { ...metadata, finalizers } }));
    expect((await stored('finalized')).metadata.finalizers).to.deep.equal(finalizers);
    await apply(manifest('finalized'));
    const left = ['get', 'aggrant', 'finalized', '-n', 'demo', '-o=jsonpath={.metadata.finalizers}'];
    expect(await cluster.admin(left)).to.equal('');
  });

  it('is refused with the uid of an object that is gone', async () => {
    const { metadata } = manifest('moved');
    await apply(manifest('moved'));
    const { uid } = (await stored('moved')).metadata;
    await cluster.admin([
      'patch',
      'aggrant',
      'moved',
      '-n',
      'demo',
      '--type=merge',
      '-p={"metadata":{"finalizers":[]}}',
    ]);
    await cluster.admin(['delete', 'aggrant', 'moved', '-n', 'demo']);
    await apply(manifest('moved'));
    const old = await apply(manifest('moved', { metadata: { ...metadata, uid } }));
    expect(old.code).to.equal(1);
    expect(old.stderr).to.contain('metadata.uid');
  });

  it("names in Argo CD's health checks only conditions and phases that there are", () => {
    const [argo] = fences(page('docs/gitops.md')).filter(({ text }) => text.includes('health.hallpass.dev'));
    const text = argo?.text ?? '';
    const types = [...text.matchAll(/condition\.type == "(\w+)"/g)].map(([, type]) => type);
    const phases = [...text.matchAll(/status\.phase == "(\w+)"/g)].map(([, phase]) => phase);
    expect(types).to.not.be.empty;
    expect(phases).to.not.be.empty;
    expect(Object.keys(CONDITIONS)).to.include.members(types);
    expect(Object.keys(PHASES)).to.include.members(phases);
  });
});
