// Snapshots for tests of the decision: one in which everything is in order, to change one thing of.

import { type ParsedGrant, parseGrant } from '../../../src/api/grant.ts';
import { type ParsedIdentity, parseIdentity } from '../../../src/api/identity.ts';
import { type ParsedPolicy, parsePolicy } from '../../../src/api/policy.ts';
import { type ParsedReceipt, parseReceipt } from '../../../src/api/receipt.ts';
import { receiptName } from '../../../src/api/request.ts';
import { type ParsedReview, parseReview } from '../../../src/api/review.ts';
import { type ParsedSignal, parseSignal } from '../../../src/api/signal.ts';
import { compile, readVariables } from '../../../src/cel/expression.ts';
import type { Answer } from '../../../src/cel/question.ts';
import { decide } from '../../../src/policy/decide.ts';
import { ENVIRONMENT } from '../../../src/policy/environment.ts';
import type { ReviewerStanding } from '../../../src/policy/reviews.ts';
import type { PolicyRule } from '../../../src/policy/rules.ts';
import type { NamespaceView, Snapshot } from '../../../src/policy/snapshot.ts';

/** Noon of a day; every test starts here. */
export const NOON = Date.parse('2026-03-01T12:00:00Z');
export const MINUTE = 60_000;

export const readPods: PolicyRule = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] };

const person = { username: 'jane', groups: ['team-a'] };

type Fields = Record<string, unknown>;

/** A grant of `agent` triage for an hour of reading pods in its own namespace, `team-a`. */
export function grant(o: { spec?: Fields; status?: Fields; metadata?: Fields; stamps?: unknown } = {}): ParsedGrant {
  return parseGrant({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentGrant',
    metadata: {
      namespace: 'team-a',
      name: 'incident',
      uid: 'grant-uid',
      resourceVersion: '7',
      generation: 1,
      creationTimestamp: '2026-03-01T12:00:00Z',
      ...o.metadata,
    },
    spec: {
      agent: 'triage',
      task: { description: 'find out why the deployment fails' },
      permissions: [readPods],
      validity: { duration: '1h' },
      ...o.spec,
    },
    stamps: 'stamps' in o ? o.stamps : { creator: person, requester: person },
    status: o.status,
  });
}

/** The identity `triage`, ready, whose boundary allows what the grant asks for. */
export function identity(o: { spec?: Fields; status?: Fields; metadata?: Fields } = {}): ParsedIdentity {
  return parseIdentity({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentIdentity',
    metadata: { namespace: 'team-a', name: 'triage', uid: 'identity-uid', resourceVersion: '3', ...o.metadata },
    spec: { purpose: 'triage of incidents', owner: { kind: 'Group', name: 'team-a' }, ...o.spec },
    status: { serviceAccount: { name: 'hallpass-triage', uid: 'account-uid' }, ...o.status },
  });
}

/** The receipt of a grant: open, from noon to one o'clock, unless told otherwise. */
export function receipt(of: ParsedGrant, o: { spec?: Fields; status?: Fields } = {}): ParsedReceipt {
  const { namespace = '', name, uid } = of.metadata;
  return parseReceipt({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentReceipt',
    metadata: {
      namespace: 'hallpass-system',
      name: receiptName({ namespace, name }, of.hash),
      uid: 'receipt-uid',
      resourceVersion: '9',
    },
    spec: {
      grant: { namespace, name, uid },
      specHash: of.hash,
      agent: { name: 'triage', uid: 'identity-uid' },
      creator: { username: 'jane' },
      requester: { username: 'jane' },
      task: { description: 'find out why the deployment fails' },
      access: [{ namespace: 'team-a', rules: [readPods] }],
      startTime: '2026-03-01T12:00:00Z',
      expiresAt: '2026-03-01T13:00:00Z',
      ...o.spec,
    },
    status: o.status,
  });
}

/** A review of a grant by `rita`, an hour before noon, of just what stands there. */
export function review(
  of: ParsedGrant,
  o: { spec?: Fields; target?: Fields; metadata?: Fields; reviewer?: Fields } = {},
): ParsedReview {
  const { name, uid, generation } = of.metadata;
  return parseReview({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentReview',
    metadata: {
      namespace: 'team-a',
      name: 'review-1',
      uid: 'review-uid',
      resourceVersion: '5',
      creationTimestamp: '2026-03-01T11:00:00Z',
      ...o.metadata,
    },
    spec: {
      target: { kind: 'AgentGrant', name, uid, generation, specHash: of.hash, ...o.target },
      decision: 'Approve',
      comment: 'fits the incident',
      ...o.spec,
    },
    stamps: { reviewer: { username: 'rita', groups: ['sre'], ...o.reviewer } },
  });
}

