// What ends a grant for good by being gone is asked of the API server before it counts: a cache may be behind.

import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { agentIdentities } from '../api/identity.ts';
import { SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentReceipts } from '../api/receipt.ts';
import { receiptName } from '../api/request.ts';
import { isForbidden, isNotFound } from '../kube/client.ts';
import type { Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import type { Cluster } from './cluster.ts';

/** Takes the receipt on which a grant rests into the cache, where that doesn't have it. */
export async function confirmReceipt(
  { client, caches }: Cluster,
  { metadata, status, hash }: ParsedGrant,
): Promise<void> {
  // One that was narrowed while it was suspended still rests on the receipt of the spec before.
  if (status.startTime === undefined || status.receipt === undefined || isTerminal(status.phase)) return;
  const ref = { namespace: SYSTEM_NAMESPACE, name: status.receipt };
  if (caches.receipts.get(ref)) return;
  const { namespace = '', name } = metadata;
  if (status.receipt !== receiptName({ namespace, name }, hash)) return;
  const receipt = await read(() => client.get(agentReceipts, ref));
  if (receipt) caches.receipts.observe(receipt);
}

/** Whether an agent lives that the verdict, by the cache, takes for deleted; the cache will say so in a moment. */
export async function agentLives({ client }: Cluster, snapshot: Snapshot, verdict: Verdict): Promise<boolean> {
  const { grant, identity, receipt } = snapshot;
  if (isTerminal(grant.status.phase) || verdict.reasons[0]?.reason !== 'AgentDeleted') return false;
  const agent = receipt?.spec?.agent;
  if (!agent || identity?.metadata.deletionTimestamp) return false;
  const found = await read(() =>
    client.get(agentIdentities, { namespace: grant.metadata.namespace, name: agent.name }),
  );
  return found?.metadata.uid === agent.uid && found.metadata.deletionTimestamp === undefined;
}

async function read<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    // Forbidden where hallpass-system is being deleted and hallpass's own rights with it: then the cache's word must do.
    if (isNotFound(error) || isForbidden(error)) return undefined;
    throw error;
  }
}
