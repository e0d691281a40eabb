// `make demo` is the first thing that people run: it tells its story to the end, in time, and leaves nothing behind.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type DemoStory, readDemo } from '../harness/demo-story.ts';

const demo = join(import.meta.dirname, '..', 'controlplane', 'demo.ts');

describe('make demo', function () {
  this.timeout(180_000);
  let story: DemoStory;

  before(async () => {
    const { KUBECONFIG: _, DEMO_ON_MY_CLUSTER: __, ...env } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, [demo], { env });
    story = readDemo(stdout);
  });

  it("shows the agent's request refused, then passing, then refused, once for each of three grants", () => {
    expect(story.answers).to.deep.equal(['403', '200', '403', '200', '403', '200', '403']);
  });

  it('measures a refusal sooner after the deadline, and after a deletion, than the Job alone would bring it', () => {
    expect(story.lapse).to.be.within(0, 5);
    expect(story.revoked).to.be.within(0, 5);
  });

  it('measures a refusal on time although hallpass was killed', () => {
    expect(story.dead).to.be.within(0, 15);
  });

  it('ends with the record of all three', () => {
    expect(story.outcomes()).to.deep.equal(['Expired', 'Expired', 'Revoked']);
  });

  it('takes less than two minutes', () => {
    expect(story.total).to.be.below(120);
  });
});
