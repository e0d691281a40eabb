// Gathers what the decision about a grant rests on, from the caches.

import { isArmed, isBound, isLabelled } from '../access/drift.ts';
import { sameRules } from '../access/grant-objects.ts';
import type { ParsedGrant } from '../api/grant.ts';
import {
  acceptedNamespaces,
  GRANTABLE_ROLE,
  grantObjectName,
  ISSUER_ROLE,
  LABELS,
  SYSTEM_NAMESPACE,
} from '../api/names.ts';
import type { ParsedPolicy } from '../api/policy.ts';
import type { ParsedReceipt } from '../api/receipt.ts';
import { receiptName } from '../api/request.ts';
import { labelledSensitivity } from '../api/sensitivity.ts';
import { concernedNamespaces } from '../policy/access.ts';
import { requesterCheck } from '../policy/authors.ts';
import { policiesSelecting } from '../policy/policies.ts';
import { isLive, type NamespaceView, type Snapshot } from '../policy/snapshot.ts';
import {
  agentKey,
  type Caches,
  type Cluster,
  EVERYTHING,
  enabledRole,
  guardCaches,
  INDEX,
  identityOf,
  limitsActiveGrants,
  openReceipts,
  outOfStep,
  targetKey,
} from './cluster.ts';
import { authorsCovered } from './rights.ts';
import { straysOf } from './withdraw.ts';

/** Everything but `reviewers`, `authorsLack` and `answers`, which take asking. `issuing` are grants about to be issued, by uid, with their agent's key. */
export function gather(
  { caches }: Cluster,
  grant: ParsedGrant,
  o: Pick<Snapshot, 'now' | 'guardProblems' | 'refusal' | 'task' | 'withdrawn'> & {
    issuing: ReadonlyMap<string, string>;
  },
): Snapshot {
  const { namespace = '', name, uid } = grant.metadata;
  const receipt = caches.receipts.get({
    namespace: SYSTEM_NAMESPACE,
    name: receiptName({ namespace, name }, grant.hash),
  });
  const identity = identityOf(caches, grant);
  const superseded = openReceipts(caches, uid).filter(({ spec }) => spec?.specHash !== grant.hash);
  const namespaces = namespaceViews(caches, grant);
  const given = isLive({ grant, receipt }) || superseded.length > 0;
  return {
    now: o.now,
    grant,
    hash: grant.hash,
    identity,
    receipt,
    superseded,
    namespaces,
    activeBefore: activeBefore(caches, grant, receipt, o.issuing),
    intact: isLive({ grant, receipt }) && isIntact(caches, grant, receipt),
    refusal: o.refusal,
    guardProblems: o.guardProblems,
    outOfStep: outOfStep([
      ...guardCaches(caches),
      caches.roles,
      caches.clusterRoles,
      caches.roleBindings,
      caches.clusterRoleBindings,
      caches.namespaces,
      caches.identities,
      caches.policies,
      caches.reviews,
      caches.signals,
    ]),
    withdrawn: o.withdrawn,
    task: o.task,
    reviews: reviewsOf(caches, grant, receipt),
    signals: [EVERYTHING, ...concernedNamespaces(grant), agentKey(grant)].flatMap((about) =>
      caches.signals.byIndex(INDEX.about, about),
    ),
    reviewers: undefined,
    authorsLack: undefined,
    authorsCovered:
      given &&
      requesterCheck({ namespaces }) === 'Continuous' &&
      authorsCovered(caches, { grant, identity, namespaces }),
    answers: undefined,
  };
}

/** What is known of the grant's own namespace, and of those that it reaches into. */
export function namespaceViews(caches: Caches, grant: ParsedGrant): Map<string, NamespaceView> {
  return new Map(concernedNamespaces(grant).flatMap((target) => namespaceView(caches, target)));
}

