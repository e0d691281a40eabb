// Access that is withdrawn for now: at once, in every namespace, and back 30 s after what stood against it is mended,
// for no longer than before. Restoring takes its time, so the stories run side by side.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { clusterRoles, jobs, namespaces, roleBindings } from '../../../src/kube/kinds.ts';
import { allowJobs, forbidJobs } from '../endings/no-jobs.ts';
import { type Agent, grantManifest, type Permission, podsOf, type Stage, useSharedStage } from '../endings/stage.ts';

/** How long the gates must pass before access returns, and what may come on top on a busy machine, in milliseconds. */
const RESTORE = 30_000;
const SLACK = 10_000;
/** How soon it is tried again to make what was refused. */
const RETRY = 15_000;

type Scene = { home: string; other: string; ref: { namespace: string; name: string }; agent: Agent };
type Story = {
  name: string;
  reason: string;
  permissions?: (scene: Pick<Scene, 'home' | 'other'>) => Permission[];
  /** Where the agent is seen to be refused and to pass again. */
  paths: (scene: Scene) => string[];
  harm: (stage: Stage, scene: Scene) => Promise<unknown>;
  mend: (stage: Stage, scene: Scene) => Promise<unknown>;
};

const inBoth = ({ home, other }: { home: string; other: string }) => [podsOf(home), podsOf(other)];
const reaching = ({ home, other }: { home: string; other: string }) => [{ namespaces: [home, other] }];

const boundary = (stage: Stage, { home }: Scene, spec: object) =>
  stage.admin.patch(
    agentIdentities,
    { namespace: home, name: 'triage' },
    { spec: { boundary: spec } },
    { type: 'merge' },
  );

const consent = (stage: Stage, { other }: Scene, accepted: string | null) =>
  stage.admin.patch(
    namespaces,
    { name: other },
    { metadata: { annotations: { 'hallpass.dev/accepts-grants-from': accepted } } },
    { type: 'merge' },
  );

/** An admin's addition to the ceiling, for this test alone. */
const addition = (stage: Stage) =>
  stage.admin.createRaw('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'suspended-ceiling', labels: { 'hallpass.dev/aggregate-to-grantable': 'true' } },
    rules: [{ apiGroups: [''], resources: ['podtemplates'], verbs: ['list'] }],
  });

const stories: Story[] = [
  {
    name: 'the boundary loses a namespace',
    reason: 'OutsideBoundary',
    permissions: reaching,
    paths: inBoth,
    harm: (stage, scene) => boundary(stage, scene, { namespaces: [scene.home] }),
    mend: (stage, scene) => boundary(stage, scene, { namespaces: [scene.home, scene.other] }),
  },
  {
    name: 'the boundary allows less time than it was given for',
    reason: 'DurationExceedsBoundary',
    paths: ({ home }) => [podsOf(home)],
    harm: (stage, scene) => boundary(stage, scene, { maxGrantDuration: '1m' }),
    mend: (stage, scene) => boundary(stage, scene, { maxGrantDuration: null }),
  },
  {
    name: 'one of its namespaces takes its consent back',
    reason: 'ConsentMissing',
    permissions: reaching,
    paths: inBoth,
    harm: (stage, scene) => consent(stage, scene, null),
    mend: (stage, scene) => consent(stage, scene, scene.home),
  },
  {
    name: 'the ceiling of a namespace is taken away',
    reason: 'NamespaceNotEnabled',
    paths: ({ home }) => [podsOf(home)],
    harm: (stage, { home }) => stage.admin.delete(roleBindings, { namespace: home, name: 'hallpass-grantable' }),
    mend: (stage, { home }) => stage.playground.admin(['apply', '-n', home, '-k', 'deploy/namespace']),
  },
  {
    name: 'the ceiling is lowered',
    reason: 'ExceedsCeiling',
    permissions: () => [{ resources: ['podtemplates'] }],
    paths: ({ home }) => [`/api/v1/namespaces/${home}/podtemplates`],
    harm: (stage) => stage.admin.delete(clusterRoles, { name: 'suspended-ceiling' }),
    mend: addition,
  },
  {
    name: 'one of its namespaces is deleted and made again',
    reason: 'NamespaceNotFound',
    permissions: reaching,
    paths: inBoth,
    harm: (stage, { other }) => stage.admin.delete(namespaces, { name: other }),
    mend: (stage, { home, other }) => stage.namespace(other, { accepts: home }),
  },
];

