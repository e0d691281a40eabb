// Reconciles one AgentGrant: gathers what the decision rests on, decides, makes the cluster match, says so.

import { correctedDeadline } from '../access/grant-objects.ts';
import { renderReceipt } from '../access/receipts.ts';
import { isTerminal } from '../api/conditions.ts';
import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { API_VERSION, FINALIZER, SYSTEM_NAMESPACE } from '../api/names.ts';
import { agentReceipts, type ParsedReceipt } from '../api/receipt.ts';
import { receiptName } from '../api/request.ts';
import { isAlreadyExists, isNotFound } from '../kube/client.ts';
import type { Result } from '../kube/controller.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import type { EventRecorder } from '../kube/events.ts';
import { refOf } from '../kube/object.ts';
import { NORMAL, URGENT } from '../kube/queue.ts';
import { decide, isLive, type Snapshot, type Verdict } from '../policy/decide.ts';
import type { Finding } from '../policy/gates.ts';
import { type Term, timestamp } from '../policy/schedule.ts';
import type { AuthorCheck } from './authors.ts';
import { agentKey, type Cluster, openReceipts } from './cluster.ts';
import { deadManOf, grantStatus, type Standing } from './grant-status.ts';
import { createdObjects, DeadManRefusedError, ForeignObjectError, type Issuer, type Placement } from './issue.ts';
import type { GrantMetrics } from './metrics.ts';
import { gather } from './snapshot.ts';
import { holdsAnything, namespacesOf, withdrawBindings, withdrawRest } from './withdraw.ts';

/** How soon a grant whose dead-man Job was refused is tried again, in milliseconds: nothing tells when a quota was raised. */
const REFUSED_RETRY = 15_000;

type Spec = NonNullable<ParsedReceipt['spec']>;

export class GrantReconciler {
  readonly #cluster: Cluster;
  readonly #issuer: Issuer;
  readonly #authors: AuthorCheck;
  readonly #deadlines: Deadlines;
  readonly #events: EventRecorder;
  readonly #metrics: GrantMetrics;
  readonly #guardProblems: () => string[];
  /** Grants between the decision to issue and the receipt in the cache, with their agent: they count as active. */
  readonly #issuing = new Map<string, string>();
  /** Requests whose bindings are gone already, so that they are not deleted twice on the way to the tombstone. */
  readonly #unbound = new Set<string>();

  constructor(o: {
    cluster: Cluster;
    issuer: Issuer;
    authors: AuthorCheck;
    deadlines: Deadlines;
    events: EventRecorder;
    metrics: GrantMetrics;
    guardProblems: () => string[];
  }) {
    this.#cluster = o.cluster;
    this.#issuer = o.issuer;
    this.#authors = o.authors;
    this.#deadlines = o.deadlines;
    this.#events = o.events;
    this.#metrics = o.metrics;
    this.#guardProblems = o.guardProblems;
  }

  async reconcile(key: string, { priority }: { priority: number }): Promise<Result> {
    const grant = this.#cluster.caches.grants.get(refOf(key));
    if (!grant) {
      this.#deadlines.set(key, undefined);
      return undefined;
    }
    const { snapshot, verdict } = await this.#decide(grant);
    this.#deadlines.set(key, verdict.nextCheck === undefined ? undefined : new Date(verdict.nextCheck));
    if (verdict.phase === 'Active') return this.#give(snapshot, verdict);
    if (isTerminal(verdict.phase)) return this.#end(snapshot, verdict, priority);
    return this.#hold(snapshot, verdict);
  }

