// Reconciles one AgentIdentity: its ServiceAccount exists for as long as it does, and its status says what it can do.

import { isServiceAccountOf, renderServiceAccount } from '../access/service-account.ts';
import { EVENTS, type EventReason } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import { agentIdentities, type IdentityStatus, type ParsedIdentity } from '../api/identity.ts';
import { API_VERSION, FINALIZER, ISSUER_ROLE, serviceAccountName } from '../api/names.ts';
import { STATUS_LIMITS } from '../api/status.ts';
import { isAlreadyExists, isNotFound } from '../kube/client.ts';
import type { Result } from '../kube/controller.ts';
import type { Deadlines } from '../kube/deadlines.ts';
import type { EventRecorder } from '../kube/events.ts';
import { type ServiceAccount, serviceAccounts } from '../kube/kinds.ts';
import { keyOf, refOf } from '../kube/object.ts';
import { type BlastRadius, blastRadius } from '../policy/blast-radius.ts';
import { type Judgement, reviewStanding, reviewTimes } from '../policy/certification.ts';
import { isEnforced } from '../policy/policies.ts';
import { timestamp } from '../policy/schedule.ts';
import { type StandingAccess, standingAccess, subjectKeysOf } from '../policy/standing.ts';
import type { AuthorCheck } from './authors.ts';
import { certificationOf } from './certification.ts';
import { type Cluster, enabledRole, INDEX } from './cluster.ts';
import { conditionsOf, type Readiness, sameStatus } from './identity-status.ts';
import type { GrantMetrics } from './metrics.ts';
import { policiesOf } from './snapshot.ts';
import type { Stranded } from './stranded.ts';

/** How soon a name that somebody else's ServiceAccount has is tried again, in milliseconds: only our own are watched. */
const FOREIGN_RETRY = 10_000;

export class IdentityReconciler {
  readonly #cluster: Cluster;
  readonly #deadlines: Deadlines;
  readonly #events: EventRecorder;
  readonly #metrics: GrantMetrics;
  readonly #reviewers: AuthorCheck;
  readonly #stranded: Stranded;

  constructor(o: {
    cluster: Cluster;
    deadlines: Deadlines;
    events: EventRecorder;
    metrics: GrantMetrics;
    reviewers: AuthorCheck;
    stranded: Stranded;
  }) {
    this.#cluster = o.cluster;
    this.#deadlines = o.deadlines;
    this.#events = o.events;
    this.#metrics = o.metrics;
    this.#reviewers = o.reviewers;
    this.#stranded = o.stranded;
  }

  async reconcile(key: string): Promise<Result> {
    const { caches, clock } = this.#cluster;
    const ref = refOf(key);
    const identity = caches.identities.get(ref);
    if (!identity) {
      this.#deadlines.set(key, undefined);
      return this.#removeOrphan(ref);
    }
    if (await this.#stranded.holds(identity.metadata)) {
      this.#deadlines.set(key, undefined);
      return undefined;
    }
    const end = identity.spec?.expiresAt === undefined ? undefined : Date.parse(identity.spec.expiresAt);
    const expired = end !== undefined && end <= clock.now().getTime();
    this.#deadlines.set(key, end === undefined || expired ? undefined : new Date(end));
    if (identity.metadata.deletionTimestamp || expired) return this.#end(identity, expired);
    const { account, readiness } = await this.#ensureAccount(identity);
    const judgement = await certificationOf(caches, this.#reviewers, identity);
    this.#lookAgain(key, end, identity, judgement);
    await this.#write(identity, readiness, account, judgement);
    return readiness.reason === 'ForeignObject' ? { requeueAfterMs: FOREIGN_RETRY } : undefined;
  }

  /** At its end, and when its certification comes to be due. */
  #lookAgain(key: string, end: number | undefined, identity: ParsedIdentity, { certified }: Judgement): void {
    const now = this.#cluster.clock.now().getTime();
    const { remindAt, dueAt } = reviewTimes(identity, certified) ?? {};
    const ahead = [end, remindAt, dueAt].filter((at) => at !== undefined && at > now).map(Number);
    this.#deadlines.set(key, ahead.length > 0 ? new Date(Math.min(...ahead)) : undefined);
  }

