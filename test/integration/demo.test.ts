// `make demo` is the first thing that people run: it tells its story to the end, in time, and leaves nothing behind.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const demo = join(import.meta.dirname, '..', 'controlplane', 'demo.ts');

describe('make demo', function () {
  this.timeout(180_000);
  let lines: string[];

  before(async () => {
    const { KUBECONFIG: _, DEMO_ON_MY_CLUSTER: __, ...env } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, [demo], { env });
    lines = stdout.split('\n').map((line) => line.trim());
  });

  const secondsIn = (pattern: RegExp) =>
    lines.flatMap((line) => {
      const found = pattern.exec(line)?.[1];
      return found === undefined ? [] : [Number(found)];
    });

  it("shows the agent's request refused, then passing, then refused, once for each of three grants", () => {
    const answers = lines.flatMap((line) => /^The agent lists pods: (\d+)/.exec(line)?.[1] ?? []);
    expect(answers).to.deep.equal(['403', '200', '403', '200', '403', '200', '403']);
  });

  it('measures a refusal within a second of the deadline, and of a deletion', () => {
    const [lapse] = secondsIn(/^deadline .* refused at .*: ([\d.]+) s later$/);
    expect(lapse).to.be.within(0, 1);
    const [revoked] = secondsIn(/^refused ([\d.]+) s after kubectl delete/);
    expect(revoked).to.be.within(0, 1);
  });

  it('measures a refusal on time although hallpass was killed', () => {
    const [dead] = secondsIn(/^deadline .*: ([\d.]+) s later, without hallpass$/);
    expect(dead).to.be.within(0, 15);
  });

  it('ends with the record of all three', () => {
    const outcomes = lines.flatMap((line) => /^[0-9a-f]{40} .* (Expired|Revoked) /.exec(line)?.[1] ?? []);
    expect(outcomes.sort()).to.deep.equal(['Expired', 'Expired', 'Revoked']);
  });

  it('takes less than two minutes', () => {
    const [total] = secondsIn(/^That was it, in ([\d.]+) s\.$/);
    expect(total).to.be.below(120);
  });
});
