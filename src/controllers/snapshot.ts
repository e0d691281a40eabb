// Gathers what the decision about a grant rests on, from the caches.

import { areLabelled, isArmed, isBound } from '../access/drift.ts';
import { sameRules } from '../access/grant-objects.ts';
import type { ParsedGrant } from '../api/grant.ts';
import {
  acceptedNamespaces,
  CLUSTER_DEAD_MAN,
  CLUSTER_ISSUER_ROLE,
  GRANTABLE_CLUSTER_ROLE,
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
import type { Namespace } from '../kube/kinds.ts';
import { concernedPlaces, type Place } from '../policy/access.ts';
import { requesterCheck } from '../policy/authors.ts';
import { doneWithout } from '../policy/dead-man.ts';
import { once } from '../policy/once.ts';
import { policiesByName, policiesSelecting } from '../policy/policies.ts';
import { type ClusterView, isLive, type NamespaceView, type Snapshot } from '../policy/snapshot.ts';
import {
  agentKey,
  type Caches,
  type Cluster,
  EVERYTHING,
  enabledRole,
  guardCaches,
  INDEX,
  identityOf,
  isOpen,
  limitsActiveGrants,
  outOfStep,
  placeKey,
  targetKey,
} from './cluster.ts';
import { placementOf, reaperOf } from './places.ts';
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
  const everywhere = concernedPlaces(grant).includes(undefined);
  // As a rule it is the grant's own, for which no name need be derived.
  const recorded = caches.receipts.byIndex(INDEX.grantUid, grant.metadata.uid);
  const receipt = recorded.find(({ spec }) => spec?.specHash === grant.hash) ?? receiptByName(caches, grant);
  const superseded = recorded.filter((each) => isOpen(each) && each.spec?.specHash !== grant.hash);
  const identity = identityOf(caches, grant);
  const namespaces = namespaceViews(caches, grant);
  const cluster = everywhere ? clusterView(caches) : undefined;
  const given = isLive({ grant, receipt }) || superseded.length > 0;
  const { refusal } = o;
  const without = doneWithout({ refusal, namespaces, cluster }, receipt?.spec?.access ?? []);
  return {
    now: o.now,
    grant,
    hash: grant.hash,
    identity,
    receipt,
    superseded,
    namespaces,
    cluster,
    recordsGoing: isGoing(caches.namespaces.get({ name: SYSTEM_NAMESPACE })),
    activeBefore: activeBefore(caches, grant, receipt, o.issuing),
    intact: isLive({ grant, receipt }) && isIntact(caches, grant, { receipt, without }),
    refusal,
    guardProblems: o.guardProblems,
    outOfStep: outOfStep([
      ...guardCaches(caches),
      caches.roles,
      caches.clusterRoles,
      caches.roleBindings,
      caches.clusterRoleBindings,
      ...(everywhere ? [caches.cronJobs] : []),
      caches.namespaces,
      caches.identities,
      caches.policies,
      caches.reviews,
      caches.signals,
    ]),
    withdrawn: o.withdrawn,
    task: o.task,
    reviews: reviewsOf(caches, grant, receipt),
    signals: signalsOf(caches, grant, everywhere),
    reviewers: undefined,
    authorsLack: undefined,
    authorsCovered:
      given &&
      requesterCheck({ namespaces, cluster }) === 'Continuous' &&
      authorsCovered(caches, { grant, identity, namespaces }),
    answers: undefined,
  };
}

/** The receipt of a grant's request, whoever used it: by the name that all who ask the same ask under. */
function receiptByName({ receipts }: Caches, { metadata, hash }: ParsedGrant): ParsedReceipt | undefined {
  const { namespace = '', name } = metadata;
  return receipts.get({ namespace: SYSTEM_NAMESPACE, name: receiptName({ namespace, name }, hash) });
}

/** About everything, a namespace that the grant depends on (every one where it reaches the whole cluster), or its agent. */
function signalsOf({ signals, namespaces }: Caches, grant: ParsedGrant, everywhere: boolean) {
  const places = everywhere ? namespaces.list().map(({ metadata }) => metadata.name) : concernedPlaces(grant);
  const about = [EVERYTHING, ...places.filter((place) => place !== undefined), agentKey(grant)];
  return [...new Set(about)].flatMap((each) => signals.byIndex(INDEX.about, each));
}

