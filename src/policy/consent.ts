// Consent: whether a place lets itself be reached. It exists, is enabled by whoever may, and a namespace accepts grants from elsewhere.

import { ANNOTATIONS, SYSTEM_NAMESPACE } from '../api/names.ts';
import { type Finding, finding, NOTHING, ofEach } from './finding.ts';
import type { GateInput } from './gates.ts';
import type { Snapshot } from './snapshot.ts';

/** Everything that the places which the grant reaches have against being reached. */
export function consentGate({ grant, access, namespaces, cluster, recordsGoing }: GateInput): readonly Finding[] {
  if (recordsGoing)
    return [
      finding({
        reason: 'NamespaceTerminating',
        what: `namespace ${SYSTEM_NAMESPACE}, in which everything that is granted is on record, is being deleted`,
        remedy: 'install hallpass anew once it is gone',
        by: ['ClusterAdmin'],
      }),
    ];
  return ofEach(access, ({ namespace }) => {
    if (namespace === undefined) return clusterConsent(cluster);
    const view = namespaces.get(namespace);
    const own = grant.metadata.namespace ?? '';
    if (!view)
      return [
        finding({
          reason: 'NamespaceNotFound',
          what: `namespace ${namespace} does not exist`,
          remedy: 'create it, or correct spec.permissions',
          by: ['Requester', 'ClusterAdmin'],
        }),
      ];
    if (view.terminating)
      return [
        finding({
          reason: 'NamespaceTerminating',
          what: `namespace ${namespace} is being deleted`,
          remedy: 'create it anew once it is gone, or correct spec.permissions',
          by: ['Requester', 'ClusterAdmin'],
        }),
      ];
    const findings: Finding[] = [];
    if (!view.ceiling) {
      findings.push(
        finding({
          reason: 'NamespaceNotEnabled',
          what: `namespace ${namespace} is not enabled for grants`,
          remedy: `whoever may grant that runs: kubectl apply -n ${namespace} -k deploy/namespace`,
          by: ['NamespaceAdmin'],
        }),
      );
    }
    if (namespace !== own && !view.acceptsGrantsFrom.includes(own)) {
      findings.push(
        finding({
          reason: 'ConsentMissing',
          what: `namespace ${namespace} does not accept grants from ${own}`,
          remedy: `a cluster admin, or whoever else may patch Namespace ${namespace} (the built-in role admin may not), runs: ${consentCommand(namespace, [...view.acceptsGrantsFrom, own])}`,
          by: ['NamespaceAdmin'],
        }),
      );
    }
    return findings;
  });
}

/** Applying deploy/cluster-scope is the consent of all namespaces, also of those that accept no grants from others. */
function clusterConsent(cluster: Snapshot['cluster']): readonly Finding[] {
  if (cluster?.ceiling) return NOTHING;
  return [
    finding({
      reason: 'ClusterScopeNotEnabled',
      what: 'the whole cluster is not enabled for grants',
      remedy: 'ask for access in namespaces, or have a cluster admin run: kubectl apply -k deploy/cluster-scope',
      by: ['Requester', 'ClusterAdmin'],
    }),
  ];
}

/** Somebody pastes this into a shell, and only who may annotate the namespace has chosen what stands there now. */
function consentCommand(namespace: string, accepted: string[]): string {
  const names = accepted.filter((name) => /^[a-z0-9-]+$/.test(name));
  return `kubectl annotate --overwrite namespace ${namespace} ${ANNOTATIONS.acceptsGrantsFrom}=${names.join(',')}`;
}
