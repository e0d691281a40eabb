// Removes what was made for a grant that is no more: after a time in which no hallpass ran, a forced deletion, or a
// leader that was overtaken between two writes. It acts on what the caches show, when they show it, never on a timer.

import { agentGrants } from '../api/grant.ts';
import { API_VERSION, LABELS, SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentReceipts } from '../api/receipt.ts';
import { isNotFound } from '../kube/client.ts';
import type { Result } from '../kube/controller.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { describePlace } from '../policy/access.ts';
import { timestamp } from '../policy/schedule.ts';
import { type Cluster, INDEX, openReceipts } from './cluster.ts';
import type { GrantMetrics } from './metrics.ts';
import { objectsFor } from './places.ts';
import { placesGiven, withdrawBindings, withdrawRest } from './withdraw.ts';

/** Sweeps what is left of one grant, named by its uid. `enqueue` hands a grant that does exist to its own reconciler. */
export async function sweep(
  cluster: Cluster,
  metrics: GrantMetrics,
  enqueue: (grantKey: string) => void,
  grantUid: string,
): Promise<Result> {
  const { caches, client, clock, log } = cluster;
  const [known] = caches.grants.byIndex(INDEX.grantUid, grantUid);
  if (known) {
    enqueue(keyOf(known.metadata));
    return undefined;
  }
  const left = objectsFor(caches, grantUid);
  const open = openReceipts(caches, grantUid);
  if (left.length === 0 && open.length === 0) return undefined;
  for (const ref of refsOf(left, open)) {
    try {
      // The cache of grants may lag behind the others; a living grant is not swept.
      const grant = await client.get(agentGrants, ref);
      // What is read here is no news to the cache's subscribers any more, so its reconciler is told.
      caches.grants.observe(grant);
      enqueue(keyOf(grant.metadata));
      if (grant.metadata.uid === grantUid) return undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
  const orphan = { metadata: { name: '', uid: grantUid, resourceVersion: '' }, status: {} };
  const places = placesGiven(caches, orphan);
  await withdrawBindings(cluster, grantUid, places);
  await withdrawRest(cluster, grantUid, places);
  for (const { metadata, spec } of open) {
    const now = clock.now().getTime();
    // With hallpass down its Job took the access on time, or its deletion before that: nobody saw which.
    const lapsed = spec !== undefined && Date.parse(spec.expiresAt) <= now;
    const status = {
      outcome: lapsed ? 'Expired' : 'Revoked',
      endedAt: timestamp(now),
      reason: lapsed ? 'EndPassed' : 'EndedByDeletion',
      message: 'the grant was gone when hallpass looked; what was left of its access was removed',
    };
    const patch = { apiVersion: API_VERSION, metadata: { uid: metadata.uid }, status };
    const ref = { namespace: SYSTEM_NAMESPACE, name: metadata.name };
    caches.receipts.observe(await client.patch(agentReceipts, ref, patch, { type: 'merge', subresource: 'status' }));
  }
  metrics.orphansRemoved(left.length);
  log.warn('removed what was left of a grant that is gone', {
    uid: grantUid,
    objects: left.length,
    places: places.map(describePlace),
  });
  return undefined;
}

/** Where the grant would be, by the labels of what is left and by its receipts. */
function refsOf(left: KubeObject[], open: { spec?: { grant: { namespace: string; name: string } } }[]) {
  const refs = new Map<string, { namespace: string; name: string }>();
  for (const { metadata } of left) {
    const namespace = metadata.labels?.[LABELS.grantNamespace];
    const name = metadata.labels?.[LABELS.grantName];
    if (namespace && name) refs.set(`${namespace}/${name}`, { namespace, name });
  }
  for (const { spec } of open) if (spec) refs.set(keyOf(spec.grant), spec.grant);
  return refs.values();
}
