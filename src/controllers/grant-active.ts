// Makes a grant Active, or puts back what was changed under it: the receipt first, then what gives the access, then the
// agent in it, each step recorded.

import { correctedDeadline } from '../access/grant-objects.ts';
import { renderReceipt } from '../access/receipts.ts';
import type { EventReason } from '../api/conditions.ts';
import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { API_VERSION, FINALIZER, grantObjectName, SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentReceipts, type ParsedReceipt } from '../api/receipt.ts';
import { receiptName } from '../api/request.ts';
import { isAlreadyExists, isNotFound } from '../kube/client.ts';
import type { Result } from '../kube/controller.ts';
import { keyOf } from '../kube/object.ts';
import { NORMAL } from '../kube/queue.ts';
import type { Place } from '../policy/access.ts';
import { deadManRule, refused } from '../policy/dead-man.ts';
import { decide } from '../policy/decide.ts';
import { finding } from '../policy/finding.ts';
import { timestamp, writtenTerm } from '../policy/schedule.ts';
import { isLive, type Refusal, type Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import type { Cluster } from './cluster.ts';
import type { Decided, GrantRecord } from './grant-record.ts';
import { deadManOf, lackingDeadMan, refusedDeadMan } from './grant-status.ts';
import { createdObjects, type Issuer, type Placement } from './issue.ts';
import type { GrantMetrics } from './metrics.ts';
import { placementOf, placesWithoutDeadMan } from './places.ts';
import type { Refusals } from './refusals.ts';
import type { Repairs } from './repairs.ts';
import { placesGiven, straysOf, withdrawBindings, withdrawRest } from './withdraw.ts';

const ISSUING = finding({
  reason: 'Issuing',
  what: 'every gate is passed',
  remedy: 'the access is being created',
  by: ['Hallpass'],
});

type Spec = NonNullable<ParsedReceipt['spec']>;

export class GrantActivation {
  readonly #cluster: Cluster;
  readonly #issuer: Issuer;
  readonly #record: GrantRecord;
  readonly #metrics: GrantMetrics;
  readonly #refusals: Refusals;
  readonly #repairs: Repairs;

  constructor(o: {
    cluster: Cluster;
    issuer: Issuer;
    record: GrantRecord;
    metrics: GrantMetrics;
    refusals: Refusals;
    repairs: Repairs;
  }) {
    this.#cluster = o.cluster;
    this.#issuer = o.issuer;
    this.#record = o.record;
    this.#metrics = o.metrics;
    this.#refusals = o.refusals;
    this.#repairs = o.repairs;
  }

  /** Active: whatever is missing is made, in the order of issue.ts, and the status follows. */
  async give(snapshot: Snapshot, verdict: Decided): Promise<Result> {
    const { grant } = snapshot;
    if (snapshot.intact && snapshot.receipt?.spec && grant.status.phase === 'Active' && !verdict.narrows) {
      const placements = this.#cachedPlacements(snapshot);
      // A Job that the controller manager started late fires late, and is corrected once its start is known.
      const { term, withoutDeadMan } = verdict;
      const late = placements.some(({ job }) => job && term && correctedDeadline(job, term.end) !== undefined);
      const prepared = late ? await this.#issuer.prepare(snapshot.receipt.spec, withoutDeadMan) : placements;
      await this.#sayActive(snapshot, verdict, prepared);
      this.#noteDeadMan(grant, verdict);
      return undefined;
    }
    if (isRepair(snapshot) && !verdict.narrows) {
      const requeueAfterMs = this.#repairs.wait(keyOf(grant.metadata));
      if (requeueAfterMs > 0) {
        await this.#record.write(grant, {
          ...this.#record.standing(snapshot, verdict),
          settled: false,
          deadMan: lackingDeadMan(verdict) ?? this.#record.cachedDeadMan(grant.metadata.uid),
        });
        return { requeueAfterMs, priority: NORMAL };
      }
      this.#repairs.note(keyOf(grant.metadata));
    }
    try {
      return await this.#issue(snapshot, verdict);
    } catch (error) {
      const refusal = this.#refusals.note(grant, error);
      if (!refusal) throw error;
      // What the policies do without is left out the next time.
      if (decide({ ...snapshot, refusal }).phase === 'Active') return { requeueAfterMs: 0 };
      // Announced by now: whether anything was given is for a decision on that status to say, not on the one before.
      const { startTime } = this.#cluster.caches.grants.get(grant.metadata)?.status ?? grant.status;
      if (startTime !== grant.status.startTime) return { requeueAfterMs: 0 };
      return await this.#refused(snapshot, verdict, refusal);
    }
  }

  async #issue(snapshot: Snapshot, verdict: Decided): Promise<Result> {
    const { grant } = snapshot;
    // Uncached: what the decision rests on must still be the newest before the first write.
    const fresh = await this.#read(grant);
    if (!fresh) return undefined;
    if (fresh.metadata.uid !== grant.metadata.uid || fresh.metadata.deletionTimestamp || fresh.hash !== grant.hash) {
      return { requeueAfterMs: 0 };
    }
    const receipt = isLive(snapshot) ? snapshot.receipt : await this.#claim(snapshot, verdict);
    if (!receipt?.spec) return { requeueAfterMs: 0 };
    const spec = receipt.spec;
    const repaired = isRepair(snapshot);
    if (verdict.narrows) await this.#narrow(snapshot, spec);
    if (deadManRule(snapshot) === 'Required') {
      // The policies did without a dead man before: now nothing is given until there is one.
      const { uid } = fresh.metadata;
      await withdrawBindings(this.#cluster, uid, placesWithoutDeadMan(this.#cluster.caches, uid));
    }
    // What a leader that was overtaken left where the grant doesn't reach.
    await this.#withdraw(grant, straysOf(this.#cluster.caches, grant.metadata.uid, spec.access));
    const placements = await this.#issuer.prepare(spec, verdict.withoutDeadMan);
    const term = writtenTerm(spec);
    const announced = await this.#record.write(fresh, {
      ...this.#record.standing(snapshot, verdict),
      phase: repaired || verdict.narrows ? 'Active' : 'Pending',
      reasons: repaired || verdict.narrows ? verdict.reasons : [ISSUING],
      settled: false,
      term,
      receipt: receipt.metadata.name,
      created: createdObjects(placements),
      deadMan: lackingDeadMan(verdict) ?? deadManOf(placements.map(({ job }) => job)),
    });
    const bound = await this.#issuer.bind(spec, placements);
    await this.#sayActive({ ...snapshot, grant: announced, receipt }, { ...verdict, term }, bound);
    if (verdict.narrows) await this.#record.closeReceipts(snapshot, 'Superseded');
    if (bound.every(({ job }) => job)) this.#refusals.forget(keyOf(grant.metadata));
    if (this.#noteDeadMan(grant, verdict) === 'DeadManMade') return undefined;
    if (repaired) {
      this.#metrics.repaired();
      this.#record.note(
        grant,
        'Repaired',
        'what gives the access was edited or deleted by somebody else and was put back',
      );
    } else if (grant.status.phase !== 'Active') {
      this.#record.announce(grant, verdict);
    }
    return undefined;
  }

  /** Tells where access is given without a dead man from now on, or is not any more. `grant`: as it was before. */
  #noteDeadMan(grant: ParsedGrant, verdict: Verdict): EventReason | undefined {
    const lacking = lackingDeadMan(verdict);
    const { phase, warnings = [] } = grant.status;
    const lacked = phase === 'Active' && warnings.some(({ reason }) => reason === 'DeadManLacking');
    if ((lacking !== undefined) === lacked) return undefined;
    const event = lacking ? 'DeadManLacking' : 'DeadManMade';
    this.#record.note(grant, event, lacking?.message ?? 'the dead man that was lacking is there now');
    return event;
  }

  /** The grant as it is stored now, held by our finalizer; undefined when it is gone. */
  async #read({ metadata }: ParsedGrant): Promise<ParsedGrant | undefined> {
    const { client, caches } = this.#cluster;
    try {
      let grant = await client.get(agentGrants, metadata);
      const { uid, resourceVersion, finalizers = [] } = grant.metadata;
      if (!finalizers.includes(FINALIZER) && !grant.metadata.deletionTimestamp) {
        // Created while the guard that sets it was away. Without it a deletion would leave the access behind.
        const patch = { metadata: { uid, resourceVersion, finalizers: [...finalizers, FINALIZER] } };
        grant = await client.patch(agentGrants, metadata, patch, { type: 'merge' });
      }
      caches.grants.observe(grant);
      return grant;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Creates the receipt, which the API server lets happen once. Undefined when it is there already: decide again. */
  async #claim({ grant, hash, identity }: Snapshot, verdict: Decided): Promise<ParsedReceipt | undefined> {
    const { namespace = '', name, uid } = grant.metadata;
    const { client, caches } = this.#cluster;
    if (!grant.spec || !grant.stamps || !identity || !verdict.term) throw new Error('an Active verdict without a spec');
    const key = { namespace, name, uid };
    const wanted = renderReceipt({
      grant: key,
      spec: grant.spec,
      specHash: hash,
      stamps: grant.stamps,
      agentUid: identity.metadata.uid,
      access: verdict.access,
      startTime: timestamp(verdict.term.start),
      expiresAt: timestamp(verdict.term.end),
      decision: verdict.decision?.id,
    });
    try {
      const receipt = await client.create(agentReceipts, { apiVersion: API_VERSION, kind: 'AgentReceipt', ...wanted });
      caches.receipts.observe(receipt);
      return receipt;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const receipt = await client.get(agentReceipts, wanted.metadata);
      caches.receipts.observe(receipt);
      return undefined;
    }
  }

  /** Takes away at once what the narrowed spec no longer gives: whole places here, rules when the Roles are put right. */
  async #narrow(snapshot: Snapshot, spec: Spec): Promise<void> {
    const kept = new Set(spec.access.map(({ namespace }) => namespace));
    const dropped = snapshot.superseded
      .flatMap(({ spec: before }) => before?.access.map(({ namespace }) => namespace) ?? [])
      .filter((place) => !kept.has(place));
    await this.#withdraw(snapshot.grant, dropped);
  }

  async #withdraw({ metadata }: ParsedGrant, places: Place[]): Promise<void> {
    await withdrawBindings(this.#cluster, metadata.uid, places);
    await withdrawRest(this.#cluster, metadata.uid, places);
  }

  async #sayActive(snapshot: Snapshot, verdict: Decided, placements: Placement[]): Promise<void> {
    const { jobs } = this.#cluster.caches;
    await this.#record.write(snapshot.grant, {
      ...this.#record.standing(snapshot, verdict),
      created: createdObjects(placements),
      // The watch may have told meanwhile that they have started, which is one write less later.
      deadMan:
        lackingDeadMan(verdict) ?? deadManOf(placements.map(({ job }) => job && (jobs.get(job.metadata) ?? job))),
    });
  }

  /**
   * Issuing failed for a reason that people must mend: whatever it gives is withdrawn. As long as it gave nothing, the receipt
   * made for it is taken back.
   */
  async #refused(snapshot: Snapshot, verdict: Decided, refusal: Refusal): Promise<Result> {
    const { grant } = snapshot;
    const { caches, client, clock } = this.#cluster;
    const { given } = verdict;
    const places = placesGiven(caches, grant);
    await withdrawBindings(this.#cluster, grant.metadata.uid, places);
    if (!given) {
      await withdrawRest(this.#cluster, grant.metadata.uid, places);
      const { namespace = '', name } = grant.metadata;
      const receipt = caches.receipts.get({
        namespace: SYSTEM_NAMESPACE,
        name: receiptName({ namespace, name }, grant.hash),
      });
      if (receipt && isLive({ grant, receipt })) {
        const { uid } = receipt.metadata;
        await client.delete(agentReceipts, receipt.metadata, { uid });
        caches.receipts.forget(receipt.metadata);
      }
    }
    const instead: Verdict = {
      ...verdict,
      phase: given ? 'Suspended' : 'Pending',
      reasons: [refused(refusal)],
      gates: verdict.gates && { ...verdict.gates, creation: 'Failed' },
    };
    const before = { ...snapshot, receipt: given ? snapshot.receipt : undefined };
    const standing = this.#record.standing(before, this.#record.decided(before, instead));
    await this.#record.write(grant, {
      ...standing,
      created: given ? standing.created : [],
      deadMan: refusedDeadMan(refusal) ?? (given ? this.#record.cachedDeadMan(grant.metadata.uid) : undefined),
    });
    this.#record.announce(grant, instead);
    return { requeueAfterMs: Math.max(0, refusal.retryAt - clock.now().getTime()), priority: NORMAL };
  }

  #cachedPlacements({ receipt, grant }: Snapshot): Placement[] {
    const { caches } = this.#cluster;
    const name = grantObjectName(grant.metadata.uid);
    return (receipt?.spec?.access ?? []).flatMap(({ namespace }) => placementOf(caches, namespace, name) ?? []);
  }
}

/** Whether the grant has its access already, so that making it is putting it back. */
function isRepair(snapshot: Snapshot): boolean {
  return snapshot.grant.status.phase === 'Active' && isLive(snapshot);
}
