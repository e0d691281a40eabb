// `hallpass release` run by somebody who may not: refused, told what is missing, and nothing is changed.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { grantManifest, useSharedStage } from './stage.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

describe('hallpass release without the verb release', function () {
  this.timeout(90_000);
  // Before the stage's own hook, which may close it.
  after(() => stage().revive());
  const stage = useSharedStage();
  const namespace = 'held';
  const ref = { namespace, name: 'live' };

  /** Runs the command as a user who has one ClusterRole in every namespace. */
  async function release(user: string, clusterRole: string): Promise<{ output: string; code: unknown }> {
    await stage().admin.createRaw('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: user },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: clusterRole },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    });
    const kubeconfig = await stage().playground.kubeconfigFor({ user });
    return new Promise((resolve) => {
      execFile(process.execPath, [main, 'release', `--kubeconfig=${kubeconfig}`], (error, stdout, stderr) => {
        resolve({ output: stdout + stderr, code: error ? error.code : 0 });
      });
    });
  }
  /** Every identity and grant, as it is stored. */
  async function stored(): Promise<string[]> {
    const lists = await Promise.all([stage().admin.list(agentIdentities), stage().admin.list(agentGrants)]);
    const objects = lists.flatMap(({ items }) => items.map(({ metadata }) => metadata));
    return objects.map((each) => `${each.name} at ${each.resourceVersion}, held by ${each.finalizers}`).sort();
  }

  before(async () => {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    await stage().give(grantManifest(ref));
    // As at the end of hallpass's life; told to stop, so that it leaves no lease.
    await Promise.all(stage().playground.hallpass.map((each) => each.stop()));
  });

  for (const [who, clusterRole, says] of [
    ['who may edit all of them', 'admin', /Not released: AgentGrant held\/live: .*only hallpass takes it off/],
    ['who may only look', 'view', /cannot get resource "leases"/],
    ['who may nothing', 'system:discovery', /cannot get resource "leases"/],
  ] as const) {
    it(`is refused to ${who}, who is told what it takes, and nothing is changed`, async () => {
      const before = await stored();
      const { output, code } = await release(`user-of-${clusterRole}`, clusterRole);
      expect(code, output).to.equal(1);
      expect(output)
        .to.match(says)
        .and.match(
          /takes the verbs list, patch and release on agentgrants\S+ and agentidentities.* Cluster admins hold them/,
        )
        .and.not.match(/Released: [1-9]/);
      expect(await stored()).to.deep.equal(before);
    });
  }
});