/** The same about the identity `triage`. */
export function agentReview(
  o: { spec?: Fields; metadata?: Fields; reviewer?: Fields; uid?: string } = {},
): ParsedReview {
  const target = { kind: 'AgentIdentity', name: 'triage', uid: o.uid ?? 'identity-uid', specHash: undefined };
  return review(grant(), { ...o, target });
}

/** A signal of a critical incident in `team-a`, reported by `pia` an hour before noon, until half past twelve. */
export function signal(o: { spec?: Fields; metadata?: Fields; reporter?: Fields | null } = {}): ParsedSignal {
  return parseSignal({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentSignal',
    metadata: {
      namespace: 'team-a',
      name: 'outage',
      uid: 'signal-uid',
      resourceVersion: '4',
      creationTimestamp: '2026-03-01T11:00:00Z',
      ...o.metadata,
    },
    spec: {
      signal: 'Incident',
      severity: 'Critical',
      message: 'the database is down',
      expiresAt: '2026-03-01T12:30:00Z',
      ...o.spec,
    },
    ...(o.reporter === null ? {} : { stamps: { reporter: { username: 'pia', groups: ['sre'], ...o.reporter } } }),
  });
}

/** What the API server says of reviewers whose reviews have these uids: that they may. */
export function mayReview(...uids: string[]): Map<string, ReviewerStanding> {
  return new Map(uids.map((uid) => [uid, { mayApprove: true, mayActAs: [], mayBe: [] }]));
}

/** A policy `guardrails` that lets grants use their agent's identity and refuses nothing, unless told otherwise. */
export function policy(spec: Fields = {}, name = 'guardrails'): ParsedPolicy {
  return parsePolicy({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentPolicy',
    metadata: { name, uid: `${name}-uid`, resourceVersion: '2' },
    spec: { namespaceSelector: {}, credentials: ['Identity'], ...spec },
  });
}

/** A namespace that is enabled, with reading pods and configmaps as its ceiling, and a policy that refuses nothing. */
export function namespace(o: Partial<NamespaceView> = {}): NamespaceView {
  const ceiling = [{ verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['pods', 'configmaps'] }];
  return {
    terminating: false,
    acceptsGrantsFrom: [],
    ceiling,
    labels: {},
    dataSensitivity: undefined,
    policies: [policy()],
    ...o,
  };
}

/** Everything in order: the grant would be issued now. */
export function snapshot(o: Partial<Snapshot> = {}): Snapshot {
  const of = o.grant ?? grant();
  return {
    now: NOON,
    grant: of,
    hash: of.hash,
    identity: identity(),
    receipt: undefined,
    superseded: [],
    namespaces: new Map([['team-a', namespace()]]),
    cluster: undefined,
    activeBefore: 0,
    intact: false,
    refusal: undefined,
    withdrawn: false,
    guardProblems: [],
    recordsGoing: false,
    outOfStep: [],
    task: undefined,
    authorsLack: { creator: [], requester: [] },
    authorsCovered: true,
    reviews: { ofGrant: [], ofIdentity: [] },
    signals: [],
    reviewers: undefined,
    answers: undefined,
    ...o,
  };
}

/** The same grant some time after it was issued: Active, with its receipt. */
export function live(o: Partial<Snapshot> & { grantStatus?: Fields } = {}): Snapshot {
  const { grantStatus, ...rest } = o;
  const fresh = grant();
  const status = {
    phase: 'Active',
    specHash: fresh.hash,
    receipt: receipt(fresh).metadata.name,
    startTime: '2026-03-01T12:00:00Z',
    expiresAt: '2026-03-01T13:00:00Z',
    requestedAt: '2026-03-01T12:00:00Z',
    ...grantStatus,
  };
  const issued = o.grant ?? grant({ status });
  return snapshot({ grant: issued, receipt: receipt(fresh), intact: true, authorsLack: undefined, ...rest });
}

/** The snapshot with every expression evaluated that it hangs on, by what each is to come to over its variables. */
export function evaluated(
  input: Snapshot,
  comeTo: (expression: string, variables: string) => Answer | boolean,
): Snapshot {
  const { questions } = decide({ ...input, answers: undefined });
  const answers = questions.map(({ input: variables, expressions }) => {
    const of = expressions.map((expression): [string, Answer] => {
      const answer = comeTo(expression, variables);
      return [expression, typeof answer === 'boolean' ? { kind: 'value', value: answer } : answer];
    });
    return { input: variables, of: new Map(of) };
  });
  return { ...input, answers };
}

const compiled = new Map<string, ReturnType<typeof compile>>();

/** What an expression in CEL comes to over the variables of a question. */
export function comesTo(expression: string, variables: string): Answer {
  const evaluate = compiled.get(expression) ?? compile(expression, ENVIRONMENT);
  compiled.set(expression, evaluate);
  return evaluate(readVariables(variables, ENVIRONMENT));
}
