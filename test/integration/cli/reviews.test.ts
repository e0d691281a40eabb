// People decide by `kubectl hallpass`, with the shipped roles only; the agent's access shows whether it counted.
import { expect } from 'chai';
import { agentPolicies } from '../../../src/api/policy.ts';
import { agentReviews } from '../../../src/api/review.ts';
import { unlessGone } from '../../../src/kube/client.ts';
import { createPolicy } from '../endings/policies.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { type Person, person, runKubectl } from './person.ts';

const sure = ['--yes', '--comment', 'a test'];

describe('kubectl hallpass, by which people decide', function () {
  this.timeout(60_000);
  // Before the stage's own hook, which may close it.
  after(async () => {
    await unlessGone(stage().admin.delete(agentPolicies, { name: namespace }));
  });
  const stage = useSharedStage();
  const namespace = 'cli-reviews';
  const at = ['-n', namespace];
  let carol: Person;
  let rita: Person;

  before(async () => {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    await createPolicy(stage(), namespace, namespace, { approvals: [{ why: 'a test', count: 1 }] });
    carol = await person(stage(), 'cli-carol', { namespace, roles: ['edit', 'hallpass-reviewer'] });
    rita = await person(stage(), 'cli-rita', { namespace, roles: ['hallpass-reviewer'] });
    await rita.may('approve', 'agentgrants.hallpass.dev', ...at);
  });

  /** A grant that carol asks for, once it waits for people. */
  async function asked(name: string) {
    const manifest = JSON.stringify(grantManifest({ namespace, name }));
    await stage().poll(
      () => carol.kubectl(['create', '-f', '-'], manifest),
      ({ code }) => code === 0,
    );
    return stage().phase({ namespace, name }, 'AwaitingApproval');
  }

  it('shows a reviewer what they approve, and gives the agent its access by their word', async () => {
    const agent = await stage().agent(namespace);
    const { metadata, hash } = await asked('look');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const { code, out, err } = await rita.hallpass('approve', ...at, 'look', ...sure);
    expect(code, err).to.equal(0);
    expect(err)
      .to.contain('AgentGrant cli-reviews/look\n')
      .and.contain('agent       triage\n')
      .and.contain('task        Find out why.\n')
      .and.contain('may         list pods (core) in namespace cli-reviews\n')
      .and.contain('time        for 1h\n')
      .and.contain('written by  cli-carol\n');
    expect(out).to.match(/^Approve of AgentGrant cli-reviews\/look is on record as AgentReview look-approve-\w+\n$/);
    await agent.until(podsOf(namespace), 200);
    const [made] = (await stage().admin.list(agentReviews, { namespace })).items;
    expect(made?.spec?.target).to.deep.equal({
      kind: 'AgentGrant',
      name: 'look',
      uid: metadata.uid,
      generation: metadata.generation,
      specHash: hash,
    });
    expect(made?.stamps?.reviewer.username).to.equal('cli-rita');
  });

  it('suspends a grant and resumes it, suspends its agent, and revokes, each seen by what the agent may', async () => {
    const agent = await stage().agent(namespace);
    const grant = { namespace, name: 'look' };
    const done = async (...words: string[]) => {
      const { code, err } = await rita.hallpass(...words, ...at, ...sure);
      expect(code, err).to.equal(0);
    };
    await done('suspend', 'look');
    await agent.until(podsOf(namespace), 403);
    const suspended = await stage().phase(grant, 'Suspended', 'SuspendedByReview');
    // The remedy in the status is a command that works as it stands.
    const remedy = /lifts it by: kubectl (hallpass resume .*)$/.exec(suspended.status.message ?? '')?.[1] ?? '';
    const lifted = await rita.kubectl([...remedy.split(' '), ...sure]);
    expect(lifted.code, lifted.err).to.equal(0);
    await stage().phase(grant, 'Suspended', 'Restoring');
    await done('suspend', 'agentidentity/triage');
    await stage().phase(grant, 'Suspended', 'AgentSuspended');
    await done('resume', 'agentidentity/triage');
    await stage().phase(grant, 'Suspended', 'Restoring');
    await stage().until(stage().seen.grants, grant, (now) => now?.status.phase === 'Active', 45_000);
    await agent.until(podsOf(namespace), 200);
    await done('revoke', 'look');
    await agent.until(podsOf(namespace), 403);
    await stage().phase(grant, 'Revoked', 'RevokedByReview');
    const late = await rita.hallpass('approve', ...at, 'look', ...sure);
    expect(late.code).to.equal(1);
    expect(late.err).to.contain('is Revoked, which is final');
  }).timeout(120_000);

  it('denies a request, and answers in YAML', async () => {
    await asked('unwanted');
    const { code, out, err } = await rita.hallpass('deny', ...at, 'unwanted', ...sure, '-o', 'yaml');
    expect(code, err).to.equal(0);
    expect(out)
      .to.match(/^apiVersion: hallpass.dev\/v1alpha1\nkind: AgentReview\n/)
      .and.match(/ {2}decision: Deny\n/);
    await stage().phase({ namespace, name: 'unwanted' }, 'Denied', 'DeniedByReview');
  });

  it('makes no review by who wrote the grant, nor by who may act as them, and says who could', async () => {
    await asked('own');
    const before = (await stage().admin.list(agentReviews, { namespace })).items.length;
    const own = await carol.hallpass('approve', ...at, 'own', ...sure);
    expect(own.code).to.equal(1);
    expect(own.err.replaceAll('\n', ' ')).to.contain(
      'you are cli-carol, who wrote AgentGrant cli-reviews/own, and nobody decides for what they wrote. Somebody else must',
    );
    const kubeconfig = await stage().playground.kubeconfigFor({ user: 'cli-root', groups: ['system:masters'] });
    const admin = await runKubectl(kubeconfig, ['hallpass', 'approve', ...at, 'own', ...sure]);
    expect(admin.code).to.equal(1);
    expect(admin.err.replaceAll('\n', ' ')).to.contain(
      'you (cli-root) may act as cli-carol, who wrote AgentGrant cli-reviews/own',
    );
    expect((await stage().admin.list(agentReviews, { namespace })).items).to.have.length(before);
  });

  it('says which verb is missing and which role gives it, by a command that does', async () => {
    await asked('wanted');
    const victor = await person(stage(), 'cli-victor', { namespace, roles: ['view'] });
    const refused = await stage().poll(
      () => victor.hallpass('approve', ...at, 'wanted', ...sure),
      ({ err }) => err.includes('hallpass-reviewer'),
    );
    expect(refused.code).to.equal(3);
    expect(refused.err.replaceAll('\n', ' ')).to.contain(
      'cli-victor may not approve agentgrants.hallpass.dev in namespace cli-reviews; ClusterRole hallpass-reviewer gives it',
    );
    const command = /^(kubectl create rolebinding .*)$/m.exec(refused.err)?.[1] ?? '';
    await stage().playground.admin(command.split(' ').slice(1));
    await stage().poll(
      () => victor.hallpass('approve', ...at, 'wanted', ...sure),
      ({ code }) => code === 0,
    );
    await stage().phase({ namespace, name: 'wanted' }, 'Active');
    const stranger = await person(stage(), 'cli-stranger');
    const lost = await stranger.hallpass('deny', ...at, 'wanted', ...sure);
    expect(lost.code).to.equal(3);
    expect(lost.err.replaceAll('\n', ' ')).to.contain(
      'cli-stranger may not get agentgrants.hallpass.dev in namespace cli-reviews; ClusterRole hallpass-grants-view (part of view, edit and admin) gives it',
    );
  });

  it('tells who looks into it what each gate says, and who could change that', async () => {
    await asked('waits');
    const vera = await person(stage(), 'cli-vera', { namespace, roles: ['view'] });
    const { out } = await stage().poll(
      () => vera.hallpass('why', ...at, 'waits'),
      ({ code }) => code === 0,
    );
    expect(out)
      .to.contain('AgentGrant cli-reviews/waits: AwaitingApproval\n')
      .and.contain('├─ ✓ policies\n')
      .and.contain('├─ ✗ approvals\n│  └─ ApprovalMissing: it takes 1 approval')
      .and.contain('who can change it: a reviewer (ClusterRole hallpass-reviewer)\n');
    expect(out.split('\n').filter((line) => line.length > 100)).to.deep.equal([]);
    const all = await vera.hallpass('why', ...at, 'agentidentity/triage', '-o', 'json');
    const { grants } = JSON.parse(all.out);
    expect(grants.find(({ name }: { name: string }) => name === 'waits')).to.deep.include({
      phase: 'AwaitingApproval',
    });
    const listed = await vera.hallpass('list', ...at);
    expect(listed.out).to.match(/^triage +waits +AwaitingApproval +- +a reviewer/m);
    expect(listed.out, 'what has ended').to.not.contain('unwanted');
    expect((await vera.hallpass('list', ...at, '--ended')).out).to.match(/^triage +unwanted +Denied/m);
    const everywhere = await vera.hallpass('list', '-A');
    expect(everywhere.code).to.equal(3);
    expect(everywhere.err.replaceAll('\n', ' ')).to.contain(
      'cli-vera may not list agentgrants.hallpass.dev in every namespace; ClusterRole hallpass-grants-view',
    );
  });

  it('asks whether another name was meant, and takes an identity for no grant', async () => {
    await asked('rollout-7');
    const typo = await rita.hallpass('approve', ...at, 'rolout-7', ...sure);
    expect(typo.code).to.equal(3);
    expect(typo.err).to.equal(
      'error: there is no AgentGrant rolout-7 in namespace cli-reviews; did you mean rollout-7?\n',
    );
    const agent = await rita.hallpass('suspend', ...at, 'triage', ...sure);
    expect(agent.code).to.equal(3);
    expect(agent.err.replaceAll('\n', ' ')).to.contain('did you mean agentidentity/triage, all its grants?');
  });

  it('decides nothing where nobody can be asked and nobody said yes', async () => {
    const { code, err } = await rita.hallpass('approve', ...at, 'rollout-7');
    expect(code).to.equal(2);
    expect(err).to.equal('error: this is no terminal, so nobody can be asked: say --comment and --yes\n');
  });
});
