// The command that raises the ceiling: pasted into a shell it does this and nothing else, whatever the grant asks for.
import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { raiseCeilingCommand } from '../../../src/policy/ceiling-command.ts';

const label = 'hallpass.dev/aggregate-to-grantable';
const rule = { verbs: ['get'], apiGroups: [''], resources: ['secrets'] };

describe('the command that raises the ceiling', () => {
  it('hands the rules to kubectl as they are, and no quote, variable or backslash in a name to the shell', () => {
    const resourceNames = ["a'; touch /tmp/x; '", '$(id)', '`id`', 'a\\nb', '"', '!x'];
    const command = raiseCeilingCommand('compare', [{ ...rule, resourceNames }], label) ?? '';
    const script = command.replace(/\| kubectl create -f -$/, '| cat');
    const role: unknown = JSON.parse(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
    expect(role).to.deep.equal({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: {
        generateName: 'grantable-compare-',
        labels: { 'hallpass.dev/aggregate-to-grantable': 'true' },
      },
      rules: [{ ...rule, resourceNames }],
    });
  });

  it('is left out where nobody would read it, or there is nothing to add', () => {
    expect(raiseCeilingCommand('compare', Array(32).fill(rule), label)).to.equal(undefined);
    expect(raiseCeilingCommand('compare', [], label)).to.equal(undefined);
  });
});
