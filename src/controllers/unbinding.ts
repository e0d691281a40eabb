// Takes the bindings of grants before anything is said about them, and remembers of which until their status says so.

import type { ParsedGrant } from '../api/grant.ts';
import { isAbout, type Request, requestOf } from '../api/request.ts';
import { keyOf } from '../kube/object.ts';
import { isRefused } from '../policy/policies.ts';
import { writtenTerm } from '../policy/schedule.ts';
import { isLive, type Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import { type Caches, type Cluster, openReceipts } from './cluster.ts';
import type { DeleteBinding } from './deleted-together.ts';
import type { GrantMetrics } from './metrics.ts';
import { bindingsFor, objectsFor } from './places.ts';
import { policiesOf } from './snapshot.ts';
import { dueAt } from './watches.ts';
import { AccessRemainsError, placesGiven, withdrawBindings } from './withdraw.ts';

export class Unbinding {
  readonly #cluster: Cluster;
  readonly #metrics: GrantMetrics;
  readonly #complete: () => boolean;
  /**
   * By grant: the request whose bindings went before its status said so, and when. They need not be deleted twice on the way to
   * that, and the request is not decided by an earlier time again, whatever the clock says next.
   */
  readonly #unbound = new Map<string, { request: Request; at: number }>();

  /** `complete`: whether the caches hold all that a decision rests on. */
  constructor(o: { cluster: Cluster; metrics: GrantMetrics; complete: () => boolean }) {
    this.#cluster = o.cluster;
    this.#metrics = o.metrics;
    this.#complete = o.complete;
  }

  /** Whether a grant has run out, and has bindings which `due` is to take. */
  isDue(grant: ParsedGrant): boolean {
    const { caches, clock } = this.#cluster;
    if (this.at(grant) !== undefined) return false;
    const end = this.#endOf(grant);
    if (end !== undefined && end <= clock.now().getTime()) return true;
    // At other times one that is being deleted loses everything in one go.
    return grant.metadata.deletionTimestamp !== undefined && !this.#complete() && isBound(caches, grant);
  }

  /**
   * Withdraws the bindings of such a grant: they go whatever else there is to decide. Others may be due in the same second, so
   * what is left of this one waits. False when others keep them.
   */
  async due(grant: ParsedGrant, deleteBinding?: DeleteBinding): Promise<boolean> {
    const end = this.#endOf(grant);
    const at = this.#cluster.clock.now().getTime();
    if (!(await this.#silently(grant, at, deleteBinding))) return false;
    if (end !== undefined && end <= at) this.#measureLag(end);
    return true;
  }

  /** Whether a grant has bindings which `refused` is to take, since policies refuse it whatever else is true of it. */
  isRefused(grant: ParsedGrant): boolean {
    const { caches } = this.#cluster;
    if (grant.metadata.deletionTimestamp !== undefined || this.at(grant) !== undefined) return false;
    return isRefused(grant, (place) => policiesOf(caches, place)) && isBound(caches, grant);
  }

  /**
   * Withdraws the bindings of such a grant: they go whatever else there is to decide, since one edit of a policy may stop thousands,
   * and each moment counts. False when others keep them.
   */
  async refused(grant: ParsedGrant, deleteBinding?: DeleteBinding): Promise<boolean> {
    const withdrawn = await this.#silently(grant, this.#cluster.clock.now().getTime(), deleteBinding);
    if (withdrawn) this.#metrics.decided();
    return withdrawn;
  }

  /**
   * Withdraws the bindings of a grant that is to hold nothing, before anything is said about it: one change may concern
   * thousands, and each of them loses its access before the first status is written. False when there is nothing to take.
   */
  async first(snapshot: Snapshot, verdict: Verdict): Promise<boolean> {
    const { caches } = this.#cluster;
    const { grant, now } = snapshot;
    const { deletionTimestamp } = grant.metadata;
    if (verdict.phase === 'Active' || deletionTimestamp || this.at(grant) !== undefined) return false;
    const gives = grant.status.phase !== 'Suspended' || isBound(caches, grant);
    if (!gives || !mayHold(caches, snapshot) || !(await this.#silently(grant, now))) return false;
    this.#measureEnd(verdict);
    return true;
  }

  /** Remembers that the bindings of a grant were withdrawn on the way to its status. */
  done({ grant, now }: Snapshot, verdict: Verdict): void {
    this.#remember(grant, now);
    this.#measureEnd(verdict);
  }

  /** When this very request was unbound; undefined when it was not, or its status says so. */
  at(grant: ParsedGrant): number | undefined {
    const unbound = this.#unbound.get(keyOf(grant.metadata));
    return isAbout(unbound?.request, grant) ? unbound?.at : undefined;
  }

  forget(key: string): void {
    this.#unbound.delete(key);
  }

  /**
   * When the access that the grant gives ends, by its receipt; undefined when it gives none. A start has bindings to withdraw
   * before it has read the receipts: until then the status says it, and what that gets wrong is put right by them.
   */
  #endOf(grant: ParsedGrant): number | undefined {
    const { caches } = this.#cluster;
    const open = openReceipts(caches, grant.metadata.uid).find(({ spec }) => spec?.specHash === grant.hash);
    if (open || this.#complete()) return writtenTerm(open?.spec)?.end;
    return isBound(caches, grant) && grant.status.specHash === grant.hash ? dueAt(grant)?.getTime() : undefined;
  }

  /** False when others keep the bindings: the way to the status says so, and tries again. */
  async #silently(grant: ParsedGrant, at: number, deleteBinding?: DeleteBinding): Promise<boolean> {
    const { uid } = grant.metadata;
    try {
      await withdrawBindings(this.#cluster, uid, placesGiven(this.#cluster.caches, grant), deleteBinding);
    } catch (error) {
      if (error instanceof AccessRemainsError) return false;
      throw error;
    }
    this.#remember(grant, at);
    return true;
  }

  #remember(grant: ParsedGrant, at: number): void {
    this.#unbound.set(keyOf(grant.metadata), { request: requestOf(grant), at });
  }

  #measureEnd({ term, reasons }: Verdict): void {
    if (term && reasons[0]?.reason === 'EndPassed') this.#measureLag(term.end);
  }

  #measureLag(end: number): void {
    this.#metrics.expiryLag((this.#cluster.clock.now().getTime() - end) / 1000);
  }
}

/** Whether the caches hold a binding for the grant. */
export function isBound(caches: Caches, { metadata }: ParsedGrant): boolean {
  return bindingsFor(caches, metadata.uid).length > 0;
}

/** Whether anything of the grant is there to be taken, or on record as given. */
export function mayHold(caches: Caches, snapshot: Snapshot): boolean {
  const recorded = isLive(snapshot) || snapshot.superseded.length > 0;
  return recorded || objectsFor(caches, snapshot.grant.metadata.uid).length > 0;
}
