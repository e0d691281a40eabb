// The record of a decision about a grant: what was decided, why, and on which versions of everything it rests on. No I/O.

import { hash as digestOf } from 'node:crypto';
import type { Credential } from '../api/credential.ts';
import type { Answer } from '../cel/question.ts';
import { keyOf } from '../kube/object.ts';
import { credentialOf } from '../policy/credentials.ts';
import type { Told as Finding } from '../policy/finding.ts';
import { timestamp } from '../policy/schedule.ts';
import type { Snapshot } from '../policy/snapshot.ts';
import type { Verdict } from '../policy/verdict.ts';

/** An object that a decision rests on, in the version that was looked at. */
type Version = { name: string; uid: string; generation?: number };

export type DecisionRecord = {
  /** Its id, a digest of all else: the same decision on the same inputs has the same. */
  decision: string;
  /** `namespace/name`, and what tells it from others of that name. */
  grant: string;
  uid: string;
  generation: number | undefined;
  specHash: string;
  requester: string | undefined;
  phase: Verdict['phase'];
  reasons: Told[];
  warnings: readonly Told[];
  gates: Verdict['gates'];
  expiresAt: string | undefined;
  /** By which the agent may prove itself under the grant; undefined where policies let it use none. */
  credential: Credential | undefined;
  inputs: {
    identity: Version | undefined;
    /** When the agent was certified last, if ever. */
    certifiedAt: string | undefined;
    /** What was known of the Job or Pod that access ends with. */
    task: Snapshot['task'];
    receipt: string | undefined;
    policies: Version[];
    /** Every review about the grant or its agent, whether it counts or not. */
    reviews: Version[];
    /** Every signal that concerns the grant, as `namespace/name`, whether a policy responds to it or not. */
    signals: Version[];
    /** Whether the whole cluster was enabled; undefined where the grant doesn't reach it. */
    cluster: { enabled: boolean } | undefined;
    namespaces: { name: string; enabled: boolean; terminating: boolean; acceptsGrantsFrom: string[]; data?: string }[];
    /** What the authors were found not to hold; undefined where they were not asked about. */
    authorsLack: Snapshot['authorsLack'];
    /** Of what has been given: whether RBAC gives them all of it. */
    authorsCovered: boolean;
    /** What each expression came to, once for each set of variables that it was about; undefined where there is none. */
    expressions: Record<string, Answer>[] | undefined;
    /** hallpass's own namespace is being deleted. */
    recordsGoing: boolean;
    guardProblems: string[];
    outOfStep: string[];
  };
};

type Told = Omit<Finding, 'needsEdit' | 'nextCheck'>;

/** The record of what was decided on a snapshot. */
export function decisionRecord(snapshot: Snapshot, verdict: Verdict): DecisionRecord {
  const { grant, hash, identity, receipt, reviews, namespaces, cluster, guardProblems, outOfStep } = snapshot;
  const { recordsGoing, authorsLack, authorsCovered, answers } = snapshot;
  const record = {
    grant: keyOf(grant.metadata),
    uid: grant.metadata.uid,
    generation: grant.metadata.generation,
    specHash: hash,
    requester: grant.stamps?.requester.username,
    phase: verdict.phase,
    reasons: verdict.reasons.map(told),
    warnings: verdict.warnings.map(told),
    gates: verdict.gates,
    expiresAt: verdict.term && timestamp(verdict.term.end),
    credential: credentialOf(snapshot),
    inputs: {
      identity: identity && version(identity),
      certifiedAt: identity?.status.certifiedAt,
      task: snapshot.task,
      receipt: receipt?.metadata.name,
      policies: policiesOf(snapshot).map(version),
      reviews: [...reviews.ofIdentity, ...reviews.ofGrant].map(version),
      signals: signalsOf(snapshot),
      cluster: cluster && { enabled: cluster.ceiling !== undefined },
      namespaces: [...namespaces].map(([name, { ceiling, terminating, acceptsGrantsFrom, dataSensitivity }]) => ({
        name,
        enabled: ceiling !== undefined,
        terminating,
        acceptsGrantsFrom,
        data: dataSensitivity,
      })),
      authorsLack,
      authorsCovered,
      expressions: answers?.map(({ of }) => Object.fromEntries(of)),
      recordsGoing,
      guardProblems,
      outOfStep,
    },
  };
  const digest = digestOf('sha256', JSON.stringify(record));
  return { decision: digest.slice(0, 32), ...record };
}

/** The policies that a grant was held against, each once, by name. */
function policiesOf({ namespaces, cluster }: Pick<Snapshot, 'namespaces' | 'cluster'>) {
  const all = [...namespaces.values(), ...(cluster ? [cluster] : [])].flatMap(({ policies }) => policies);
  return [...new Map(all.map((policy) => [policy.metadata.name, policy])).values()];
}

/** In one order: caches have them in that of their last change. */
function signalsOf({ signals }: Pick<Snapshot, 'signals'>): Version[] {
  return signals
    .map(({ metadata }) => version({ metadata: { ...metadata, name: keyOf(metadata) } }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function version({ metadata: { name, uid, generation } }: { metadata: Version }): Version {
  return { name, uid, generation };
}

function told({ gate, reason, policy, line, message, remedy, by }: Told): Told {
  return { gate, reason, policy, line, message, remedy, by };
}
