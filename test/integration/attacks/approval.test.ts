// Attacks on approvals, on the real API server, by attackers with credentials of their own. Each ends with what it was for: the
// agent's own request, still refused. docs/security-model.md lists where every attack is tried.
import { expect } from 'chai';
import { z } from 'zod';
import { configMapsOf, grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { caller } from '../guards/caller.ts';
import { ours, people } from './people.ts';

const tokenSchema = z.object({ status: z.object({ token: z.string() }) });
const eyes = { approvals: [{ why: 'a test', count: 1 }] };

describe('who wants to approve what they asked for themselves', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const { person, bind, allow, policy, review, once, says } = people(stage);

  /** A namespace where policies want approvals, with its agent, and a grant that cleo asks for. */
  async function asked(namespace: string, spec: object = eyes, groups: string[] = []) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    await policy(namespace, spec);
    await bind(namespace, 'cleo', 'edit');
    const cleo = await person('cleo', groups);
    const ref = { namespace, name: 'asked' };
    const path = `${ours}/namespaces/${namespace}/agentgrants`;
    await once(() => cleo.call({ method: 'POST', path, body: grantManifest(ref) }));
    const grant = await stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
    return { namespace, ref, grant, cleo, path: `${path}/asked`, agent: await stage().agent(namespace) };
  }

  it('gains nothing by a group that may review, and whose approval is wanted', async () => {
    const wanted = { approvals: [{ why: 'a test', count: 1, groups: ['leads'] }] };
    const { namespace, ref, grant, cleo, agent } = await asked('attack-group', wanted, ['leads']);
    await bind(namespace, { kind: 'Group', name: 'leads' }, 'hallpass-reviewer');
    await review(cleo, grant, 'Approve');
    await says(ref, 'cleo wrote what it is about');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await review(await person('lea', ['leads']), grant, 'Approve');
    await agent.until(podsOf(namespace), 200);
  });

  it('gains nothing by a group that only looks like the one whose approval is wanted', async () => {
    const wanted = { approvals: [{ why: 'a test', count: 1, groups: ['privacy'] }] };
    const { namespace, ref, grant, agent } = await asked('attack-group-name', wanted);
    await bind(namespace, 'mallory', 'hallpass-reviewer');
    await review(await person('mallory', ['pr\u0456vacy', 'Privacy', 'privacy ']), grant, 'Approve');
    await stage().until(stage().seen.grants, ref, (now) => now?.status.approvals?.length === 1);
    await stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('gains nothing by impersonating a reviewer', async () => {
    const { namespace, ref, grant, cleo, agent } = await asked('attack-impersonates');
    for (const user of ['rhea', 'ron']) await bind(namespace, user, 'hallpass-reviewer');
    await allow('cleo', { apiGroups: [''], resources: ['users'], resourceNames: ['rhea'], verbs: ['impersonate'] });
    const asRhea = { 'Impersonate-User': 'rhea' };
    await review({ call: (call) => cleo.call({ ...call, headers: asRhea }) }, grant, 'Approve');
    await says(ref, 'cleo, who wrote what it is about, may act as rhea');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await review(await person('ron'), grant, 'Approve');
    await agent.until(podsOf(namespace), 200);
  });

  it('gains nothing by the token of a ServiceAccount that may review, and stands beside them', async () => {
    const name = 'attack-account';
    const reviewers = { serviceAccounts: [{ namespace: name, name: 'bot' }] };
    const { namespace, ref, grant, cleo, agent } = await asked(name, { ...eyes, reviewers });
    await stage().playground.admin(['create', 'serviceaccount', 'bot', '-n', namespace]);
    await bind(namespace, { kind: 'ServiceAccount', name: 'bot', namespace }, 'hallpass-reviewer');
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/bot/token`;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const { token } = tokenSchema.parse((await once(() => cleo.call({ method: 'POST', path, body }))).body).status;
    const { server, certificateAuthority } = stage().playground;
    await review(caller({ server, certificateAuthority, token: async () => token }), grant, 'Approve');
    await says(ref, 'cleo, who wrote what it is about, may act as system:serviceaccount:attack-account:bot');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('gains nothing by swapping the spec in the moment of its approval', async () => {
    const { namespace, ref, cleo, path, agent } = await asked('attack-swap');
    await bind(namespace, 'rhea', 'hallpass-reviewer');
    const rhea = await person('rhea');
    const permissions = (resource: string) => [{ apiGroups: [''], resources: [resource], verbs: ['list'] }];
    for (let round = 0; round < 4; round += 1) {
      // A reference of its own for each round: no request is used twice.
      const task = { description: 'Find out why.', ref: `round-${round}` };
      await cleo.call({ method: 'PATCH', path, body: { spec: { task, permissions: permissions('pods') } } });
      const shown = await stage().until(
        stage().seen.grants,
        ref,
        (now) =>
          now?.spec?.task.ref === task.ref &&
          now.status.observedGeneration === now.metadata.generation &&
          now.status.phase === 'AwaitingApproval',
      );
      if (!shown) throw new Error('the grant is gone');
      const swap = { spec: { permissions: permissions('configmaps') } };
      const [name, swapped] = await Promise.all([
        review(rhea, shown, 'Approve'),
        cleo.call({ method: 'PATCH', path, body: swap }),
      ]);
      expect(swapped.code).to.equal(200);
      await says(ref, `AgentReview ${name}: the grant was edited since it was looked at`);
      await stage().phase(ref, 'AwaitingApproval', 'ApprovalMissing');
      expect(await agent.asks(configMapsOf(namespace)), 'what nobody approved').to.equal(403);
      expect(await agent.asks(podsOf(namespace)), 'what is not asked for any more').to.equal(403);
    }
  });

  it("gains nobody's trust by a name that looks like another's: status and record show the letter", async () => {
    const { namespace, ref, grant } = await asked('attack-name');
    const twin = 'rh\u0435a';
    await bind(namespace, twin, 'hallpass-reviewer');
    await review(await person(twin), grant, 'Approve');
    const { status } = await stage().phase(ref, 'Active');
    expect(status.approvals?.map(({ reviewer }) => reviewer)).to.deep.equal(['rh\\u{435}a']);

    await bind(namespace, 'cl\u0435o', 'edit');
    const twin2 = await person('cl\u0435o');
    const another = { namespace, name: 'another' };
    const path = `${ours}/namespaces/${namespace}/agentgrants`;
    await once(() => twin2.call({ method: 'POST', path, body: grantManifest(another) }));
    const waiting = await stage().phase(another, 'AwaitingApproval');
    expect(waiting.status.requester).to.equal('cl\\u{435}o');
  });
});
