// `make demo` on a cluster of one's own: the story is told there, with a pod of hallpass's image as the agent, and nothing of it
// stays but the record.
import { execFile } from 'node:child_process';
import { expect } from 'chai';
import { z } from 'zod';
import { deployed, get, kubectl } from './cluster.ts';

describe('make demo with KUBECONFIG and DEMO_ON_MY_CLUSTER=yes', function () {
  this.timeout(240_000);
  let lines: string[];
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
    lines = output.split('\n').map((line) => line.trim());
    if (code !== 0) console.error(output);
  });

  const secondsIn = (pattern: RegExp) =>
    lines.flatMap((line) => {
      const found = pattern.exec(line)?.[1];
      return found === undefined ? [] : [Number(found)];
    });

  it('tells the story to its end, in less than two minutes', () => {
    expect(code).to.equal(0);
    const [total] = secondsIn(/^That was it, in ([\d.]+) s\.$/);
    console.log(`      ${total} s`);
    expect(total).to.be.below(120);
  });

  it("shows the request of the agent's pod refused, then passing, then refused, once for each of three grants", () => {
    const answers = lines.flatMap((line) => /^The agent lists pods: (\d+)/.exec(line)?.[1] ?? []);
    expect(answers).to.deep.equal(['403', '200', '403', '200', '403', '200', '403']);
  });

  it('measures a refusal within a second of the deadline and of a deletion, and on time with every pod of hallpass gone', () => {
    const [lapse] = secondsIn(/^deadline .* refused at .*: ([\d.]+) s later$/);
    expect(lapse).to.be.within(0, 1);
    const [revoked] = secondsIn(/^refused ([\d.]+) s after kubectl delete/);
    expect(revoked).to.be.within(0, 1);
    const [dead] = secondsIn(/^deadline .*: ([\d.]+) s later, without hallpass$/);
    expect(dead).to.be.within(0, 15);
    expect(lines.join('\n')).to.contain('the Deployment is scaled from 2 to 0');
  });

  it('leaves hallpass as it was, and nothing of its own but the record of all three', async () => {
    const replicas = z.object({ status: z.object({ readyReplicas: z.number() }) });
    const { status } = await get(replicas, 'deployment/hallpass', '--namespace', 'hallpass-system');
    expect(status.readyReplicas).to.equal(2);
    expect(await kubectl(['get', 'namespace', 'hallpass-demo', '--ignore-not-found'])).to.equal('');
    const everywhere = ['--all-namespaces', '--output=name', '--field-selector=metadata.namespace=hallpass-demo'];
    expect(await kubectl(['get', 'agentgrants,agentidentities', ...everywhere])).to.equal('');
    const records = lines.filter((line) => /^[0-9a-f]{40} .* hallpass-demo /.test(line));
    const outcomes = records.flatMap((line) => / (Expired|Revoked) /.exec(line)?.[1] ?? []);
    expect(outcomes.sort()).to.deep.equal(['Expired', 'Expired', 'Revoked']);
  });
});