  async #decide(grant: ParsedGrant): Promise<{ snapshot: Snapshot; verdict: Verdict }> {
    let snapshot = await this.#snapshot(grant);
    let verdict = decide(snapshot);
    if (snapshot.superseded.length > 0 && !verdict.narrows && !isTerminal(verdict.phase)) {
      await this.#supersede(snapshot);
      snapshot = { ...snapshot, superseded: [] };
      verdict = decide(snapshot);
    }
    if (verdict.askAuthors && grant.stamps && verdict.term) {
      const access = decide({ ...snapshot, authorsLack: { creator: [], requester: [] } }).access;
      const authorsLack = await this.#authors.lacking(grant.stamps, access);
      // Asking took time, in which anything may have changed.
      snapshot = { ...(await this.#snapshot(grant)), authorsLack };
      verdict = decide(snapshot);
    }
    return { snapshot, verdict };
  }

  async #snapshot(grant: ParsedGrant): Promise<Snapshot> {
    const snapshot = gather(this.#cluster, grant, { guardProblems: this.#guardProblems(), issuing: this.#issuing });
    const { receipt, specHash, startTime } = grant.status;
    // The receipt of a grant that was given access is missing: that ends the grant, so the cache's word is not enough.
    if (snapshot.receipt || !receipt || !startTime || specHash !== grant.hash || isTerminal(grant.status.phase)) {
      return snapshot;
    }
    return { ...snapshot, receipt: await this.#readReceipt(receipt) };
  }

  async #readReceipt(name: string): Promise<ParsedReceipt | undefined> {
    try {
      return await this.#cluster.client.get(agentReceipts, { namespace: SYSTEM_NAMESPACE, name });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Active: whatever is missing is made, in the order of issue.ts, and the status follows. */
  async #give(snapshot: Snapshot, verdict: Verdict): Promise<Result> {
    const { grant } = snapshot;
    const uid = grant.metadata.uid;
    if (snapshot.intact && snapshot.receipt?.spec && grant.status.phase === 'Active' && !verdict.narrows) {
      const placements = this.#cachedPlacements(snapshot);
      // A Job that the controller manager started late fires late, and is corrected once its start is known.
      const late = placements.some(({ job }) => verdict.term && correctedDeadline(job, verdict.term.end) !== undefined);
      await this.#sayActive(snapshot, verdict, late ? await this.#issuer.prepare(snapshot.receipt.spec) : placements);
      return undefined;
    }
    this.#issuing.set(uid, agentKey(grant));
    try {
      return await this.#issue(snapshot, verdict);
    } catch (error) {
      if (error instanceof DeadManRefusedError) return this.#refused(snapshot, verdict, 'DeadManRefused', error);
      if (error instanceof ForeignObjectError) return this.#refused(snapshot, verdict, 'ForeignObject', error);
      throw error;
    } finally {
      this.#issuing.delete(uid);
    }
  }

  async #issue(snapshot: Snapshot, verdict: Verdict): Promise<Result> {
    const { grant } = snapshot;
    // Uncached: what the decision rests on must still be the newest before the first write.
    const fresh = await this.#cluster.client.get(agentGrants, grant.metadata);
    this.#cluster.caches.grants.observe(fresh);
    if (fresh.metadata.uid !== grant.metadata.uid || fresh.metadata.deletionTimestamp || fresh.hash !== grant.hash) {
      return { requeueAfterMs: 0 };
    }
    const receipt = isLive(snapshot) ? snapshot.receipt : await this.#claim(snapshot, verdict);
    if (!receipt?.spec) return { requeueAfterMs: 0 };
    const spec = receipt.spec;
    const repaired = grant.status.phase === 'Active' && isLive(snapshot);
    if (verdict.narrows) await this.#narrow(snapshot, spec);
    const placements = await this.#issuer.prepare(spec);
    const term = termOf(spec);
    const announced = await this.#write(fresh, {
      ...this.#standing(snapshot, verdict),
      phase: repaired || verdict.narrows ? 'Active' : 'Pending',
      reasons: repaired || verdict.narrows ? verdict.reasons : [issuing],
      settled: false,
      term,
      receipt: receipt.metadata.name,
      created: createdObjects(placements),
      deadMan: deadManOf(placements.map(({ job }) => job)),
    });
    const bound = await this.#issuer.bind(spec, placements);
    await this.#sayActive({ ...snapshot, grant: announced, receipt }, { ...verdict, term }, bound);
    if (verdict.narrows) await this.#closeReceipts({ ...snapshot, receipt }, 'Superseded', narrowed);
    if (repaired) {
      this.#metrics.repaired();
      this.#note(
        grant,
        'Warning',
        'Repaired',
        'what gives the access was edited or deleted by somebody else and was put back',
      );
    } else if (grant.status.phase !== 'Active') {
      this.#note(grant, 'Normal', 'Granted', verdict.reasons.map(({ message }) => message).join('; '));
    }
    return undefined;
  }

  /** Creates the receipt, which the API server lets happen once. Undefined when it is there already: decide again. */
  async #claim({ grant, hash, identity }: Snapshot, verdict: Verdict): Promise<ParsedReceipt | undefined> {
    const { namespace = '', name, uid } = grant.metadata;
    const { client, caches } = this.#cluster;
    if (!grant.spec || !grant.stamps || !identity || !verdict.term) throw new Error('an Active verdict without a spec');
    const key = { namespace, name, uid };
    if (grant.status.reasons?.some(({ reason }) => reason === 'DeadManRefused')) {
      // The receipt fixes the end: not before the Jobs, refused before, are known to be taken.
      await this.#issuer.tryJobs(
        key,
        verdict.access.map((entry) => entry.namespace),
      );
    }
    const wanted = renderReceipt({
      grant: key,
      spec: grant.spec,
      specHash: hash,
      stamps: grant.stamps,
      agentUid: identity.metadata.uid,
      access: verdict.access,
      startTime: timestamp(verdict.term.start),
      expiresAt: timestamp(verdict.term.end),
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

  /** Takes away at once what the narrowed spec no longer gives: whole namespaces here, rules when the Roles are put right. */
  async #narrow(snapshot: Snapshot, spec: Spec): Promise<void> {
    const kept = new Set(spec.access.map(({ namespace }) => namespace));
    const dropped = snapshot.superseded
      .flatMap(({ spec: before }) => before?.access.map(({ namespace }) => namespace) ?? [])
      .filter((namespace) => !kept.has(namespace));
    const { uid } = snapshot.grant.metadata;
    await withdrawBindings(this.#cluster, uid, dropped);
    await withdrawRest(this.#cluster, uid, dropped);
  }

  /** A changed spec that is no narrowing is a new request: what the old one held goes first. */
  async #supersede(snapshot: Snapshot): Promise<void> {
    const { grant } = snapshot;
    const namespaces = namespacesOf(this.#cluster.caches, grant);
    await withdrawBindings(this.#cluster, grant.metadata.uid, namespaces);
    await withdrawRest(this.#cluster, grant.metadata.uid, namespaces);
    await this.#closeReceipts(snapshot, 'Superseded', changed);
    this.#note(
      grant,
      'Normal',
      'Superseded',
      'the spec was changed, which is a new request; what the old one held was withdrawn',
    );
  }

  async #sayActive(snapshot: Snapshot, verdict: Verdict, placements: Placement[]): Promise<void> {
    await this.#write(snapshot.grant, {
      ...this.#standing(snapshot, verdict),
      created: createdObjects(placements),
      deadMan: deadManOf(placements.map(({ job }) => job)),
    });
  }

  /** Not to be given now: what is there is withdrawn, and the status says why. Suspended keeps Job and Role for its return. */
  async #hold(snapshot: Snapshot, verdict: Verdict): Promise<Result> {
    const { grant } = snapshot;
    const { caches } = this.#cluster;
    const { uid } = grant.metadata;
    const namespaces = namespacesOf(caches, grant);
    const suspended = verdict.phase === 'Suspended';
    if (namespaces.length > 0 && (grant.status.phase !== verdict.phase || holdsAnything(caches, uid))) {
      const bound = grant.status.phase !== 'Suspended' || caches.roleBindings.byIndex('grantUid', uid).length > 0;
      if (bound) await withdrawBindings(this.#cluster, uid, namespaces);
      if (!suspended) await withdrawRest(this.#cluster, uid, namespaces);
    }
    const standing = this.#standing(snapshot, verdict);
    await this.#write(
      grant,
      suspended ? { ...standing, deadMan: this.#cachedDeadMan(uid) } : { ...standing, created: [] },
    );
    this.#announce(grant, verdict);
    return undefined;
  }

  /** Over: every binding goes first, everywhere, before anything else of this or another grant; then the rest and the record. */
  async #end(snapshot: Snapshot, verdict: Verdict, priority: number): Promise<Result> {
    const { grant } = snapshot;
    const { caches } = this.#cluster;
    const { uid } = grant.metadata;
    const request = `${uid}/${grant.hash}`;
    const namespaces = namespacesOf(caches, grant);
    if (namespaces.length > 0 && (openReceipts(caches, uid).length > 0 || holdsAnything(caches, uid))) {
      if (!this.#unbound.has(request)) {
        await withdrawBindings(this.#cluster, uid, namespaces);
        this.#unbound.add(request);
        if (verdict.term && verdict.reasons[0]?.reason === 'EndPassed') {
          this.#metrics.expiryLag((this.#cluster.clock.now().getTime() - verdict.term.end) / 1000);
        }
        // Others may be due in the same second: their bindings are more urgent than what is left of this one.
        if (priority >= URGENT) return { requeueAfterMs: 0, priority: NORMAL };
      }
      await withdrawRest(this.#cluster, uid, namespaces);
    }
    if (!grant.metadata.deletionTimestamp) await this.#write(grant, this.#standing(snapshot, verdict));
    const outcome = verdict.phase === 'Expired' ? 'Expired' : 'Revoked';
    await this.#closeReceipts(snapshot, outcome, verdict.reasons[0] ?? changed);
    this.#unbound.delete(request);
    this.#announce(grant, verdict);
    await this.#release(grant);
    return undefined;
  }

  /** Lets a deleted grant go, now that nothing of it is left. */
  async #release({ metadata }: ParsedGrant): Promise<void> {
    if (!metadata.deletionTimestamp || !metadata.finalizers?.includes(FINALIZER)) return;
    const finalizers = metadata.finalizers.filter((finalizer) => finalizer !== FINALIZER);
    const { uid, resourceVersion } = metadata;
    try {
      const patch = { metadata: { uid, resourceVersion, finalizers } };
      await this.#cluster.client.patch(agentGrants, metadata, patch, { type: 'merge' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** Issuing failed for a reason that people must mend. Nothing was given yet, so a receipt made for it is taken back. */
  async #refused(
    snapshot: Snapshot,
    verdict: Verdict,
    reason: 'DeadManRefused' | 'ForeignObject',
    error: Error,
  ): Promise<Result> {
    const { grant } = snapshot;
    const { caches, client } = this.#cluster;
    const finding: Finding = { reason, message: error.message };
    const given = grant.status.phase === 'Active' || grant.status.phase === 'Suspended';
    if (!given) {
      const namespaces = namespacesOf(caches, grant).filter(
        (namespace) => reason === 'DeadManRefused' || this.#isOurs(grant, namespace),
      );
      await withdrawBindings(this.#cluster, grant.metadata.uid, namespaces);
      await withdrawRest(this.#cluster, grant.metadata.uid, namespaces);
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
    const standing = this.#standing({ ...snapshot, receipt: given ? snapshot.receipt : undefined }, verdict);
    await this.#write(grant, {
      ...standing,
      phase: given ? 'Suspended' : 'Pending',
      reasons: [finding],
      created: given ? standing.created : [],
      deadMan: { status: 'False', reason, message: error.message },
    });
    this.#announce(grant, { ...verdict, phase: given ? 'Suspended' : 'Pending', reasons: [finding] });
    return { requeueAfterMs: REFUSED_RETRY };
  }

  #isOurs(grant: ParsedGrant, namespace: string): boolean {
    const { caches } = this.#cluster;
    return [caches.jobs, caches.roles, caches.roleBindings].some((cache) =>
      cache.byIndex('grantUid', grant.metadata.uid).some(({ metadata }) => metadata.namespace === namespace),
    );
  }

  /** Records in every open receipt of the grant how it ended. One of an earlier spec was superseded, unless the grant was deleted. */
  async #closeReceipts(
    { grant, hash, now }: Snapshot,
    outcome: 'Expired' | 'Revoked' | 'Superseded',
    finding: Finding,
  ): Promise<void> {
    const { caches, client } = this.#cluster;
    for (const { metadata, spec } of openReceipts(caches, grant.metadata.uid)) {
      const own = spec?.specHash === hash;
      if (outcome === 'Superseded' && own) continue;
      const how = own || grant.metadata.deletionTimestamp ? outcome : 'Superseded';
      const { reason, message } = own || grant.metadata.deletionTimestamp ? finding : changed;
      const status = { outcome: how, endedAt: timestamp(now), reason, message };
      const patch = { metadata: { uid: metadata.uid }, status };
      try {
        caches.receipts.observe(
          await client.patch(agentReceipts, metadata, patch, { type: 'merge', subresource: 'status' }),
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  #standing({ grant, hash, receipt }: Snapshot, verdict: Verdict): Standing {
    const live = isLive({ grant, receipt });
    const over = isTerminal(verdict.phase);
    const sameRequest = grant.status.specHash === hash;
    const before = sameRequest ? statusTerm(grant) : undefined;
    return {
      phase: verdict.phase,
      reasons: verdict.reasons,
      settled: true,
      specHash: hash,
      term: live ? termOf(receipt?.spec) : over ? before : undefined,
      receipt: live ? receipt?.metadata.name : over && sameRequest ? grant.status.receipt : undefined,
      created: over ? [] : (grant.status.created ?? []),
      deadMan: undefined,
      passingSince: verdict.passingSince,
    };
  }

  /** Writes the status under the resourceVersion of the grant as it was read; nothing when nothing is new. */
  async #write(grant: ParsedGrant, standing: Standing): Promise<ParsedGrant> {
    const { client, caches, clock } = this.#cluster;
    const status = grantStatus(grant, standing, clock.now().getTime());
    if (status === grant.status) return grant;
    const { name, namespace, uid, resourceVersion } = grant.metadata;
    const body = { ...grant, spec: undefined, metadata: { name, namespace, uid, resourceVersion }, status };
    const written = await client.replace(agentGrants, body, { subresource: 'status' });
    caches.grants.observe(written);
    return written;
  }

  #cachedPlacements({ receipt, grant }: Snapshot): Placement[] {
    const { caches } = this.#cluster;
    return (receipt?.spec?.access ?? []).flatMap(({ namespace }) => {
      const find = <T extends { metadata: { namespace?: string } }>(objects: T[]) =>
        objects.find(({ metadata }) => metadata.namespace === namespace);
      const job = find(caches.jobs.byIndex('grantUid', grant.metadata.uid));
      const role = find(caches.roles.byIndex('grantUid', grant.metadata.uid));
      const binding = find(caches.roleBindings.byIndex('grantUid', grant.metadata.uid));
      return job && role && binding ? [{ namespace, job, role, binding }] : [];
    });
  }

  #cachedDeadMan(uid: string): Standing['deadMan'] {
    const found = this.#cluster.caches.jobs.byIndex('grantUid', uid);
    return found.length > 0 ? deadManOf(found) : undefined;
  }

  /** An event when the phase changes into one that people want to hear of. */
  #announce(grant: ParsedGrant, { phase, reasons }: Pick<Verdict, 'phase' | 'reasons'>): void {
    const first = reasons[0]?.reason;
    const sameRequest = grant.status.specHash === grant.hash;
    if (sameRequest && grant.status.phase === phase && grant.status.reasons?.[0]?.reason === first) return;
    const text = reasons.map(({ message }) => message).join('; ');
    const { log } = this.#cluster;
    log.info(`grant is ${phase}`, {
      grant: `${grant.metadata.namespace}/${grant.metadata.name}`,
      uid: grant.metadata.uid,
      reason: first,
      message: text,
    });
    // Nothing to tell anybody: the one comes by itself, the other is over in a moment.
    if (phase === 'Scheduled' || first === 'AgentNotReady') return;
    const type = phase === 'Expired' ? 'Normal' : 'Warning';
    this.#note(grant, type, phase === 'Expired' ? 'Lapsed' : phase === 'Pending' ? 'Refused' : phase, text);
  }

  #note(grant: ParsedGrant, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { namespace, name, uid } = grant.metadata;
    this.#events.record(
      { apiVersion: API_VERSION, kind: 'AgentGrant', namespace, name, uid },
      type,
      reason,
      'Decide',
      message,
    );
  }
}

const issuing: Finding = { reason: 'Issuing', message: 'every gate is passed; the access is being created' };
const changed: Finding = { reason: 'Superseded', message: 'the spec was changed, which is a new request' };
const narrowed: Finding = { reason: 'Superseded', message: 'the spec was narrowed' };

function termOf(spec: Spec | undefined): Term | undefined {
  return spec && { start: Date.parse(spec.startTime), end: Date.parse(spec.expiresAt) };
}

function statusTerm({ status }: ParsedGrant): Term | undefined {
  if (!status.startTime || !status.expiresAt) return undefined;
  return { start: Date.parse(status.startTime), end: Date.parse(status.expiresAt) };
}
