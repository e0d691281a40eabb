// Consent: whether a place lets itself be reached. It exists, is enabled by whoever may, and a namespace accepts grants from elsewhere.

import { ANNOTATIONS } from '../api/names.ts';
import type { Finding, GateInput } from './gates.ts';
import type { Snapshot } from './snapshot.ts';

/** Everything that the places which the grant reaches have against being reached. */
export function consentGate({ grant, access, namespaces, cluster }: GateInput): Finding[] {
  return access.flatMap(({ namespace }): Finding[] => {
    if (namespace === undefined) return clusterConsent(cluster);
    const view = namespaces.get(namespace);
    const own = grant.metadata.namespace ?? '';
    if (!view)
      return [
        {
          reason: 'NamespaceNotFound',
          message: `namespace ${namespace} does not exist; create it, or correct spec.permissions`,
        },
      ];
    if (view.terminating)
      return [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being deleted` }];
    const findings: Finding[] = [];
    if (!view.ceiling) {
      findings.push({
        reason: 'NamespaceNotEnabled',
        message: `namespace ${namespace} is not enabled for grants; whoever may grant that runs: kubectl apply -n ${namespace} -k deploy/namespace`,
      });
    }
    if (namespace !== own && !view.acceptsGrantsFrom.includes(own)) {
      findings.push({
        reason: 'ConsentMissing',
        message: `namespace ${namespace} does not accept grants from ${own}; a cluster admin, or whoever else may patch Namespace ${namespace} (the built-in role admin may not), runs: ${consentCommand(namespace, [...view.acceptsGrantsFrom, own])}`,
      });
    }
    return findings;
  });
}

/** Applying deploy/cluster-scope is the consent of all namespaces, also of those that accept no grants from others. */
function clusterConsent(cluster: Snapshot['cluster']): Finding[] {
  if (cluster?.ceiling) return [];
  return [
    {
      reason: 'ClusterScopeNotEnabled',
      message:
        'the whole cluster is not enabled for grants; ask for access in namespaces, or have a cluster admin run: kubectl apply -k deploy/cluster-scope',
    },
  ];
}

/** Somebody pastes this into a shell, and only who may annotate the namespace has chosen what stands there now. */
function consentCommand(namespace: string, accepted: string[]): string {
  const names = accepted.filter((name) => /^[a-z0-9-]+$/.test(name));
  return `kubectl annotate --overwrite namespace ${namespace} ${ANNOTATIONS.acceptsGrantsFrom}=${names.join(',')}`;
}
