// Keeps a receipt for a stated time after its grant ended, then lets it go.

import { agentReceipts, type ParsedReceipt } from '../api/receipt.ts';
import { isNotFound } from '../kube/client.ts';
import type { Result } from '../kube/controller.ts';
import { refOf } from '../kube/object.ts';
import type { Cluster } from './cluster.ts';

/** When a receipt may go, in milliseconds since the epoch; undefined while its access has not ended. */
export function removableAt({ status }: ParsedReceipt, retention: number): number | undefined {
  if (status.outcome === undefined || status.endedAt === undefined) return undefined;
  const ended = Date.parse(status.endedAt);
  return Number.isNaN(ended) ? undefined : ended + retention;
}

/** Deletes the receipt if its time has come. From then on the same request, applied once more, is a new one. */
export async function retire({ caches, client, clock, log }: Cluster, retention: number, key: string): Promise<Result> {
  const receipt = caches.receipts.get(refOf(key));
  const at = receipt && removableAt(receipt, retention);
  if (!receipt || at === undefined || at > clock.now().getTime()) return undefined;
  const { uid, resourceVersion } = receipt.metadata;
  try {
    await client.delete(agentReceipts, receipt.metadata, { uid, resourceVersion });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  caches.receipts.forget(receipt.metadata);
  log.info('removed a receipt after its retention', { receipt: receipt.metadata.name });
  return undefined;
}
