// approve, deny, suspend, resume, certify, revoke: shows what somebody is about to decide on, asks, and makes the AgentReview, bound to the very
// state that was shown.

import { setTimeout as delay } from 'node:timers/promises';
import { isTerminal } from '../api/conditions.ts';
import type { ParsedGrant } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { API_VERSION, GROUP } from '../api/names.ts';
import { agentReviews, DECISIONS, reviewSpec } from '../api/review.ts';
import { answersFor } from '../policy/certification.ts';
import { authorsOf, madeAt, readable, waysToActAs } from '../policy/reviews.ts';
import { mustAgree, mustHaveSaid } from './asking.ts';
import { type Cluster, type ClusterOptions, withCluster } from './cluster.ts';
import { describeGrant, describeIdentity } from './described.ts';
import { EXIT, type ExitCode, Failure, lacksRight } from './failure.ts';
import { wrapped } from './layout.ts';
import { type Form, show } from './output.ts';
import { findTarget, type Target, type TargetName, targetName } from './target.ts';
import type { Terminal } from './terminal.ts';

export type Decision = keyof typeof DECISIONS;

type Order = { decision: Decision; target: string; comment: string | undefined; yes: boolean; form: Form };

/** Decides about a grant or an identity, by the words that a person typed. */
export async function review(where: ClusterOptions, terminal: Terminal, o: Order): Promise<ExitCode> {
  const named = about(o.decision, targetName(o.target));
  const missing = [...(o.comment === undefined ? ['--comment'] : []), ...(o.yes ? [] : ['--yes'])];
  mustHaveSaid(terminal, missing.join(' and '));
  return withCluster(where, (cluster) => reviewed(cluster, terminal, named, o));
}

/** What was named, as what this decision can be about. Throws where it can't. */
function about(decision: Decision, named: TargetName): TargetName {
  if (named.kind === 'AgentIdentity' && (decision === 'Approve' || decision === 'Deny')) {
    throw new Failure(
      'only grants are approved or denied: use suspend, resume, certify or revoke for an identity',
      EXIT.usage,
    );
  }
  if (decision !== 'Certify') return named;
  if (named.kind === 'AgentGrant')
    throw new Failure('only an identity is certified: use approve for a grant', EXIT.usage);
  return { ...named, kind: 'AgentIdentity' };
}

async function reviewed(cluster: Cluster, terminal: Terminal, named: TargetName, o: Order): Promise<ExitCode> {
  const target = await findTarget(cluster, named, false);
  const description =
    target.kind === 'AgentGrant'
      ? describeGrant(target.object, terminal.width)
      : describeIdentity(target.object, terminal.width);
  for (const line of description) terminal.tell(line);
  await mustBeAllowed(cluster, o.decision, target);
  if (target.kind === 'AgentGrant') await mustCount(cluster, o.decision, target.object);
  else if (o.decision === 'Certify') await mustAnswerFor(cluster, target.object);
  for (const line of wrapped(`${o.decision}: ${DECISIONS[o.decision]}`, terminal.width)) terminal.tell(line);

  const comment = o.comment ?? (await terminal.ask?.('Why, in one line, for the record?')) ?? '';
  const spec = { target: targetOf(target), decision: o.decision, comment };
  const wrong = reviewSpec.safeParse(spec).error?.issues[0];
  if (wrong) throw new Failure(`the comment will not do: ${wrong.message} (--comment)`, EXIT.usage);
  const { name, namespace = '' } = target.object.metadata;
  await mustAgree(terminal, o.yes, `${o.decision} ${target.kind} ${namespace}/${name}?`, 'nothing was decided');
  if (o.decision === 'Resume') await afterSuspension(cluster, target);
  const made = await cluster.create(agentReviews, namespace, {
    apiVersion: API_VERSION,
    kind: 'AgentReview',
    metadata: { generateName: `${name}-${o.decision.toLowerCase()}-` },
    spec,
  });
  show(terminal, o.form, { apiVersion: API_VERSION, kind: 'AgentReview', metadata: made.metadata, spec }, () => [
    `${o.decision} of ${target.kind} ${namespace}/${name} is on record as AgentReview ${made.metadata.name}`,
  ]);
  return EXIT.yes;
}

