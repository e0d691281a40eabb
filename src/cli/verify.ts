// verify: whether the invariants of hallpass hold on a live cluster. It only reads.

import { setTimeout as delay } from 'node:timers/promises';
import { type Everything, violations } from '../access/invariants.ts';
import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { agentIdentities } from '../api/identity.ts';
import { LABELS, SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentPolicies, type ParsedPolicy } from '../api/policy.ts';
import { agentReceipts } from '../api/receipt.ts';
import { type Client, isForbidden } from '../kube/client.ts';
import {
  clusterRoleBindings,
  clusterRoles,
  jobs,
  type Namespace,
  namespaces,
  roleBindings,
  roles,
  serviceAccounts,
  services,
} from '../kube/kinds.ts';
import { concernedPlaces } from '../policy/access.ts';
import { deadManRuleIn } from '../policy/dead-man.ts';
import { policiesSelecting } from '../policy/policies.ts';
import { type ClusterOptions, withCluster } from './cluster.ts';
import { EXIT, type ExitCode, lacksRole } from './failure.ts';
import { wrapped } from './layout.ts';
import { type Form, show } from './output.ts';
import type { Terminal } from './terminal.ts';

/** What is being changed breaks the invariants for a moment: only what is still so after this many milliseconds is told. */
const MOMENT = 5_000;

/** Checks the invariants; where any is broken, the answer is no. */
export async function verify(where: ClusterOptions, terminal: Terminal, o: { form: Form }): Promise<ExitCode> {
  return withCluster(where, async ({ client, clock, user }) => {
    const look = async () => {
      try {
        return violations(await readEverything(client), clock.now().getTime());
      } catch (error) {
        if (!isForbidden(error)) throw error;
        throw lacksRole(
          'verify reads what gives access in every namespace',
          'hallpass-verifier',
          undefined,
          (await user()).username,
        );
      }
    };
    let found = await look();
    if (found.length > 0) {
      await delay(MOMENT);
      const before = new Set(found);
      found = (await look()).filter((each) => before.has(each));
    }
    show(terminal, o.form, { holds: found.length === 0, violations: found }, () =>
      found.length === 0
        ? ['Every invariant holds.']
        : [
            `${found.length} invariant${found.length === 1 ? ' does' : 's do'} not hold:`,
            ...found.flatMap((each) =>
              wrapped(each, terminal.width - 4).map((line, at) => `${at === 0 ? '  - ' : '    '}${line}`),
            ),
            'hallpass mends this while it runs; what stays is in its log: kubectl logs -n hallpass-system deploy/hallpass',
          ],
    );
    return found.length === 0 ? EXIT.yes : EXIT.no;
  });
}

/** Reads everything that the invariants are about, from storage. */
export async function readEverything(client: Client): Promise<Everything> {
  const items = async <T>(list: Promise<{ items: T[] }>) => (await list).items;
  const [
    grants,
    receipts,
    identities,
    jobList,
    serviceList,
    roleList,
    clusterRoleList,
    bindings,
    clusterBindings,
    accounts,
    policies,
    namespaceList,
  ] = await Promise.all([
    items(client.list(agentGrants)),
    items(client.list(agentReceipts, { namespace: SYSTEM_NAMESPACE })),
    items(client.list(agentIdentities)),
    items(client.list(jobs)),
    items(client.list(services, { namespace: SYSTEM_NAMESPACE })),
    items(client.list(roles)),
    items(client.list(clusterRoles)),
    items(client.list(roleBindings)),
    items(client.list(clusterRoleBindings)),
    items(client.list(serviceAccounts, { labelSelector: LABELS.identityUid })),
    items(client.list(agentPolicies)),
    items(client.list(namespaces)),
  ]);
  return {
    grants,
    deadManOptional: deadManOptional(grants, policies, namespaceList),
    receipts,
    identities,
    jobs: jobList,
    services: serviceList,
    roles: roleList,
    clusterRoles: clusterRoleList,
    roleBindings: bindings,
    clusterRoleBindings: clusterBindings,
    serviceAccounts: accounts,
  };
}

/** Uids of the grants whose policies do without a dead man where it is refused. */
function deadManOptional(grants: ParsedGrant[], policies: ParsedPolicy[], all: Namespace[]): Set<string> {
  const guarded = new Map(
    all.map(({ metadata }) => [metadata.name, { policies: policiesSelecting(policies, metadata.labels) }]),
  );
  // What reaches the whole cluster has a place that is no namespace, and always a dead man.
  const optional = grants.filter((grant) => {
    const views = concernedPlaces(grant).map((place) => guarded.get(place ?? ''));
    return views.every((view) => view !== undefined) && deadManRuleIn(views) === 'BestEffort';
  });
  return new Set(optional.map(({ metadata }) => metadata.uid));
}
