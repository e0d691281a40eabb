// `make demo` on a cluster of one's own: the story is told there, with a pod of hallpass's image as the agent, and nothing of it
// stays but the record.
import { execFile } from 'node:child_process';
import { expect } from 'chai';
import { z } from 'zod';
import { type DemoStory, readDemo } from '../harness/demo-story.ts';
import { deployed, get, kubectl } from './cluster.ts';

describe('make demo with KUBECONFIG and DEMO_ON_MY_CLUSTER=yes', function () {
  this.timeout(240_000);
  let story: DemoStory;
  let code: unknown;

  before(async () => {
    await deployed();
    const environment = { ...process.env, DEMO_ON_MY_CLUSTER: 'yes' };
    const output = await new Promise<string>((resolve) => {
      const demo = ['test/controlplane/demo.ts'];
      execFile(process.execPath, demo, { env: environment }, (error, stdout, stderr) => {
        code = error ? error.code : 0;
        resolve(stdout + stderr);
      });
    });
    story = readDemo(output);
    if (code !== 0) console.error(output);
  });

  it('tells the story to its end, in less than two minutes', () => {
    expect(code).to.equal(0);
    console.log(`      ${story.total} s`);
    expect(story.total).to.be.below(120);
  });

  it("shows the request of the agent's pod refused, then passing, then refused, once for each of three grants", () => {
    expect(story.answers).to.deep.equal(['403', '200', '403', '200', '403', '200', '403']);
  });

  it('measures a refusal sooner after deadline and deletion than the Job alone would bring it, and on time with every pod of hallpass gone', () => {
    expect(story.lapse).to.be.within(0, 5);
    expect(story.revoked).to.be.within(0, 5);
    expect(story.dead).to.be.within(0, 15);
    expect(story.lines.join('\n')).to.contain('the Deployment is scaled from 2 to 0');
  });

  it('leaves hallpass as it was, and nothing of its own but the record of all three', async () => {
    const replicas = z.object({ status: z.object({ readyReplicas: z.number() }) });
    const { status } = await get(replicas, 'deployment/hallpass', '--namespace', 'hallpass-system');
    expect(status.readyReplicas).to.equal(2);
    expect(await kubectl(['get', 'namespace', 'hallpass-demo', '--ignore-not-found'])).to.equal('');
    const everywhere = ['--all-namespaces', '--output=name', '--field-selector=metadata.namespace=hallpass-demo'];
    expect(await kubectl(['get', 'agentgrants,agentidentities', ...everywhere])).to.equal('');
    expect(story.outcomes(/^[0-9a-f]{40} .* hallpass-demo /)).to.deep.equal(['Expired', 'Expired', 'Revoked']);
  });
});