describe('access that is suspended', function () {
  this.timeout(120_000);
  const stage = useSharedStage();

  async function open(name: string, permissions?: Story['permissions']): Promise<Scene & { given: ParsedGrant }> {
    const home = await stage().namespace(name);
    const other = await stage().namespace(`${name}-other`, { accepts: home });
    await stage().identity(home, { namespaces: [home, other] });
    const ref = { namespace: home, name: 'given' };
    const given = await stage().give(grantManifest(ref, { permissions: permissions?.({ home, other }) }));
    return { home, other, ref, given, agent: await stage().agent(home) };
  }

  async function tell(story: Story, at: number) {
    const { given, ...scene } = await open(`suspended-${at}`, story.permissions);
    const { agent, ref } = scene;
    for (const path of story.paths(scene)) await agent.until(path, 200);
    const harmed = Date.now();
    await story.harm(stage(), scene);
    for (const path of story.paths(scene)) await agent.until(path, 403);
    const refusedAfter = Date.now() - harmed;
    const suspended = await stage().phase(ref, 'Suspended', story.reason);
    await story.mend(stage(), scene);
    const restoring = await stage().phase(ref, 'Suspended', 'Restoring');
    for (const path of story.paths(scene)) expect(await agent.asks(path), `${path} while it waits`).to.equal(403);
    const kept = await stage().objectsOf(given.metadata.uid);
    const restored = await stage().until(
      stage().seen.grants,
      ref,
      (now) => now?.status.phase === 'Active',
      RESTORE + SLACK,
    );
    const waited = Date.now() - Date.parse(restoring.status.passingSince ?? '');
    for (const path of story.paths(scene)) await agent.until(path, 200);
    return { given, suspended, restored, refusedAfter, waited, kept };
  }

  /** A grant whose Job is gone and refused; it is tried again 15 s later. */
  async function rob(name: string) {
    const { home, other, ref, given, agent } = await open(name, reaching);
    const paths = inBoth({ home, other });
    for (const path of paths) await agent.until(path, 200);
    await forbidJobs(stage(), home);
    const job = { namespace: home, name: `hallpass-${given.metadata.uid}` };
    await stage().admin.delete(jobs, job, { propagationPolicy: 'Background' });
    const { status } = await stage().phase(ref, 'Suspended', 'DeadManRefused');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    for (const path of paths) await agent.until(path, 403);
    return { home, ref, given, agent, paths };
  }

  /** Two are robbed of their Jobs, the first for good: it has been tried again before the second, which may have its own. */
  async function robTwo(): Promise<void> {
    const lasting = await rob('suspended-robbed-for-good');
    const reasons = new Set<string | undefined>();
    stage().seen.grants.subscribe(({ object }) => {
      if (object.metadata.namespace === lasting.home) reasons.add(object.status.reasons?.[0]?.reason);
    });
    const { home, ref, given, agent, paths } = await rob('suspended-robbed');
    await allowJobs(stage(), home);
    const { grants } = stage().seen;
    await stage().until(grants, ref, (now) => now?.status.reasons?.[0]?.reason === 'Restoring', RETRY + SLACK);
    const restored = await stage().until(grants, ref, (now) => now?.status.phase === 'Active', RESTORE + SLACK);
    expect(restored?.status.expiresAt).to.equal(given.status.expiresAt);
    for (const path of paths) await agent.until(path, 200);
    const { status } = await stage().phase(lasting.ref, 'Suspended', 'DeadManRefused');
    expect(status.expiresAt).to.equal(lasting.given.status.expiresAt);
    expect([...reasons], 'since it is refused').to.satisfy((seen: unknown[]) =>
      seen.every((reason) => reason === 'DeadManRefused'),
    );
  }

  let robbed: Promise<void>;
  const told = new Map<Story, ReturnType<typeof tell>>();
  before(async () => {
    await addition(stage());
    stories.forEach((story, at) => {
      const telling = tell(story, at);
      // Its own test says so.
      telling.catch(() => undefined);
      told.set(story, telling);
    });
    robbed = robTwo();
    robbed.catch(() => undefined);
  });
  it('when the boundary allows fewer at once: the later ones, until an earlier one ends', async () => {
    const home = await stage().namespace('suspended-number');
    await stage().identity(home, { maxActiveGrants: 2 });
    const refs = ['one', 'two'].map((name) => ({ namespace: home, name }));
    for (const ref of refs) await stage().give(grantManifest(ref));
    await stage().admin.patch(
      agentIdentities,
      { namespace: home, name: 'triage' },
      { spec: { boundary: { maxActiveGrants: 1 } } },
      { type: 'merge' },
    );
    const phases = () => refs.map((ref) => stage().seen.grants.get(ref)?.status.phase);
    await stage().poll(
      async () => phases().sort(),
      (found) => found.join() === 'Active,Suspended',
    );
    const [earlier, later] = phases()[0] === 'Active' ? refs : [...refs].reverse();
    if (!earlier || !later) throw new Error('there are two');
    await stage().phase(later, 'Suspended', 'TooManyActiveGrants');
    await stage().remove(agentGrants, earlier);
    await stage().phase(later, 'Suspended', 'Restoring');
  });

  it('waits its 30 s anew when something stands against it again', async () => {
    const scene = await open('suspended-flapping');
    const narrow = () => boundary(stage(), scene, { maxGrantDuration: '1m' });
    await narrow();
    await stage().phase(scene.ref, 'Suspended', 'DurationExceedsBoundary');
    await boundary(stage(), scene, { maxGrantDuration: null });
    const first = await stage().phase(scene.ref, 'Suspended', 'Restoring');
    await narrow();
    const again = await stage().phase(scene.ref, 'Suspended', 'DurationExceedsBoundary');
    expect(again.status.passingSince).to.equal(undefined);
    await stage().poll(
      async () => Date.now(),
      (now) => now > Date.parse(first.status.passingSince ?? '') + 1_000,
    );
    await boundary(stage(), scene, { maxGrantDuration: null });
    const second = await stage().phase(scene.ref, 'Suspended', 'Restoring');
    expect(Date.parse(second.status.passingSince ?? '')).to.be.above(Date.parse(first.status.passingSince ?? ''));
  });

  it('ends when its time comes, and with the grant, as if it were active', async () => {
    const home = await stage().namespace('suspended-ends');
    await stage().identity(home);
    const [lapsing, deleted] = ['lapsing', 'deleted'].map((name) => ({ namespace: home, name }));
    if (!lapsing || !deleted) throw new Error('there are two');
    const { metadata, status } = await stage().give(grantManifest(lapsing, { duration: '4s' }));
    await stage().give(grantManifest(deleted));
    await stage().admin.delete(roleBindings, { namespace: home, name: 'hallpass-issuer' });
    await stage().phase(deleted, 'Suspended', 'NamespaceNotEnabled');
    await stage().remove(agentGrants, deleted);
    expect(await stage().closed(deleted)).to.include({ outcome: 'Revoked', reason: 'EndedByDeletion' });
    const ended = await stage().phase(lapsing, 'Expired', 'EndPassed');
    expect(ended.status.expiresAt).to.equal(status.expiresAt);
    expect(await stage().closed(lapsing)).to.include({ outcome: 'Expired', reason: 'EndPassed' });
    await stage().nothingLeft(metadata.uid);
  });

  for (const story of stories) {
    it(`when ${story.name}: everywhere at once, and back 30 s after that is mended, with the same end`, async () => {
      const result = await told.get(story);
      if (!result) throw new Error('the story was not begun');
      const { given, suspended, restored, refusedAfter, waited, kept } = result;
      console.log(`      refused everywhere ${refusedAfter} ms after ${story.name}`);
      expect(refusedAfter).to.be.below(5_000);
      expect(suspended.status.expiresAt).to.equal(given.status.expiresAt);
      expect(kept.filter((object) => object.startsWith('RoleBinding'))).to.deep.equal([]);
      expect(suspended.status.created?.map(({ kind }) => kind)).to.not.include('RoleBinding');
      expect(waited).to.be.within(RESTORE, RESTORE + SLACK);
      expect(restored?.status).to.include({
        startTime: given.status.startTime,
        expiresAt: given.status.expiresAt,
        receipt: given.status.receipt,
      });
      expect(restored?.status.passingSince).to.equal(undefined);
    });
  }

  it('when its Job is gone and refused: everywhere, until the Job is taken and for 30 s more, with the same end', () =>
    robbed);
});