/** What is known of the grant's own namespace, and of those that it reaches into. */
export function namespaceViews(caches: Caches, grant: ParsedGrant): Map<string, NamespaceView> {
  const views = new Map<string, NamespaceView>();
  for (const place of concernedPlaces(grant)) {
    if (place === undefined) continue;
    const view = namespaceView(caches, place);
    if (view) views.set(place, view);
  }
  return views;
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

/** Whether a namespace is being deleted, or gone already. */
function isGoing(namespace: Namespace | undefined): boolean {
  if (!namespace) return true;
  return namespace.metadata.deletionTimestamp !== undefined || namespace.status?.phase === 'Terminating';
}

function namespaceView(caches: Caches, name: string): NamespaceView | undefined {
  const namespace = caches.namespaces.get({ name });
  if (!namespace) return undefined;
  const roles = enablingRoles(caches, name);
  const enabled = roles.includes(GRANTABLE_ROLE) && roles.includes(ISSUER_ROLE);
  return {
    terminating: isGoing(namespace),
    acceptsGrantsFrom: acceptedNamespaces(namespace.metadata.annotations),
    ceiling: enabled ? (caches.clusterRoles.get({ name: GRANTABLE_ROLE })?.rules ?? []) : undefined,
    labels: namespace.metadata.labels ?? {},
    dataSensitivity: labelledSensitivity(namespace.metadata.labels?.[LABELS.dataSensitivity]),
    policies: policiesOf(caches, name),
  };
}

function clusterView(caches: Caches): ClusterView {
  const roles = enablingRoles(caches, undefined);
  const joins = enablingRoles(caches, SYSTEM_NAMESPACE).includes(CLUSTER_DEAD_MAN);
  const ends = reaperOf(caches, undefined) !== undefined;
  const enabled = roles.includes(GRANTABLE_CLUSTER_ROLE) && roles.includes(CLUSTER_ISSUER_ROLE) && joins && ends;
  const namespaces = caches.namespaces.list().map(({ metadata: { name, labels = {} } }) => {
    const dataSensitivity = labelledSensitivity(labels[LABELS.dataSensitivity]);
    return [name, { labels, dataSensitivity, policies: policiesOf(caches, name) }] as const;
  });
  return {
    ceiling: enabled ? (caches.clusterRoles.get({ name: GRANTABLE_CLUSTER_ROLE })?.rules ?? []) : undefined,
    policies: policiesOf(caches, undefined),
    namespaces: new Map(namespaces.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function enablingRoles({ roleBindings, clusterRoleBindings }: Caches, place: Place) {
  const bindings = place === undefined ? clusterRoleBindings : roleBindings;
  return bindings.byIndex(INDEX.enables, placeKey(place)).map(enabledRole);
}

/** The policies that select a namespace, or all of them for the whole cluster; by name. */
export function policiesOf({ policies, namespaces }: Caches, place: Place): ParsedPolicy[] {
  let known = selecting.get(policies);
  if (known?.revision !== policies.revision) {
    const all = policiesByName(policies.list());
    const by = once((those: Labels) => policiesSelecting(all, those));
    known = { revision: policies.revision, all, by };
    selecting.set(policies, known);
  }
  if (place === undefined) return known.all;
  const { labels = NO_LABELS } = namespaces.get({ name: place })?.metadata ?? {};
  return known.by(labels);
}

type Labels = Record<string, string>;

const NO_LABELS: Labels = {};

/** All policies, and those that select a namespace by its labels: one list each while none changes, so that what is said of it is found once. */
const selecting = new WeakMap<
  Caches['policies'],
  { revision: number; all: ParsedPolicy[]; by: (labels: Labels) => ParsedPolicy[] }
>();

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

/**
 * Whether dead man, Role and binding stand in every place of the receipt as they were made, and nowhere else. `without`: namespaces
 * in which no dead man is missed.
 */
function isIntact(
  caches: Caches,
  grant: ParsedGrant,
  { receipt, without }: { receipt: ParsedReceipt | undefined; without: string[] },
): boolean {
  const name = grantObjectName(grant.metadata.uid);
  const { namespace: home = '', name: grantName, uid } = grant.metadata;
  const agent = { namespace: home, name: receipt?.spec?.agent.name ?? '' };
  const access = receipt?.spec?.access ?? [];
  if (straysOf(caches, grant.metadata.uid, access).length > 0) return false;
  return access.every(({ namespace, rules }) => {
    const placement = placementOf(caches, namespace, name);
    if (!placement) return false;
    const { job, service, role, binding } = placement;
    const made = [job, role, binding, service].filter((object) => object !== undefined);
    if (!areLabelled(made, { namespace: home, name: grantName, uid })) return false;
    if (!job && !without.includes(namespace ?? '')) return false;
    const reaper = reaperOf(caches, namespace);
    if (namespace === undefined && !reaper) return false;
    if (job && !isArmed(job, reaper?.metadata)) return false;
    return sameRules(role.rules, rules) && isBound(binding, placement, agent);
  });
}
