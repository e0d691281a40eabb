// What ends a grant, or ended it before: each of these is asked before any gate, and has the last word.

import { isActor } from '../api/actors.ts';
import { isReason, isTerminal } from '../api/conditions.ts';
import type { GrantStatus } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { SYSTEM_NAMESPACE } from '../api/names.ts';
import { receiptName } from '../api/request.ts';
import { type Finding, finding, type Told } from './finding.ts';
import { narrowing, snapshotTerm } from './narrowing.ts';
import { time, timestamp, writtenTerm } from './schedule.ts';
import { signalRevocation } from './signals.ts';
import { isLive, mayHaveGiven, type Snapshot } from './snapshot.ts';
import { stop } from './stops.ts';
import { taskEnd, taskOf } from './task.ts';
import { terminal, type Verdict } from './verdict.ts';

/** A request that never got through its gates becomes Denied after this long, so that none sleeps for months. */
export const PENDING_LIMIT = 7 * 24 * 3600_000;

const AGAIN = 'to ask again, set spec.task.ref to a new value';

/** From here on an end was not lived through by hallpass, and whoever reads the record should know. */
const NOTICED_LATE = 10_000;

/** What has ended stays ended: by the tombstone, or by the receipt when the tombstone is gone. */
export function ended(snapshot: Snapshot): Verdict | undefined {
  const { grant, hash, receipt } = snapshot;
  const { phase, specHash, reasons } = grant.status;
  const sameRequest = specHash === hash;
  if (sameRequest && phase && isTerminal(phase)) {
    return terminal(phase, { reason: 'EndPassed', message: 'it has ended' }, known(reasons));
  }
  if (grant.metadata.deletionTimestamp) {
    const what = 'the grant was deleted, which ends it for good';
    return terminal('Revoked', finding({ reason: 'EndedByDeletion', what }));
  }
  if (receipt && !isLive(snapshot)) {
    const { outcome, endedAt, reason, message } = receipt.status;
    const own = receipt.spec?.grant.uid === grant.metadata.uid;
    // A status that was wiped says nothing of what came between; the receipt is of this very grant.
    const ended = sameRequest || specHash === undefined;
    if (own && ended && (outcome === 'Expired' || outcome === 'Revoked')) {
      return terminal(outcome, {
        reason: reason && isReason(reason) ? reason : 'EndPassed',
        message: message ?? 'it has ended',
      });
    }
    const term = receipt.spec ? ` from ${receipt.spec.startTime} to ${endedAt ?? receipt.spec.expiresAt}` : '';
    const refused = finding({
      reason: 'RequestAlreadyUsed',
      what: `the same request (namespace, name and spec) was already used${term}, see receipt ${receipt.metadata.name}`,
      remedy: `${AGAIN} or give the grant a new name`,
      by: ['Requester'],
    });
    return terminal('Denied', refused);
  }
  if (snapshot.recordsGoing && (isLive(snapshot) || snapshot.superseded.length > 0)) {
    const deleted = finding({
      reason: 'ReceiptDeleted',
      what: `namespace ${SYSTEM_NAMESPACE} is being deleted with the record of this grant, and without its record no access may last`,
      remedy: 'ask again under a new spec.task.ref once hallpass is installed anew',
      by: ['ClusterAdmin', 'Requester'],
    });
    return terminal('Revoked', deleted);
  }
  const used = !receipt && sameRequest && grant.status.startTime ? grant.status.receipt : undefined;
  if (used && used === receiptName({ namespace: grant.metadata.namespace ?? '', name: grant.metadata.name }, hash)) {
    const deleted = finding({
      reason: 'ReceiptDeleted',
      what: `receipt ${used} of this grant was deleted, and without its record no access may last`,
      remedy: 'ask again under a new spec.task.ref',
      by: ['Requester'],
    });
    return terminal('Revoked', deleted);
  }
  return undefined;
}

/** What people have ended. What was never given was denied, by whichever word. */
export function stopped(snapshot: Snapshot): Verdict | undefined {
  const found = stop(snapshot);
  if (!found) return undefined;
  const { denies, ...said } = found;
  return terminal(denies && !hasGiven(snapshot) ? 'Denied' : 'Revoked', said);
}

