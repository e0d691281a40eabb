// A change in the cluster has exactly those grants decided again that it concerns, by hallpass's own count.
import { expect } from 'chai';
import type { ParsedGrant } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import type { ParsedSignal } from '../../../src/api/signal.ts';
import { clusterRoles, namespaces } from '../../../src/kube/kinds.ts';
import { createPolicy } from '../endings/policies.ts';
import { grantManifest, openStage, type Stage } from '../endings/stage.ts';

const api = '/apis/hallpass.dev/v1alpha1';

describe('a change in the cluster', function () {
  this.timeout(120_000);
  let stage: Stage;
  /** Each change is made in a namespace of its own, with three grants: what one has stopped is of no concern to the next. */
  const homes = ['reviewed', 'frozen', 'labelled', 'responding', 'reading', 'agents'];
  const names = ['one', 'two', 'three'];

  before(async () => {
    stage = await openStage();
    await Promise.all(
      homes.map(async (home) => {
        await stage.namespace(home);
        await stage.identity(home);
        await Promise.all(grantsOf(home).map((ref) => stage.give(grantManifest(ref))));
      }),
    );
    // What was given is looked at once more, five seconds later, when the authorizer must have heard of what it rests on.
    const looked = () => stage.metric('controller_reconcile_total', 'controller="rights"');
    await stage.poll(looked, (times) => times >= homes.length * names.length);
  });
  after(() => stage?.close());

  /** How many grants hallpass decided while something was done, and until its effect was there. */
  async function decided(change: () => Promise<unknown>): Promise<number> {
    const count = () => stage.metric('hallpass_decisions_total');
    // What came before may still be looked at.
    const grants = (name: string) => stage.metric(name, '"grants"');
    const busy = async () => (await grants('workqueue_depth')) + (await grants('controller_active_workers'));
    await stage.poll(busy, (now) => now === 0);
    const before = await count();
    await change();
    return (await count()) - before;
  }
  const grantsOf = (home: string) => names.map((name) => ({ namespace: home, name }));
  /** Twice at most: where a write takes long, the watch tells of it before its answer is here. */
  const eachDecided = (count: number, grants: number) => expect(count).to.be.within(grants, 2 * grants);
  const suspended = (refs: { namespace: string; name: string }[]) =>
    Promise.all(refs.map((ref) => stage.phase(ref, 'Suspended')));
  const suspend = ({ metadata: { namespace, name, uid, generation }, hash }: ParsedGrant) =>
    stage.admin.createRaw(`${api}/namespaces/${namespace}/agentreviews`, {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentReview',
      metadata: { name: `stop-${name}` },
      spec: {
        target: { kind: 'AgentGrant', name, uid, generation, specHash: hash },
        decision: 'Suspend',
        comment: 'a test',
      },
    });
  const standing = (ref: { namespace: string; name: string }): ParsedGrant => {
    const grant = stage.seen.grants.get(ref);
    if (!grant) throw new Error(`${ref.name} is gone`);
    return grant;
  };

  it("of a stranger's rights has none decided again", async () => {
    // Only hallpass's own count tells that it has looked at what hangs on rights.
    const looks = () => stage.metric('controller_reconcile_total', 'controller="reviewers",result="success"');
    const before = await looks();
    const count = await decided(async () => {
      await stage.bind('reviewed', 'a-stranger', 'view');
      await stage.poll(looks, (now) => now > before);
    });
    expect(count).to.equal(0);
  });

  it('of a review has the one grant decided again that it is about', async () => {
    const ref = { namespace: 'reviewed', name: 'one' };
    const count = await decided(async () => {
      await suspend(standing(ref));
      await suspended([ref]);
    });
    eachDecided(count, 1);
  });

  it('of a policy has those decided again whose namespaces it selects', async () => {
    const count = await decided(async () => {
      await createPolicy(stage, 'frozen', 'frozen', { freeze: { reason: 'a test' } });
      await suspended(grantsOf('frozen'));
    });
    eachDecided(count, 3);
  });

  it("of a namespace's label has those decided again that reach into it", async () => {
    await createPolicy(stage, 'by-label', { matchLabels: { stopped: 'yes' } }, { freeze: { reason: 'a test' } });
    const count = await decided(async () => {
      const labels = { stopped: 'yes' };
      await stage.admin.patch(namespaces, { name: 'labelled' }, { metadata: { labels } }, { type: 'merge' });
      await suspended(grantsOf('labelled'));
    });
    eachDecided(count, 3);
  });

  const responds = { responses: [{ signal: 'Incident', severity: 'Low', action: 'Suspend' }] };
  const reads = { conditions: [{ name: 'calm', why: 'a test', expression: 'signals.all(s, s.severity == "Low")' }] };

  for (const [does, home, effect, spec] of [
    ['responds to', 'responding', 'Suspend', responds],
    ['reads', 'reading', 'Read', reads],
  ] as const) {
    it(`of a signal that a policy ${does} has those decided again that it is about, and none where it is about another agent`, async () => {
      await createPolicy(stage, home, home, spec);
      const report = async (name: string, agent: string) => {
        await stage.admin.createRaw(`${api}/namespaces/${home}/agentsignals`, {
          apiVersion: 'hallpass.dev/v1alpha1',
          kind: 'AgentSignal',
          metadata: { name },
          spec: { signal: 'Incident', severity: 'High', message: 'a test', agent, expiresAt: '2999-01-01T00:00:00Z' },
        });
        const told = (now: ParsedSignal | undefined) => now?.status.effect === effect;
        await stage.until(stage.seen.signals, { namespace: home, name }, told);
      };
      // Once hallpass answers to one, it has looked at what the policy concerns.
      await report('settles', 'nobody');
      expect(await decided(() => report('elsewhere', 'nobody'))).to.equal(0);
      const count = await decided(async () => {
        await report('here', 'triage');
        await suspended(grantsOf(home));
      });
      eachDecided(count, 3);
    });
  }

  it('of an identity has those of that agent decided again', async () => {
    const count = await decided(async () => {
      const boundary = { maxGrantDuration: '1s' };
      await stage.admin.patch(
        agentIdentities,
        { namespace: 'agents', name: 'triage' },
        { spec: { boundary } },
        { type: 'merge' },
      );
      await suspended(grantsOf('agents'));
    });
    eachDecided(count, 3);
  });

  it('of the ceiling has every grant decided again', async () => {
    const exceeds = (now: ParsedGrant | undefined) =>
      now?.status.reasons?.some(({ reason }) => reason === 'ExceedsCeiling') ?? false;
    const count = await decided(async () => {
      await stage.admin.delete(clusterRoles, { name: 'hallpass-grantable-read' });
      await Promise.all(homes.flatMap(grantsOf).map((ref) => stage.until(stage.seen.grants, ref, exceeds)));
    });
    eachDecided(count, homes.length * names.length);
  });
});
