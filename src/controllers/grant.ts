// Reconciles one AgentGrant: gathers what the decision rests on, decides, makes the cluster match, says so.

import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { Evaluator } from '../cel/evaluator.ts';
import type { Beside, Result } from '../kube/controller.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import { keyOf, refOf } from '../kube/object.ts';
import { NORMAL, NOTE, URGENT } from '../kube/queue.ts';
import type { Place } from '../policy/access.ts';
import { decide } from '../policy/decide.ts';
import { finding } from '../policy/finding.ts';
import { isLive, type Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import { type Asked, ask, hangsOnAnswers, mustWait, unanswered } from './asked.ts';
import type { AuthorCheck } from './authors.ts';
import { agentKey, type Cluster, INDEX, openReceipts, placeKey } from './cluster.ts';
import { agentLives, confirmReceipt } from './confirm.ts';
import { type DeleteBinding, DeletedTogether, MOST_TOGETHER } from './deleted-together.ts';
import type { GrantActivation } from './grant-active.ts';
import type { Decided, GrantRecord } from './grant-record.ts';
import { lackingDeadMan, refusedDeadMan } from './grant-status.ts';
import type { GrantMetrics } from './metrics.ts';
import { objectsFor } from './places.ts';
import type { Refusals } from './refusals.ts';
import type { Repairs } from './repairs.ts';
import type { RightsWatch } from './rights-watch.ts';
import { gather } from './snapshot.ts';
import type { Stranded } from './stranded.ts';
import type { Tasks } from './tasks.ts';
import { isBound, mayHold, Unbinding } from './unbinding.ts';
import { dueAt } from './watches.ts';
import { AccessRemainsError, placesGiven, withdrawBindings, withdrawRest } from './withdraw.ts';

/** How long what is left of a lapsed grant waits for other grants' bindings, in milliseconds: without bindings it gives nothing. */
const REST_DELAY = 250;

/** How many others are looked at for whether they lose their bindings beside a grant. */
const MOST_LOOKS = 100;

/** How soon a grant is decided again whose agent the cache doesn't have although it lives, in milliseconds. */
const BEHIND_DELAY = 1_000;

/** How soon a grant is decided again that hangs on expressions while too many others do, in milliseconds. */
const CROWDED_DELAY = 250;

export class GrantReconciler {
  readonly #cluster: Cluster;
  readonly #activation: GrantActivation;
  readonly #authors: AuthorCheck;
  readonly #expressions: Evaluator;
  readonly #rights: Pick<RightsWatch, 'issued'>;
  readonly #deadlines: Deadlines;
  readonly #record: GrantRecord;
  readonly #metrics: GrantMetrics;
  readonly #refusals: Refusals;
  readonly #repairs: Repairs;
  readonly #stranded: Stranded;
  readonly #tasks: Tasks;
  readonly #guardProblems: () => string[];
  readonly #complete: () => boolean;
  /** Grants between the decision to issue and the receipt in the cache, with their agent: they count as active. */
  readonly #issuing = new Map<string, string>();
  readonly #unbinding: Unbinding;
  readonly #together: DeletedTogether;
  /** Grants of which something is being taken away, until that has succeeded. */
  readonly #taking = new Set<string>();

  constructor(o: {
    cluster: Cluster;
    activation: GrantActivation;
    record: GrantRecord;
    authors: AuthorCheck;
    expressions: Evaluator;
    rights: Pick<RightsWatch, 'issued'>;
    deadlines: Deadlines;
    metrics: GrantMetrics;
    refusals: Refusals;
    repairs: Repairs;
    stranded: Stranded;
    tasks: Tasks;
    guardProblems: () => string[];
    /** Whether the caches hold all that a decision rests on. */
    complete: () => boolean;
  }) {
    this.#cluster = o.cluster;
    this.#activation = o.activation;
    this.#authors = o.authors;
    this.#expressions = o.expressions;
    this.#rights = o.rights;
    this.#deadlines = o.deadlines;
    this.#record = o.record;
    this.#metrics = o.metrics;
    this.#refusals = o.refusals;
    this.#repairs = o.repairs;
    this.#stranded = o.stranded;
    this.#tasks = o.tasks;
    this.#guardProblems = o.guardProblems;
    this.#complete = o.complete;
    this.#unbinding = new Unbinding(o);
    const { client, log, caches } = o.cluster;
    this.#together = new DeletedTogether({
      client,
      log,
      guarded: () => o.guardProblems().length === 0,
      isCopied: (uid) => caches.roleBindings.byIndex(INDEX.copiedLabel, uid).length > 0,
    });
  }

  /** Whether a failure may have left access that has to go: then it is tried again soon, and before others are given any. */
  isUrgent(key: string): boolean {
    const { caches, clock } = this.#cluster;
    const grant = caches.grants.get(refOf(key));
    if (!grant) return false;
    const due = dueAt(grant);
    const ended = due !== undefined && due <= clock.now();
    return ended || grant.metadata.deletionTimestamp !== undefined || this.#taking.has(key);
  }

  async reconcile(key: string, { priority, beside }: { priority: number; beside: Beside }): Promise<Result> {
    return this.#reconcile(key, priority, (grant, loses) => this.#withOthers(grant, beside, loses));
  }

  /** `together`: how to delete the bindings of a grant, with those of others that lose theirs for the same reason. */
  async #reconcile(
    key: string,
    priority: number,
    together: (grant: ParsedGrant, loses: (other: ParsedGrant) => boolean) => DeleteBinding | undefined,
  ): Promise<Result> {
    const grant = this.#cluster.caches.grants.get(refOf(key));
    if (!grant) {
      this.#deadlines.set(key, undefined);
      this.#refusals.forget(key);
      this.#repairs.forget(key);
      this.#unbinding.forget(key);
      this.#taking.delete(key);
      return undefined;
    }
    if (await this.#stranded.holds(grant.metadata)) return this.#abandon(grant);
    if (priority >= URGENT && this.#unbinding.isDue(grant)) {
      const deleteBinding = together(grant, (other) => this.#unbinding.isDue(other));
      if (await this.#unbinding.due(grant, deleteBinding)) return { requeueAfterMs: REST_DELAY, priority: NORMAL };
    }
    // Handed out for its urgency while the queue holds back all others.
    if (!this.#complete()) return { requeueAfterMs: 0, priority: NORMAL };
    try {
      if (this.#unbinding.isRefused(grant)) {
        this.#taking.add(key);
        const deleteBinding = together(grant, (other) => this.#unbinding.isRefused(other));
        if (await this.#unbinding.refused(grant, deleteBinding)) return { requeueAfterMs: 0, priority: NOTE };
      }
      // The API server deletes what goes together one by one: what all others here would write meanwhile must not pass it.
      if (priority < URGENT) await this.#together.settled();
      const decided = await this.#decide(grant);
      if (!decided) return { requeueAfterMs: CROWDED_DELAY, priority: NORMAL };
      const { snapshot, verdict, failure } = decided;
      if (await agentLives(this.#cluster, snapshot, verdict)) return { requeueAfterMs: BEHIND_DELAY };
      this.#deadlines.set(key, verdict.nextCheck === undefined ? undefined : new Date(verdict.nextCheck));
      if ((verdict.phase !== 'Active' || verdict.narrows) && mayHold(this.#cluster.caches, snapshot))
        this.#taking.add(key);
      if (await this.#unbinding.first(snapshot, verdict)) return { requeueAfterMs: 0, priority: NOTE };
      const result = await this.#follow(key, snapshot, this.#record.decided(snapshot, verdict));
      this.#taking.delete(key);
      if (failure !== undefined) throw failure;
      return result;
    } finally {
      this.#issuing.delete(grant.metadata.uid);
    }
  }

  /** Has other grants of the namespace, that wait for their turn, lose their bindings beside this one. */
  #withOthers(
    { metadata }: ParsedGrant,
    beside: Beside,
    loses: (other: ParsedGrant) => boolean,
  ): DeleteBinding | undefined {
    if (!this.#together.isPossible) return undefined;
    let deleteBinding: DeleteBinding | undefined;
    let [looks, taken] = [0, 1];
    for (const other of this.#cluster.caches.grants.byIndex(INDEX.place, placeKey(metadata.namespace))) {
      const key = keyOf(other.metadata);
      if (!beside.isReady(key)) continue;
      if (taken === MOST_TOGETHER || looks === MOST_LOOKS) break;
      looks += 1;
      if (!loses(other)) continue;
      taken += 1;
      const shared = deleteBinding ?? this.#together.open();
      deleteBinding = shared;
      beside.take(key, ({ priority }) => this.#reconcile(key, priority, () => shared));
    }
    return deleteBinding;
  }

  /** Makes the cluster match the verdict. */
  #follow(key: string, snapshot: Snapshot, verdict: Decided): Promise<Result> {
    if (isTerminal(verdict.phase)) {
      this.#refusals.forget(key);
      this.#repairs.forget(key);
      return this.#end(snapshot, verdict);
    }
    if (verdict.phase !== 'Active') return this.#hold(snapshot, verdict);
    this.#unbinding.forget(key);
    return this.#activation.give(snapshot, verdict);
  }

  /**
   * Its namespace was removed by force, with the agent's home: that ends it as its deletion would. Only the receipt can say so;
   * should the namespace come back with the grant in it, the receipt decides.
   */
  async #abandon(grant: ParsedGrant): Promise<Result> {
    const { caches, clock } = this.#cluster;
    const { namespace, uid } = grant.metadata;
    const places = placesGiven(caches, grant);
    this.#deadlines.set(keyOf(grant.metadata), undefined);
    this.#taking.add(keyOf(grant.metadata));
    await withdrawBindings(this.#cluster, uid, places);
    await withdrawRest(this.#cluster, uid, places);
    const removed = finding({ reason: 'EndedByDeletion', what: `namespace ${namespace} was removed by force` });
    await this.#record.closeReceipts({ grant, hash: grant.hash, now: clock.now().getTime() }, 'Revoked', removed);
    this.#taking.delete(keyOf(grant.metadata));
    return undefined;
  }

  /**
   * `failure`: why what the verdict hangs on could not be asked. Then it says what must be true while that isn't known. Undefined
   * when it can't be decided now, since too many others wait for expressions.
   */
  async #decide(grant: ParsedGrant): Promise<{ snapshot: Snapshot; verdict: Verdict; failure?: unknown } | undefined> {
    await confirmReceipt(this.#cluster, grant);
    // What has access loses it once its task is seen to have ended; nothing is given or narrowed before it was looked for.
    const { phase, specHash } = grant.status;
    if (phase !== 'Active' || specHash !== grant.hash) await this.#tasks.known(grant);
    const refusal = await this.#refusal(grant);
    let snapshot = this.#gather(grant, refusal);
    let verdict = decide(snapshot);
    if (snapshot.superseded.length > 0 && !verdict.narrows && !isTerminal(verdict.phase)) {
      await this.#supersede(snapshot);
      snapshot = { ...this.#gather(grant, refusal), superseded: [] };
      verdict = decide(snapshot);
    }
    // Asking takes time, in which anything may change. Each is asked once, but expressions about what they are about now.
    while (hangsOnAnswers(verdict)) {
      if (verdict.refusedAnyway && verdict.questions.length > 0) await this.#withdrawFirst(grant);
      if (mustWait(this.#expressions, verdict)) return undefined;
      let asked: Asked;
      try {
        asked = await ask({ authors: this.#authors, expressions: this.#expressions }, snapshot, verdict);
      } catch (failure) {
        if (!verdict.given) return this.#checkFailed(snapshot, verdict, failure);
        return { snapshot, verdict: unanswered(verdict, failure), failure };
      }
      snapshot = { ...this.#gather(grant, refusal), ...asked };
      verdict = decide(snapshot);
    }
    if (!snapshot.withdrawn) this.#metrics.decided();
    // Nothing is awaited between gathering and this: no other grant of the agent is decided before this one counts.
    if (verdict.phase === 'Active' && !isLive(snapshot)) {
      this.#issuing.set(grant.metadata.uid, agentKey(grant));
      this.#rights.issued(keyOf(grant.metadata));
    }
    return { snapshot, verdict };
  }

  /** What goes anyway does not wait for expressions. Where others keep the bindings, the way to the verdict says so. */
  async #withdrawFirst(grant: ParsedGrant): Promise<void> {
    const { uid } = grant.metadata;
    if (!isBound(this.#cluster.caches, grant)) return;
    this.#taking.add(keyOf(grant.metadata));
    try {
      await withdrawBindings(this.#cluster, uid, placesGiven(this.#cluster.caches, grant));
    } catch (error) {
      if (!(error instanceof AccessRemainsError)) throw error;
    }
  }

  /** Says that the authors' rights could not be asked about, and throws why, so that it is tried again. */
  async #checkFailed(snapshot: Snapshot, verdict: Verdict, failure: unknown): Promise<never> {
    const told = { ...unanswered(verdict, failure), decision: snapshot.grant.status.decision };
    await this.#record.write(snapshot.grant, { ...this.#record.standing(snapshot, told), created: [] });
    this.#record.announce(snapshot.grant, told);
    throw failure;
  }

  /** What was refused is not tried again for a grant that is over: what has to end asks for nothing to be made. */
  async #refusal(grant: ParsedGrant): Promise<Snapshot['refusal']> {
    if (!this.#refusals.mayStand(grant) || isTerminal(decide(this.#gather(grant, undefined)).phase)) return undefined;
    return this.#refusals.standing(grant);
  }

  #gather(grant: ParsedGrant, refusal: Snapshot['refusal']): Snapshot {
    const unboundAt = this.#unbinding.at(grant);
    return gather(this.#cluster, grant, {
      now: Math.max(this.#cluster.clock.now().getTime(), unboundAt ?? 0),
      refusal,
      guardProblems: this.#guardProblems(),
      issuing: this.#issuing,
      withdrawn: unboundAt !== undefined,
      task: this.#tasks.view(grant),
    });
  }

  /** A changed spec that is no narrowing is a new request: what the old one held goes first. */
  async #supersede(snapshot: Snapshot): Promise<void> {
    const { grant } = snapshot;
    const places = placesGiven(this.#cluster.caches, grant);
    this.#taking.add(keyOf(grant.metadata));
    await withdrawBindings(this.#cluster, grant.metadata.uid, places);
    await withdrawRest(this.#cluster, grant.metadata.uid, places);
    await this.#record.closeReceipts(snapshot, 'Superseded');
    this.#record.note(
      grant,
      'Superseded',
      'the spec was changed, which is a new request; what the old one held was withdrawn',
    );
  }

  /** Not to be given now: what is there is withdrawn, and the status says why. Suspended keeps Job and Role for its return. */
  async #hold(snapshot: Snapshot, verdict: Decided): Promise<Result> {
    const { grant } = snapshot;
    const { caches } = this.#cluster;
    const { uid } = grant.metadata;
    const places = placesGiven(caches, grant);
    const suspended = verdict.phase === 'Suspended';
    if (places.length > 0 && (grant.status.phase !== verdict.phase || objectsFor(caches, uid).length > 0)) {
      const told = grant.status.phase === 'Suspended' || snapshot.withdrawn;
      if (!told || isBound(caches, grant)) await this.#unbind(snapshot, verdict, places);
      if (!suspended) await withdrawRest(this.#cluster, uid, places);
    }
    const standing = this.#record.standing(snapshot, verdict);
    const refused = lackingDeadMan(verdict) ?? (snapshot.refusal && refusedDeadMan(snapshot.refusal));
    await this.#record.write(
      grant,
      suspended
        ? { ...standing, deadMan: refused ?? this.#record.cachedDeadMan(uid) }
        : { ...standing, created: [], deadMan: refused },
    );
    this.#unbinding.forget(keyOf(grant.metadata));
    this.#record.announce(grant, verdict);
    return undefined;
  }

  /** Withdraws the bindings. Where others keep them, the status says that the access remains, and this throws. */
  async #unbind(snapshot: Snapshot, verdict: Decided, places: Place[]): Promise<void> {
    try {
      await withdrawBindings(this.#cluster, snapshot.grant.metadata.uid, places);
    } catch (error) {
      if (!(error instanceof AccessRemainsError)) throw error;
      const { what, remedy } = error;
      const remains = finding({ reason: 'AccessRemains', what, remedy, by: ['ClusterAdmin'] });
      const standing = this.#record.standing(snapshot, verdict);
      const reasons = [...verdict.reasons, remains];
      await this.#record.write(snapshot.grant, { ...standing, reasons, settled: false });
      throw error;
    }
  }

  /** Over: every binding goes first, everywhere, before anything else of this or another grant; then the rest and the record. */
  async #end(snapshot: Snapshot, verdict: Decided): Promise<Result> {
    const { grant } = snapshot;
    const { caches } = this.#cluster;
    const { uid } = grant.metadata;
    const places = placesGiven(caches, grant);
    if (places.length > 0 && mayHold(caches, snapshot)) {
      if (this.#unbinding.at(grant) === undefined) {
        await this.#unbind(snapshot, verdict, places);
        this.#unbinding.done(snapshot, verdict);
      }
      await withdrawRest(this.#cluster, uid, places);
    }
    if (!grant.metadata.deletionTimestamp) await this.#record.write(grant, this.#record.standing(snapshot, verdict));
    const outcome = verdict.phase === 'Expired' ? 'Expired' : 'Revoked';
    // Closed already where a leader before this one died at the last step of a deletion, having told.
    const told = grant.metadata.deletionTimestamp && grant.status.receipt && openReceipts(caches, uid).length === 0;
    await this.#record.closeReceipts(snapshot, outcome, verdict.reasons[0]);
    this.#unbinding.forget(keyOf(grant.metadata));
    if (!told) this.#record.announce(grant, verdict);
    await this.#record.release(grant);
    return undefined;
  }
}