  /** Every grant ends first, for good, then the ServiceAccount goes, then (when it is being deleted) the identity. */
  async #end(identity: ParsedIdentity, expired: boolean): Promise<Result> {
    const { namespace = '', name, uid } = identity.metadata;
    const held = this.#openReceipts(identity).length;
    if (held > 0) {
      const message = `${held} of its grants are being ended before its ServiceAccount goes`;
      await this.#write(identity, { ready: false, reason: 'EndingGrants', message }, undefined);
      return undefined;
    }
    const account = this.#cluster.caches.serviceAccounts.get({ namespace, name: serviceAccountName(name) });
    if (account && isServiceAccountOf(account, { namespace, name, uid })) await this.#deleteAccount(account);
    if (identity.metadata.deletionTimestamp) return this.#release(identity);
    if (expired) {
      const message = `it expired at ${identity.spec?.expiresAt}; its grants have ended and its ServiceAccount is gone`;
      await this.#write(identity, { ready: true, reason: 'IdentityExpired', message }, undefined);
    }
    return undefined;
  }

  async #release({ metadata }: ParsedIdentity): Promise<Result> {
    if (!metadata.finalizers?.includes(FINALIZER)) return undefined;
    const finalizers = metadata.finalizers.filter((finalizer) => finalizer !== FINALIZER);
    const { uid, resourceVersion } = metadata;
    try {
      const patch = { metadata: { uid, resourceVersion, finalizers } };
      await this.#cluster.client.patch(agentIdentities, metadata, patch, { type: 'merge' });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return undefined;
  }

  async #ensureAccount(identity: ParsedIdentity): Promise<{ account?: ServiceAccount; readiness: Readiness }> {
    const { namespace = '', name, uid } = identity.metadata;
    const { caches, client } = this.#cluster;
    if (!identity.spec) {
      const message = `the stored spec is not one that this version accepts (${identity.invalid ?? 'unreadable'}); correct it and apply it again`;
      return { readiness: { ready: false, reason: 'InvalidSpec', message, stalled: true } };
    }
    const key = { namespace, name, uid };
    const accountName = serviceAccountName(name);
    const ready = (account: ServiceAccount) => {
      const message = `ServiceAccount ${accountName} exists; it can do nothing but prove who it is`;
      return { account, readiness: { ready: true, reason: 'IdentityReady', message } as const };
    };
    const found = caches.serviceAccounts.get({ namespace, name: accountName });
    if (found && isServiceAccountOf(found, key)) return ready(found);
    // Of an identity of the same name before this one: its tokens must not count for this one.
    if (found) await this.#deleteAccount(found);
    if (
      !caches.roleBindings.byIndex(INDEX.enables, namespace).some((binding) => enabledRole(binding) === ISSUER_ROLE)
    ) {
      const message = `hallpass may not create ServiceAccount ${accountName} in namespace ${namespace}; whoever may grant that runs: kubectl apply -n ${namespace} -k deploy/namespace`;
      return { readiness: { ready: false, reason: 'NamespaceNotEnabled', message } };
    }
    try {
      const account = await client.create(serviceAccounts, renderServiceAccount(key));
      caches.serviceAccounts.observe(account);
      if (identity.status.serviceAccount) {
        const message = `ServiceAccount ${accountName} was deleted and made anew: restart the pods that use it, since their tokens are of the old one`;
        this.#note(identity, 'ServiceAccountRecreated', message);
      }
      return ready(account);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const account = await client.get(serviceAccounts, { namespace, name: accountName });
      if (isServiceAccountOf(account, key)) return ready(account);
      const message = `ServiceAccount ${accountName} in namespace ${namespace} was not made by hallpass; whoever made it should delete it`;
      return { readiness: { ready: false, reason: 'ForeignObject', message } };
    }
  }

  /** A ServiceAccount of ours whose identity is gone, as when hallpass was down while its finalizer was taken off. */
  async #removeOrphan(ref: { namespace?: string; name: string }): Promise<Result> {
    const { caches, client } = this.#cluster;
    const account = caches.serviceAccounts.get({ namespace: ref.namespace, name: serviceAccountName(ref.name) });
    if (!account) return undefined;
    try {
      // The cache of identities may lag behind that of ServiceAccounts.
      const identity = await client.get(agentIdentities, ref);
      caches.identities.observe(identity);
      return { requeueAfterMs: 1_000 };
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await this.#deleteAccount(account);
    this.#metrics.orphansRemoved(1);
    this.#cluster.log.info('removed a ServiceAccount without an identity', {
      namespace: ref.namespace,
      name: account.metadata.name,
    });
    return undefined;
  }

  async #deleteAccount({ metadata }: ServiceAccount): Promise<void> {
    try {
      await this.#cluster.client.delete(serviceAccounts, metadata, { uid: metadata.uid });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    this.#cluster.caches.serviceAccounts.forget(metadata);
  }

  /** `judgement`: of its certification; left out while it ends, when none is wanted any more. */
  async #write(
    identity: ParsedIdentity,
    readiness: Readiness,
    account: ServiceAccount | undefined,
    judgement: Judgement = { certified: identity.status, ask: [], rejected: [] },
  ): Promise<void> {
    const { caches, client, clock } = this.#cluster;
    const { name, namespace = '', uid, resourceVersion, generation } = identity.metadata;
    const { certifiedAt, certifiedBy } = judgement.certified;
    const times = reviewTimes(identity, judgement.certified);
    const review = reviewStanding(identity, judgement, clock.now().getTime());
    const standing = this.#standingAccess(identity);
    const active = caches.grants.byIndex(INDEX.agent, keyOf(identity.metadata)).filter(isActive);
    const status: IdentityStatus = {
      observedGeneration: generation,
      serviceAccount: account ? { name: account.metadata.name, uid: account.metadata.uid } : undefined,
      certifiedAt,
      certifiedBy,
      reviewDueAt: times && timestamp(times.dueAt),
      activeGrants: active.length,
      blastRadius: active.length === 0 ? undefined : this.#blastRadius(identity, active),
      standingAccess: standing.length > 0 ? standing.slice(0, STATUS_LIMITS.standingAccess) : undefined,
      conditions: conditionsOf(identity, readiness, standing, review, clock.now()),
    };
    if (sameStatus(status, identity.status)) return;
    const body = { ...identity, spec: undefined, metadata: { name, namespace, uid, resourceVersion }, status };
    caches.identities.observe(await client.replace(agentIdentities, body, { subresource: 'status' }));
    if (certifiedBy && certifiedBy.uid !== identity.status.certifiedBy?.uid) {
      this.#note(identity, 'Certified', `${certifiedBy.reviewer} certified it (AgentReview ${certifiedBy.review})`);
    }
    const before = identity.status.conditions?.find(({ type }) => type === 'ReviewDue')?.reason;
    if (review?.due && review.reason !== before) this.#note(identity, review.reason, review.message);
  }

  #standingAccess({ metadata }: ParsedIdentity): StandingAccess[] {
    const { roleBindings, clusterRoleBindings } = this.#cluster.caches;
    const agent = { namespace: metadata.namespace ?? '', name: metadata.name };
    const keys = subjectKeysOf(agent);
    const found = keys.flatMap((key) => [
      ...roleBindings.byIndex(INDEX.subject, key),
      ...clusterRoleBindings.byIndex(INDEX.subject, key),
    ]);
    return standingAccess(agent, new Set(found));
  }

  /** By the receipts: a grant counts from before its first right until after its last. */
  #openReceipts({ metadata }: ParsedIdentity) {
    return this.#cluster.caches.receipts
      .byIndex(INDEX.agent, keyOf(metadata))
      .filter(({ spec, status }) => status.outcome === undefined && spec?.agent.uid === metadata.uid);
  }

  #blastRadius(identity: ParsedIdentity, active: ParsedGrant[]): BlastRadius {
    const { caches } = this.#cluster;
    const uids = new Set(active.map(({ metadata }) => metadata.uid));
    const held = this.#openReceipts(identity).flatMap(({ spec }) =>
      spec && uids.has(spec.grant.uid) ? spec.access : [],
    );
    return blastRadius(held, (namespace) => policiesOf(caches, namespace).filter(isEnforced));
  }

  #note({ metadata }: ParsedIdentity, reason: EventReason, message: string): void {
    const { namespace, name, uid } = metadata;
    this.#events.record(
      { apiVersion: API_VERSION, kind: 'AgentIdentity', namespace, name, uid },
      EVENTS[reason].type,
      reason,
      'Reconcile',
      message,
    );
  }
}

function isActive({ status }: ParsedGrant): boolean {
  return status.phase === 'Active';
}
