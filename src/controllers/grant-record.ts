// What is put on record about a grant: its status, the end of its receipts, events and log lines.

import { EVENTS, type EventReason, isTerminal, type Phase, type Reason } from '../api/conditions.ts';
import { agentGrants, type GrantStatus, type ParsedGrant } from '../api/grant.ts';
import { API_VERSION, FINALIZER } from '../api/names.ts';
import { agentReceipts } from '../api/receipt.ts';
import { STATUS_LIMITS } from '../api/status.ts';
import { decisionRecord } from '../evidence/decision.ts';
import { isNotFound } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { finding, type Told } from '../policy/finding.ts';
import { timestamp, writtenTerm } from '../policy/schedule.ts';
import { isLive, type Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';
import { printable } from '../text.ts';
import { type Cluster, INDEX, openReceipts } from './cluster.ts';
import { deadManOf, grantStatus, type Standing, saysSo } from './grant-status.ts';

/** Why a receipt is closed whose grant has another spec now. */
export const CHANGED: Told = finding({ reason: 'Superseded', what: 'the spec was changed, which is a new request' });

/** A verdict with the decision on record that it is, or repeats. */
export type Decided = Verdict & { decision: GrantStatus['decision'] };

export class GrantRecord {
  readonly #cluster: Cluster;
  readonly #events: EventRecorder;

  constructor(cluster: Cluster, events: EventRecorder) {
    this.#cluster = cluster;
    this.#events = events;
  }

  standing({ grant, hash, receipt, superseded }: Snapshot, verdict: Decided): Standing {
    const live = isLive({ grant, receipt });
    const over = isTerminal(verdict.phase);
    const sameRequest = grant.status.specHash === hash;
    const before = sameRequest ? writtenTerm(grant.status) : undefined;
    const holding = live ? receipt : verdict.narrows ? superseded[0] : undefined;
    return {
      phase: verdict.phase,
      reasons: verdict.reasons,
      gates: verdict.gates,
      decision: verdict.decision,
      warnings: verdict.warnings,
      settled: true,
      specHash: hash,
      term: holding ? (live ? writtenTerm(holding.spec) : verdict.term) : over ? before : undefined,
      receipt: holding ? holding.metadata.name : over && sameRequest ? grant.status.receipt : undefined,
      approvals: over && sameRequest ? (grant.status.approvals ?? []) : verdict.approvals,
      task: verdict.task ?? (over && sameRequest ? grant.status.task : undefined),
      created: over ? [] : (grant.status.created ?? []),
      deadMan: undefined,
      passingSince: verdict.passingSince,
    };
  }

  /** Puts a decision on record, as one line of the log, unless it says what the status says already. */
  decided(snapshot: Snapshot, verdict: Verdict): Decided {
    const { status } = snapshot.grant;
    if (status.decision && saysSo(status, snapshot.hash, verdict)) return { ...verdict, decision: status.decision };
    const record = decisionRecord(snapshot, verdict);
    this.#cluster.log.info('decision', record);
    const names = record.inputs.policies.map(({ name }) => name).slice(0, STATUS_LIMITS.policies);
    const policies = names.length > 0 ? names : undefined;
    return { ...verdict, decision: { id: record.decision, time: timestamp(snapshot.now), policies } };
  }

  /** Writes the status under the resourceVersion of the grant as it was read; nothing when nothing is new. */
  async write(grant: ParsedGrant, standing: Standing): Promise<ParsedGrant> {
    const { client, caches, clock } = this.#cluster;
    const status = grantStatus(grant, standing, clock.now().getTime());
    if (status === grant.status) return grant;
    const { name, namespace, uid, resourceVersion } = grant.metadata;
    const body = { ...grant, spec: undefined, metadata: { name, namespace, uid, resourceVersion }, status };
    return caches.grants.writing(grant.metadata, () => client.replace(agentGrants, body, { subresource: 'status' }));
  }

  /** Records in every open receipt of the grant how it ended. One of an earlier spec was superseded, unless the grant was deleted. */
  async closeReceipts(
    { grant, hash, now }: Pick<Snapshot, 'grant' | 'hash' | 'now'>,
    outcome: 'Expired' | 'Revoked' | 'Superseded',
    told = CHANGED,
  ): Promise<void> {
    const { caches, client } = this.#cluster;
    for (const { metadata, spec } of openReceipts(caches, grant.metadata.uid)) {
      const own = spec?.specHash === hash;
      if (outcome === 'Superseded' && own) continue;
      const how = own || grant.metadata.deletionTimestamp ? outcome : 'Superseded';
      const { reason, message } = own || grant.metadata.deletionTimestamp ? told : CHANGED;
      const status = {
        outcome: how,
        endedAt: timestamp(now),
        reason,
        message: printable(message, STATUS_LIMITS.message),
      };
      const { uid, resourceVersion } = metadata;
      // Under its resourceVersion: a leader that was frozen can't rewrite what another has closed meanwhile.
      const patch = { metadata: { uid, resourceVersion }, status };
      try {
        caches.receipts.observe(
          await client.patch(agentReceipts, metadata, patch, { type: 'merge', subresource: 'status' }),
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  /** Lets a deleted grant go, now that nothing of it is left. */
  async release({ metadata }: ParsedGrant): Promise<void> {
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

  /** A log line, and an event where people want to hear of it, when the phase changes or what stands first against it. */
  announce(grant: ParsedGrant, { phase, reasons }: Pick<Verdict, 'phase' | 'reasons'>): void {
    const first = reasons[0]?.reason;
    const sameRequest = grant.status.specHash === grant.hash;
    if (sameRequest && grant.status.phase === phase && grant.status.reasons?.[0]?.reason === first) return;
    const text = reasons.map(({ message }) => message).join('; ');
    const given = this.#cluster.caches.receipts.byIndex(INDEX.grantUid, grant.metadata.uid).length > 0;
    const event = eventOf(phase, first, given);
    this.#log(grant, `grant is ${phase}`, { reason: first, why: text });
    if (event) this.#event(grant, event, text);
  }

  /** A log line and an event about what happened to a grant within its phase. */
  note(grant: ParsedGrant, reason: EventReason, message: string): void {
    this.#log(grant, `grant: ${message}`, { reason });
    this.#event(grant, reason, message);
  }

  #log({ metadata }: ParsedGrant, message: string, fields: { reason: string | undefined; why?: string }): void {
    this.#cluster.log.info(message, {
      grant: `${metadata.namespace}/${metadata.name}`,
      uid: metadata.uid,
      ...fields,
    });
  }

  #event({ metadata }: ParsedGrant, reason: EventReason, message: string): void {
    const { namespace, name, uid } = metadata;
    this.#events.record(
      { apiVersion: API_VERSION, kind: 'AgentGrant', namespace, name, uid },
      EVENTS[reason].type,
      reason,
      'Decide',
      message,
    );
  }

  cachedDeadMan(uid: string): Standing['deadMan'] {
    const found = this.#cluster.caches.jobs.byIndex(INDEX.grantUid, uid);
    return found.length > 0 ? deadManOf(found) : undefined;
  }
}

/**
 * The event that a change into a phase is worth; none where the phase comes by itself or is over in a moment. `given`: by its
 * receipts, the grant may have had access.
 */
export function eventOf(phase: Phase, reason: Reason | undefined, given: boolean): EventReason | undefined {
  if (reason === 'Restoring') return 'Restoring';
  if (phase === 'Scheduled' || reason === 'AgentNotReady') return undefined;
  if (phase === 'Active') return 'Granted';
  if (phase === 'Expired') return given ? 'Lapsed' : 'NeverGranted';
  return phase === 'Pending' ? 'Refused' : phase;
}
