// docs/cli.md: each command as a person of its story types it, with what it prints.
import { execFile } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { expect } from 'chai';
import { binary } from '../../controlplane/binaries.ts';
import { type Playground, startPlayground } from '../../controlplane/playground.ts';
import { poll } from '../../harness/poll.ts';
import { policyManifest } from '../endings/policies.ts';
import { fences, page, root } from './pages.ts';

const guide = page('docs/cli.md');

/** What differs from run to run: times, and the ends of generated names. */
const steady = (text: string) =>
  text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
    .replace(/\bin (\d+[hms])+ */g, 'in A-WHILE ')
    .replace(/-(approve|deny|suspend|resume|revoke)-\w{5}\b/g, '-$1-xxxxx')
    .trimEnd();

describe('the guide to kubectl hallpass', function () {
  this.timeout(60_000);
  let playground: Playground;
  const kubeconfigs: Record<string, string> = {};

  before(async () => {
    playground = await startPlayground();
    for (const part of ['admin', 'team'])
      await playground.admin(['apply', '-k', `${root}/examples/deploy-agent/${part}`]);
    const approvals = [{ why: 'production is touched', count: 1 }];
    const policy = JSON.stringify(policyManifest('web-approvals', 'web', { approvals }));
    await playground.admin(['create', '-f', '-'], { input: policy });
    for (const [user, role] of [
      ['ada', 'hallpass-reviewer'],
      ['rosa', 'hallpass-reviewer'],
    ] as const) {
      await playground.admin(['create', 'rolebinding', user, '-n', 'web', '--clusterrole', role, '--user', user]);
    }
    await playground.admin(['create', 'clusterrolebinding', 'victor', '--clusterrole', 'view', '--user', 'victor']);
    const verifier = ['--clusterrole', 'hallpass-verifier', '--user', 'ada'];
    await playground.admin(['create', 'clusterrolebinding', 'verifier', ...verifier]);
    const guardrails = ['--clusterrole', 'hallpass-policies-edit', '--user', 'grace'];
    await playground.admin(['create', 'clusterrolebinding', 'guardrails', ...guardrails]);
    for (const user of ['ada', 'victor', 'grace']) kubeconfigs[user] = await playground.kubeconfigFor({ user });
    kubeconfigs.rosa = await playground.kubeconfigFor({ user: 'rosa', groups: ['web-release'] });
    await until('rosa', `kubectl create -n web -f ${root}/examples/deploy-agent/request/grant.yaml`);
    await playground.admin(['wait', '--for=jsonpath={.status.phase}=AwaitingApproval', 'aggrant/rollout', '-n', 'web']);
    await until('victor', 'kubectl get aggrant -n web');
    await until('ada', 'kubectl auth can-i approve aggrant -n web');
    await until('ada', 'kubectl auth can-i list jobs -A');
    await until('grace', 'kubectl auth can-i delete agpol');
  });
  after(() => playground?.stop());

  /** What a line prints, standard error included, in the order in which it comes. */
  async function run(user: string, line: string): Promise<{ output: string; code: number }> {
    const PATH = [join(root, 'bin'), dirname(await binary('kubectl')), process.env.PATH].join(delimiter);
    const kubeconfig = kubeconfigs[user] ?? '';
    const env = { HOME: dirname(kubeconfig), PATH, KUBECONFIG: kubeconfig };
    return new Promise((resolve) => {
      const child = execFile('bash', ['-c', `exec 2>&1; ${line}`], { cwd: root, env }, (error, output) => {
        resolve({ output, code: typeof error?.code === 'number' ? error.code : 0 });
      });
      child.stdin?.end();
    });
  }

  /** Waits until what was decided shows in the statuses, since the next command prints them. */
  async function settled(phase: 'Active' | 'Suspended'): Promise<void> {
    const count = phase === 'Active' ? 1 : 0;
    const wait = ['wait', '-n', 'web', '--timeout=20s'];
    await playground.admin([...wait, `--for=jsonpath={.status.phase}=${phase}`, 'aggrant/rollout']);
    await playground.admin([...wait, `--for=jsonpath={.status.activeGrants}=${count}`, 'agentid/deployer']);
  }

  /** Repeats a line until it succeeds: what was bound takes effect some milliseconds later. */
  async function until(user: string, line: string): Promise<void> {
    const told = ({ output }: { output: string }) => `${user}: ${line}: ${output}`;
    await poll(
      () => run(user, line),
      ({ code }) => code === 0,
      20_000,
      { told },
    );
  }

  for (const { language, text, line } of fences(guide)) {
    if (language !== 'console') continue;
    it(`prints what is shown from line ${line}`, async () => {
      const [first = '', ...shown] = text.split('\n');
      const [, user = '', command = ''] = /^(\w+)\$ (.*)$/.exec(first) ?? [];
      expect(kubeconfigs, first).to.have.property(user);
      const { output, code } = await run(user, command);
      const decision = /hallpass (approve|suspend) /.exec(command)?.[1];
      if (decision && code === 0) await settled(decision === 'approve' ? 'Active' : 'Suspended');
      expect(steady(output)).to.equal(steady(shown.join('\n')));
      expect(output.split('\n').filter((each) => each.length > 100 && !/kubectl|printf/.test(each))).to.deep.equal([]);
    });
  }
});
