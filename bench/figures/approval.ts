// How soon after its approval a grant is Active.
import { agentGrants } from '../../src/api/grant.ts';
import { API_VERSION } from '../../src/api/names.ts';
import { Client } from '../../src/kube/client.ts';
import { distribution } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import { Follower, phaseOf } from '../follower.ts';
import { makeIdentities, makeNamespaces, names, requestGrants, withLab } from '../lab.ts';
import { quiet } from '../metrics.ts';

const grants = 200;
const namespace = 'ns';

export const approval: Figure = {
  name: 'approval',
  title: `from a review that approves to the grant's status Active, of ${grants}`,
  target: 'report',
  method:
    'One after the other, from sending the AgentReview until a watch shows the phase. The reviewer holds hallpass-reviewer in the namespace and nothing else.',
  measure: (progress) =>
    withLab(progress, async (lab) => {
      const { admin, playground } = lab;
      await makeNamespaces(lab, [namespace]);
      await makeIdentities(lab, [namespace]);
      await admin.createRaw(`/apis/${API_VERSION}/agentpolicies`, {
        apiVersion: API_VERSION,
        kind: 'AgentPolicy',
        metadata: { name: 'approved' },
        spec: { namespaceSelector: {}, approvals: [{ why: 'is measured', count: 1 }] },
      });
      await admin.createRaw(`/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
        metadata: { name: 'reviewer' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'hallpass-reviewer' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'bench-reviewer' }],
      });
      const reviewer = new Client({ credentials: await playground.credentialsFor({ user: 'bench-reviewer' }) });
      const phases = await Follower.start(admin, agentGrants, { stateOf: phaseOf });
      await requestGrants(
        lab,
        names('task', grants).map((name) => ({ namespace, name, configMap: name, validity: { duration: '1h' } })),
      );
      await phases.until(() => phases.count('AwaitingApproval') === grants, 'grants to wait for approval');
      await quiet(lab.hallpass.healthUrl);
      const { items } = await admin.list(agentGrants, { namespace });
      const took: number[] = [];
      for (const [index, { metadata, hash }] of items.entries()) {
        const { name, uid, generation } = metadata;
        const from = performance.now();
        const active = phases.until(() => phases.count('Active') > index, 'the grant to be Active');
        await reviewer.createRaw(`/apis/${API_VERSION}/namespaces/${namespace}/agentreviews`, {
          apiVersion: API_VERSION,
          kind: 'AgentReview',
          metadata: { name },
          spec: {
            target: { kind: 'AgentGrant', name, uid, generation, specHash: hash },
            decision: 'Approve',
            comment: 'is measured',
          },
        });
        took.push((await active) - from);
        if (index % 50 === 49) progress(`${index + 1} of ${grants}`);
      }
      phases.stop();
      reviewer.close();
      return { value: distribution(took), details: [] };
    }),
};
