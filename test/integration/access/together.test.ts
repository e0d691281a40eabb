// What many lose at once goes with few requests, and is taken from each all the same.
import { expect } from 'chai';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { usePolicies } from '../endings/policies.ts';
import { configMapsOf, grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

describe('access that many lose at once', function () {
  this.timeout(120_000);
  const stage = useSharedStage();
  const policy = usePolicies(stage);
  /** More than hallpass works on at once: what it need not wait for goes by itself. */
  const many = 80;
  const fewer = 60;

  /** A namespace in which an agent may list ConfigMaps by so many grants. */
  async function granted(namespace: string, validity: { notAfter?: string } = {}) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const permissions = [{ resources: ['configmaps'] }];
    const refs = Array.from({ length: many }, (_, at) => ({ namespace, name: `grant-${at}` }));
    await Promise.all(refs.map((ref) => stage().create(grantManifest(ref, { permissions, ...validity }))));
    await Promise.all(refs.map((ref) => stage().phase(ref, 'Active')));
    const agent = await stage().agent(namespace);
    await agent.until(configMapsOf(namespace), 200);
    return { refs, agent };
  }
  const deletions = () => stage().metric('rest_client_requests_total', 'method="DELETE",resource="rolebindings"');

  it('by a policy goes with fewer requests than there are grants, and no other does', async () => {
    const namespace = 'together-denied';
    const { refs, agent } = await granted(namespace);
    const other = await stage().give(grantManifest({ namespace, name: 'other' }));
    await agent.until(podsOf(namespace), 200);
    const before = await deletions();
    const deny = [{ why: 'a test', apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }];
    await policy('together-denied', namespace, { deny });
    await Promise.all(refs.map((ref) => stage().phase(ref, 'Suspended')));
    await agent.until(configMapsOf(namespace), 403);
    expect((await deletions()) - before).to.be.within(2, fewer);
    const { items } = await stage().admin.list(roleBindings, { namespace, labelSelector: 'hallpass.dev/grant' });
    expect(items.map(({ metadata }) => metadata.name)).to.deep.equal([`hallpass-${other.metadata.uid}`]);
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
  });

  it('by an end that they share goes at that end, not before, with fewer requests than there are grants', async () => {
    const namespace = 'together-lapsed';
    const end = Math.ceil(Date.now() / 1000) * 1000 + 25_000;
    const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
    const { refs, agent } = await granted(namespace, { notAfter });
    const before = await deletions();
    expect(await agent.until(configMapsOf(namespace), 403, 45_000)).to.be.at.least(end);
    expect((await deletions()) - before).to.be.within(2, fewer);
    const ended = await Promise.all(refs.map((ref) => stage().phase(ref, 'Expired', 'EndPassed')));
    for (const { metadata } of ended) await stage().nothingLeft(metadata.uid);
  });
});