/** By name: a stop goes by it. The agent's name is known by the receipt where the grant itself can't be read. */
function reviewsOf(caches: Caches, { metadata, spec }: ParsedGrant, receipt: ParsedReceipt | undefined) {
  const { namespace, name } = metadata;
  const agent = spec?.agent ?? receipt?.spec?.agent.name ?? '';
  return {
    ofGrant: caches.reviews.byIndex(INDEX.target, targetKey('AgentGrant', namespace, name)),
    ofIdentity: caches.reviews.byIndex(INDEX.target, targetKey('AgentIdentity', namespace, agent)),
  };
}

function namespaceView(caches: Caches, name: string): [string, NamespaceView][] {
  const namespace = caches.namespaces.get({ name });
  if (!namespace) return [];
  const roles = caches.roleBindings.byIndex(INDEX.enables, name).map(enabledRole);
  const enabled = roles.includes(GRANTABLE_ROLE) && roles.includes(ISSUER_ROLE);
  const view = {
    terminating: namespace.metadata.deletionTimestamp !== undefined || namespace.status?.phase === 'Terminating',
    acceptsGrantsFrom: acceptedNamespaces(namespace.metadata.annotations),
    ceiling: enabled ? (caches.clusterRoles.get({ name: GRANTABLE_ROLE })?.rules ?? []) : undefined,
    labels: namespace.metadata.labels ?? {},
    dataSensitivity: labelledSensitivity(namespace.metadata.labels?.[LABELS.dataSensitivity]),
    policies: policiesOf(caches, name),
  };
  return [[name, view]];
}

/** The policies that select a namespace, by name. */
export function policiesOf(caches: Caches, namespace: string): ParsedPolicy[] {
  return policiesSelecting(caches.policies.list(), caches.namespaces.get({ name: namespace })?.metadata.labels);
}

/**
 * How many grants of the same agent hold access and come before this one. By their receipts, so that what is suspended counts;
 * a grant that holds access already is only after those that started before it.
 */
function activeBefore(
  caches: Caches,
  grant: ParsedGrant,
  receipt: ParsedReceipt | undefined,
  issuing: ReadonlyMap<string, string>,
): number {
  if (!limitsActiveGrants(caches, identityOf(caches, grant))) return 0;
  const key = agentKey(grant);
  const own = isLive({ grant, receipt }) ? receipt : undefined;
  const others = new Set<string>();
  for (const { spec, status } of caches.receipts.byIndex(INDEX.agent, key)) {
    if (!spec || status.outcome !== undefined || spec.grant.uid === grant.metadata.uid) continue;
    if (!own?.spec || precedes(spec, own.spec)) others.add(spec.grant.uid);
  }
  if (!own) {
    for (const [uid, agent] of issuing) if (agent === key && uid !== grant.metadata.uid) others.add(uid);
  }
  return others.size;
}

type Placed = { startTime: string; grant: { uid: string } };

function precedes(a: Placed, b: Placed): boolean {
  return a.startTime === b.startTime ? a.grant.uid < b.grant.uid : Date.parse(a.startTime) < Date.parse(b.startTime);
}

/** Whether Job, Role and RoleBinding stand in every namespace of the receipt as they were made, and nowhere else. */
function isIntact(caches: Caches, grant: ParsedGrant, receipt: ParsedReceipt | undefined): boolean {
  const name = grantObjectName(grant.metadata.uid);
  const { namespace: home = '', name: grantName, uid } = grant.metadata;
  const agent = { namespace: home, name: receipt?.spec?.agent.name ?? '' };
  const access = receipt?.spec?.access ?? [];
  if (straysOf(caches, grant.metadata.uid, access).length > 0) return false;
  return access.every(({ namespace, rules }) => {
    const job = caches.jobs.get({ namespace, name });
    const role = caches.roles.get({ namespace, name });
    const binding = caches.roleBindings.get({ namespace, name });
    if (!job || !role || !binding) return false;
    const made = [job, role, binding];
    if (!made.every((object) => isLabelled(object, { namespace: home, name: grantName, uid }))) return false;
    return isArmed(job) && sameRules(role.rules, rules) && isBound(binding, job, agent);
  });
}