/** Waits where the target was suspended just now: only what is made in a later second than the suspension lifts it. */
async function afterSuspension({ client, clock }: Cluster, { kind, object }: Target): Promise<void> {
  const { name, namespace } = object.metadata;
  // Who may make reviews may not list them: then the status tells whether this one came too soon.
  const reviews = await client.list(agentReviews, { namespace }).then(
    ({ items }) => readable(items),
    () => [],
  );
  const suspensions = reviews.filter(
    ({ spec }) => spec.decision === 'Suspend' && spec.target.kind === kind && spec.target.name === name,
  );
  // The second of the suspension, and one for what is not known of the server's clock.
  const later = Math.max(...suspensions.map(madeAt), 0) + 2_000;
  await delay(Math.max(0, later - clock.now().getTime()));
}

/** The state that was shown, as a review names it. */
function targetOf({ kind, object }: Target) {
  const { name, uid, generation = 0 } = object.metadata;
  return { kind, name, uid, generation, ...(kind === 'AgentGrant' ? { specHash: object.hash } : {}) };
}

/** Says before anything is asked what admission would refuse. */
async function mustBeAllowed(cluster: Cluster, decision: Decision, { kind, object }: Target): Promise<void> {
  const { name, namespace } = object.metadata;
  const resource = kind === 'AgentGrant' ? 'agentgrants' : 'agentidentities';
  const verbs = decision === 'Certify' ? ['certify', 'own'] : ['approve'];
  const [create, ...decide] = await Promise.all([
    cluster.may({ verb: 'create', group: GROUP, resource: 'agentreviews', namespace }),
    ...verbs.map((verb) => cluster.may({ verb, group: GROUP, resource, namespace, name })),
  ]);
  if (create && decide.includes(true)) return;
  const { username: user } = await cluster.user();
  if (!decide.includes(true)) throw lacksRight({ verb: verbs[0] ?? '', resource, namespace, user });
  throw lacksRight({ verb: 'create', resource: 'agentreviews', namespace, user });
}

/** Says whether a certification would count: who makes it owns the agent, or holds the verb certify. */
async function mustAnswerFor(cluster: Cluster, identity: ParsedIdentity): Promise<void> {
  const { name, namespace } = identity.metadata;
  const user = await cluster.user();
  if (answersFor(identity, user)) return;
  const right = { verb: 'certify', group: GROUP, resource: 'agentidentities', namespace, name };
  if (await cluster.may(right)) return;
  const owner = identity.spec ? `, its owner, ${identity.spec.owner.kind} ${identity.spec.owner.name},` : '';
  throw new Failure(
    `you (${user.username}) are not the owner of AgentIdentity ${namespace}/${name}, and your word would not count. Somebody else must${owner} or whoever holds the verb certify here, by ClusterRole hallpass-certifier`,
    EXIT.no,
  );
}

/** Says of what gives access whether it would count, by what is known of whoever runs the command. */
async function mustCount(cluster: Cluster, decision: Decision, grant: ParsedGrant): Promise<void> {
  const { metadata, status, hash } = grant;
  const name = `AgentGrant ${metadata.namespace}/${metadata.name}`;
  if (decision !== 'Approve' && decision !== 'Resume') return;
  if (status.phase && isTerminal(status.phase) && status.specHash === hash) {
    throw new Failure(
      `${name} is ${status.phase}, which is final: there is nothing left to ${decision.toLowerCase()}`,
      EXIT.no,
    );
  }
  const authors = authorsOf(grant);
  const { username: user } = await cluster.user();
  const others =
    'Somebody else must: whoever holds the verb approve here, by ClusterRole hallpass-reviewer, wrote nothing of it, and may not act as one who did';
  if (authors.includes(user)) {
    throw new Failure(`you are ${user}, who wrote ${name}, and nobody decides for what they wrote. ${others}`, EXIT.no);
  }
  for (const author of authors) {
    const may = await Promise.all(waysToActAs(author).map((way) => cluster.may(way)));
    if (may.includes(true)) {
      throw new Failure(
        `you (${user}) may act as ${author}, who wrote ${name}, as cluster admins may act as anybody: your word would not count. ${others}`,
        EXIT.no,
      );
    }
  }
}