/** What may have to end now: the end has come, the identity went, the task is over, or the request has waited too long. */
export function ending(snapshot: Snapshot): Verdict | undefined {
  const { grant, identity, receipt, now } = snapshot;
  const narrows = narrowing(snapshot);
  const over = taskEnd(snapshot, narrows);
  const task = taskOf(snapshot, narrows);
  const fixed = isLive(snapshot) ? writtenTerm(receipt?.spec) : undefined;
  if (fixed) {
    if (now >= fixed.end) {
      const noted = now >= fixed.end + NOTICED_LATE ? `; hallpass was away and noted it at ${timestamp(now)}` : '';
      const passed = finding({ reason: 'EndPassed', what: `it ended at ${timestamp(fixed.end)}${noted}` });
      return { ...terminal('Expired', passed), term: fixed };
    }
    const gone = identityGone(snapshot, identity) ?? over;
    return gone && { ...terminal('Expired', gone), term: fixed, task };
  }
  if (!grant.spec) return tooLong(snapshot);
  const wouldBe = snapshotTerm(snapshot, grant.spec);
  if (wouldBe.end <= now) {
    const passed = finding({
      reason: 'EndPassed',
      what: `its end, ${timestamp(wouldBe.end)}, has passed`,
      remedy: 'set spec.validity.notAfter to a time to come',
      by: ['Requester'],
    });
    return terminal('Expired', passed);
  }
  if (over) return { ...terminal('Expired', over), task };
  return tooLong(snapshot);
}

/** What signals end. Facts pass: what gave nothing yet is not refused for good because of one, it waits. */
export function revoked(snapshot: Snapshot): Verdict | undefined {
  const found = hasGiven(snapshot) ? signalRevocation(snapshot) : undefined;
  return found && terminal('Revoked', found);
}

/** Whether the agent may have had access by this grant, be it under an earlier spec. */
function hasGiven(snapshot: Snapshot): boolean {
  const holding = isLive(snapshot) ? snapshot.receipt : snapshot.superseded[0];
  return holding !== undefined && mayHaveGiven(snapshot, holding);
}

function identityGone({ grant, receipt, now }: Snapshot, identity: ParsedIdentity | undefined): Finding | undefined {
  const agent = receipt?.spec?.agent.name ?? grant.spec?.agent ?? '';
  if (!identity || identity.metadata.deletionTimestamp || identity.metadata.uid !== receipt?.spec?.agent.uid) {
    const what = `AgentIdentity ${agent}, to which this was granted, was deleted`;
    const remedy = `${AGAIN} once there is one again`;
    return finding({ reason: 'AgentDeleted', what, remedy, by: ['IdentityOwner', 'Requester'] });
  }
  const end = time(identity.spec?.expiresAt);
  if (end !== undefined && end <= now) {
    const what = `AgentIdentity ${agent} expired at ${timestamp(end)}`;
    const remedy = `${AGAIN} once its owner has set a later spec.expiresAt`;
    return finding({ reason: 'AgentExpired', what, remedy, by: ['IdentityOwner', 'Requester'] });
  }
  return undefined;
}

function tooLong(snapshot: Snapshot): Verdict | undefined {
  if (snapshot.now < pendingSince(snapshot) + PENDING_LIMIT) return undefined;
  const gate = snapshot.grant.status.message;
  const late = finding({
    reason: 'PendingTooLong',
    what: `it waited for 7 days and is no longer considered${gate ? ` (${gate})` : ''}`,
    remedy: AGAIN,
    by: ['Requester'],
  });
  return terminal('Denied', late);
}

/** From when a request that doesn't pass counts as waiting: since it was made, or since it was meant to start. */
export function pendingSince({ grant, hash, now }: Snapshot): number {
  const seen = grant.status.specHash === hash ? time(grant.status.requestedAt) : undefined;
  const created = grant.status.specHash === undefined ? time(grant.metadata.creationTimestamp) : undefined;
  return Math.max(seen ?? created ?? now, time(grant.spec?.validity.notBefore) ?? 0);
}

/** Why a grant has ended, from its stored status: without what this version doesn't know, and what was only true then. */
function known(reasons: GrantStatus['reasons']): Told[] {
  return (reasons ?? []).flatMap(({ reason, message, policy, line, remedy, by }) =>
    isReason(reason) && reason !== 'AccessRemains'
      ? [{ reason, message, policy, line, remedy, by: by?.filter(isActor) }]
      : [],
  );
}
