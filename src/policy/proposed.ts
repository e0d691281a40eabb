// What the decision says of a grant that was not made yet: from manifests, or from what a person may read of a cluster. What is not
// known is taken to be in order, and said.

import type { ParsedGrant } from '../api/grant.ts';
import { type ParsedIdentity, parseIdentity } from '../api/identity.ts';
import { acceptedNamespaces, LABELS, serviceAccountName } from '../api/names.ts';
import { type ParsedPolicy, parsePolicy } from '../api/policy.ts';
import { labelledSensitivity } from '../api/sensitivity.ts';
import type { Answers, Question } from '../cel/question.ts';
import { concernedPlaces } from './access.ts';
import { decide } from './decide.ts';
import { policiesByName, policiesSelecting } from './policies.ts';
import type { PolicyRule } from './rules.ts';
import type { ClusterView, NamespaceView, Snapshot } from './snapshot.ts';
import type { Verdict } from './verdict.ts';

/** What is known of a namespace. */
export type KnownNamespace = {
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
  /** Whether deploy/namespace is applied there; undefined where that is not known. */
  enabled?: boolean | undefined;
};

/** What is known beside the grant. What is undefined, or not there, is not known. */
export type Known = {
  now: number;
  identity: ParsedIdentity | undefined;
  namespaces: ReadonlyMap<string, KnownNamespace>;
  policies: ParsedPolicy[] | undefined;
  /** The rules of hallpass-grantable. */
  ceiling: PolicyRule[] | undefined;
  /** How many active grants the agent has. */
  activeGrants: number;
};

export type Proposal = {
  verdict: Verdict;
  /** What was taken to be in order, each in a sentence. */
  assumed: string[];
};

const EVERYTHING: PolicyRule = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };
const SOMEBODY = { username: 'whoever asks' };

/** Decides about a grant as if it were made now. */
export function propose(grant: ParsedGrant, known: Known): Proposal {
  const { namespace: own = '' } = grant.metadata;
  const assumed: string[] = [];
  const agent = grant.spec?.agent ?? '';
  if (!known.identity) {
    assumed.push(
      `AgentIdentity ${own}/${agent} is not known here: it is taken to be there, with no boundary of its own`,
    );
  }
  if (!known.policies) assumed.push('AgentPolicies are not known here: they are taken to allow everything');
  if (!known.ceiling) assumed.push('ClusterRole hallpass-grantable is not known here: it is taken to cover everything');
  const places = concernedPlaces(grant);
  const concerned = places.filter((place) => place !== undefined);
  const everywhere = places.includes(undefined);
  for (const name of concerned) {
    if (!known.namespaces.has(name)) {
      const accepts = name === own ? '' : `, and accepts grants from ${own}`;
      assumed.push(
        `namespace ${name} is not known here: it is taken to be there, has no labels but its name${accepts}`,
      );
    }
  }
  const unsure = concerned.filter((name) => known.namespaces.get(name)?.enabled === undefined);
  if (unsure.length > 0) assumed.push(`that deploy/namespace is applied in ${unsure.join(', ')} is taken for granted`);
  if (everywhere) {
    assumed.push(
      'that deploy/cluster-scope is applied, and that ClusterRole hallpass-grantable-cluster covers this, is taken for granted',
    );
  }
  const snapshot: Snapshot = {
    now: known.now,
    // Nobody is stamped before the API server does it.
    grant: { ...grant, status: {}, stamps: { creator: SOMEBODY, requester: SOMEBODY } },
    hash: grant.hash,
    identity: ready(known.identity ?? unknownIdentity(own, agent, concerned)),
    receipt: undefined,
    superseded: [],
    namespaces: new Map(concerned.map((name) => [name, viewOf(name, grant, known)])),
    cluster: everywhere ? clusterView(grant, known) : undefined,
    activeBefore: known.activeGrants,
    intact: true,
    refusal: undefined,
    withdrawn: false,
    guardProblems: [],
    recordsGoing: false,
    outOfStep: [],
    task: { object: { uid: '', ended: undefined }, first: undefined, problem: undefined },
    reviews: { ofGrant: [], ofIdentity: [] },
    signals: [],
    reviewers: new Map(),
    authorsLack: { creator: [], requester: [] },
    authorsCovered: true,
    answers: undefined,
  };
  const verdict = decide(snapshot);
  if (verdict.questions.length === 0) return { verdict, assumed };
  assumed.push(
    'expressions are not evaluated here: conditions are taken to be true, and approvals that hang on one to be wanted',
  );
  return { verdict: decide({ ...snapshot, answers: verdict.questions.map(allTrue) }), assumed };
}

function allTrue({ input, expressions }: Question): Answers {
  return { input, of: new Map(expressions.map((expression) => [expression, { kind: 'value', value: true }])) };
}

function viewOf(
  name: string,
  grant: ParsedGrant,
  { namespaces, policies, ceiling = [EVERYTHING] }: Known,
): NamespaceView {
  const known = namespaces.get(name);
  const labels = { ...known?.labels, 'kubernetes.io/metadata.name': name };
  return {
    terminating: false,
    acceptsGrantsFrom: known ? acceptedNamespaces(known.annotations) : [grant.metadata.namespace ?? ''],
    ceiling: known?.enabled === false ? undefined : ceiling,
    labels,
    dataSensitivity: labelledSensitivity(labels[LABELS.dataSensitivity as keyof typeof labels]),
    policies: policies ? policiesSelecting(policies, labels) : [allowingAll(grant)],
  };
}

function clusterView(grant: ParsedGrant, known: Known): ClusterView {
  const { policies, namespaces } = known;
  return {
    ceiling: [EVERYTHING],
    policies: policies ? policiesByName(policies) : [allowingAll(grant)],
    namespaces: new Map([...namespaces.keys()].map((name) => [name, viewOf(name, grant, known)])),
  };
}

/** An identity that is not stored yet has no ServiceAccount, and gets one. */
function ready(identity: ParsedIdentity): ParsedIdentity {
  const serviceAccount = { name: serviceAccountName(identity.metadata.name), uid: 'to-come' };
  return { ...identity, status: { ...identity.status, serviceAccount } };
}

function unknownIdentity(namespace: string, name: string, namespaces: string[]): ParsedIdentity {
  const owner = { kind: 'Group', name: 'unknown' };
  return parseIdentity({
    metadata: { namespace, name },
    spec: { purpose: 'not known', owner, boundary: { namespaces } },
  });
}

/** In the whole cluster, verbs that write are allowed by their names alone. */
function allowingAll({ spec }: ParsedGrant): ParsedPolicy {
  const line = { why: 'not known', ...EVERYTHING };
  const verbs = [...new Set(['*', ...(spec?.permissions ?? []).flatMap(({ verbs }) => verbs)])].slice(0, 16);
  const allow = [line, { ...line, scope: 'Cluster', verbs }];
  return parsePolicy({
    metadata: { name: 'not-known' },
    spec: { namespaceSelector: {}, credentials: ['Identity'], allow },
  });
}
