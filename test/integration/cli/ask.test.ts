// People ask for access by `kubectl hallpass`, and whether an agent has it: with the shipped roles only, and seen by what the agent may.
import { expect } from 'chai';
import { parse } from 'yaml';
import { agentGrants } from '../../../src/api/grant.ts';
import { run } from '../../../src/cli/program.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { type Person, person } from './person.ts';

describe('kubectl hallpass, by which people ask', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const namespace = 'cli-ask';
  const at = ['-n', namespace];
  let carol: Person;
  let vera: Person;

  before(async () => {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    carol = await person(stage(), 'ask-carol', { namespace, roles: ['edit'] });
    vera = await person(stage(), 'ask-vera', { namespace, roles: ['view'] });
    await stage().poll(
      () => Promise.all([carol.hallpass('list', ...at), vera.hallpass('list', ...at)]),
      (ended) => ended.every(({ code }) => code === 0),
    );
  });

  const oneLine = (text: string) => text.replaceAll(/\s*\n[│├└─ ]*/g, ' ');

  it('says no, and how to ask; asks; and says yes once the agent may', async () => {
    const agent = await stage().agent(namespace);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    const no = await vera.hallpass('can', 'triage', 'list', 'pods', ...at);
    expect(no.code).to.equal(1);
    expect(oneLine(no.out)).to.contain('no: triage may not list pods in namespace cli-ask by any grant now');
    const command = /(kubectl hallpass request .*)$/m.exec(no.out)?.[1] ?? '';
    expect(command).to.equal(
      "kubectl hallpass request -n cli-ask --agent triage --allow 'list pods' --for 10m --task TASK",
    );
    const asked = await carol.hallpass('request', ...at, ...words(command).slice(5), '--yes', '--name', 'by-flags');
    expect(asked.code, asked.err).to.equal(0);
    expect(asked.out).to.match(/^AgentGrant cli-ask\/by-flags is asked for/);
    const given = await stage().phase({ namespace, name: 'by-flags' }, 'Active');
    await agent.until(podsOf(namespace), 200);
    const yes = await vera.hallpass('can', 'triage', 'list', 'pods', ...at);
    expect(yes).to.deep.include({
      code: 0,
      out: `yes, by AgentGrant by-flags, until ${given.status.expiresAt}\n`,
    });
    await stage().remove(agentGrants, { namespace, name: 'by-flags' });
    await agent.until(podsOf(namespace), 403);
    await stage().until(stage().seen.grants, { namespace, name: 'by-flags' }, (now) => now === undefined);
    expect((await vera.hallpass('can', 'triage', 'list', 'pods', ...at)).code).to.equal(1);
  });

  it('names the grant that waits, with what it waits for', async () => {
    await stage().create(grantManifest({ namespace, name: 'beyond' }, { permissions: [{ resources: ['secrets'] }] }));
    await stage().phase({ namespace, name: 'beyond' }, 'Pending');
    const { code, out } = await vera.hallpass('can', 'triage', 'list', 'secrets', ...at);
    expect(code).to.equal(1);
    expect(oneLine(out))
      .to.contain('AgentGrant beyond would give it, and is Pending')
      .and.contain('ExceedsCeiling: in namespace cli-ask ClusterRole hallpass-grantable does not cover list secrets');
  });

  it('foretells what would stand against a grant by what its asker may read, and says what it could not', async () => {
    const ward = await person(stage(), 'ask-ward', {
      everywhere: ['hallpass-policies-view'],
      namespace,
      roles: ['view'],
    });
    const { out } = await stage().poll(
      () => ward.hallpass('can', 'triage', 'create', 'pods/exec', ...at),
      ({ out }) => out.includes('✗'),
    );
    expect(oneLine(out))
      .to.contain('✗ DeniedByPolicy: in namespace cli-ask AgentPolicy default refuses create pods/exec (core)')
      .and.contain('who can change it: whoever asks for it, or whoever maintains AgentPolicies')
      .and.contain('? ClusterRole hallpass-grantable is not known here')
      .and.not.contain('AgentPolicies are not known');
    const blind = await vera.hallpass('can', 'triage', 'create', 'pods/exec', ...at, '-o', 'json');
    expect(JSON.parse(blind.out).possible[0].assumed.join()).to.contain('AgentPolicies are not known here');
  });

  it('asks whether another agent or another resource was meant', async () => {
    const agent = await vera.hallpass('can', 'triagge', 'list', 'pods', ...at);
    expect([agent.code, agent.err]).to.deep.equal([
      3,
      'error: there is no AgentIdentity triagge in namespace cli-ask; did you mean triage?\n',
    ]);
    const resource = await vera.hallpass('can', 'triage', 'list', 'deploymnets', ...at);
    expect([resource.code, resource.err]).to.deep.equal([
      2,
      'error: the cluster has no resource deploymnets; did you mean deployments?\n',
    ]);
  });

  it('prints a manifest that kubectl applies, with the groups that were left out', async () => {
    const wish = ['--agent', 'triage', '--task', 'Look into it', '--allow', 'get,list pods,deployments', '--for', '5m'];
    const { code, out, err } = await carol.hallpass('request', ...at, ...wish, '--name', 'applied', '--dry-run');
    expect(code, err).to.equal(0);
    expect(parse(out).spec.permissions).to.deep.equal([
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'list'] },
    ]);
    expect(stage().seen.grants.get({ namespace, name: 'applied' })).to.equal(undefined);
    const applied = await carol.kubectl(['apply', '-f', '-'], out);
    expect(applied.code, applied.err).to.equal(0);
    await stage().phase({ namespace, name: 'applied' }, 'Active');
  });

  it('asks on a terminal for what was left out, shows the manifest, and asks for it under a name of its own', async () => {
    const kubeconfig = await stage().playground.kubeconfigFor({ user: 'ask-carol' });
    const answers = ['triage', 'Look into it', 'list pods', 'get deployments', '', '5m', 'y'];
    const questions: string[] = [];
    const out: string[] = [];
    const code = await run(['request', ...at, '--kubeconfig', kubeconfig], {
      print: (line) => out.push(line),
      tell: (line) => questions.push(line),
      ask: async (question) => {
        questions.push(question);
        return answers.shift() ?? '';
      },
      width: 100,
    });
    expect(code, questions.join('\n')).to.equal(0);
    expect(questions).to.include('Agents in namespace cli-ask: triage').and.include('    duration: 5m');
    const [, name = ''] = /^AgentGrant cli-ask\/(triage-\w+) is asked for/.exec(out.join('\n')) ?? [];
    await stage().phase({ namespace, name }, 'Active');
  });

  it('completes commands, options and what is in the namespace, as kubectl asks it to', async () => {
    await stage().create(grantManifest({ namespace, name: 'to-complete' }));
    const completed = async (...typed: string[]) =>
      (await vera.kubectl(['__complete', 'hallpass', ...typed])).out.split('\n').filter((line) => line !== '');
    expect(await completed('approve', ...at, 'to-c')).to.deep.equal(['to-complete', ':4']);
    expect(await completed('suspend', ...at, 'agentid')).to.deep.equal(['agentidentity/triage', ':4']);
    expect(await completed('can', ...at, 't')).to.deep.equal(['triage', ':4']);
    expect(await completed('can', ...at, 'triage', 'dele')).to.deep.equal(['delete', 'deletecollection', ':4']);
    expect(await completed('request', '--agent', 'tr', ...at.slice(2))).to.deep.equal([':4']);
    expect(await completed('request', ...at, '--agent', 'tr')).to.deep.equal(['triage', ':4']);
    expect((await completed('res'))[0]).to.match(/^resume\tlift/);
    expect(await completed('lint', '--report', 's')).to.deep.equal(['sarif', ':4']);
    expect(await completed('lint', 'a.yaml', 'b')).to.deep.equal([':0']);
  });

  it('says who gives the right to ask, and refuses what breaks a rule before it is sent', async () => {
    const wish = ['--agent', 'triage', '--task', 'Look into it', '--allow', 'list pods', '--yes'];
    const refused = await vera.hallpass('request', ...at, ...wish, '--for', '5m');
    expect(refused.code).to.equal(3);
    expect(oneLine(refused.err)).to.contain(
      'ask-vera may not create agentgrants.hallpass.dev in namespace cli-ask; ClusterRole hallpass-grants-edit (part of edit and admin) gives it. Whoever may grant that runs: kubectl create rolebinding hallpass-grants-edit-ask-vera -n cli-ask --clusterrole hallpass-grants-edit --user ask-vera',
    );
    const wrong = await carol.hallpass('request', ...at, ...wish, '--for', '5 minutes');
    expect(wrong.code).to.equal(2);
    expect(wrong.err).to.match(/^error: spec\.validity\.duration: /);
  });
});

/** A command's words, as a shell splits them where nothing but single quotes is special. */
function words(command: string): string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}
