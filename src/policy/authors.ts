// Whose rights a grant rests on, and for how long: its creator and its last author must hold what it hands out; in place of one
// who is a pipeline, the group that owns the agent.

import { serviceAccountOf } from '../api/names.ts';
import { type ParsedPolicy, type PolicySpec, SYSTEM_PREFIX } from '../api/policy.ts';
import type { Stamp } from '../api/stamp.ts';
import { listed } from '../text.ts';
import { type Finding, finding, NOTHING, ofEach, together } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once } from './once.ts';
import { isEnforced, onlyWarns, type Which } from './policies.ts';
import { ownPolicies, type Snapshot } from './snapshot.ts';
import { subjectKey } from './standing.ts';

/** Who must hold something: a person as they were stamped, or a group by itself. */
export type Holder = Partial<Stamp>;

/** Whether the rights of authors count: never, when access begins, or for as long as it lasts. */
export type RequesterCheck = NonNullable<PolicySpec['requesterCheck']>;

type Pipeline = NonNullable<PolicySpec['pipelines']>[number];

/** An entry of a policy's `pipelines` that names an author. */
export type PipelineLine = Pipeline & { policy: string; line: string };

/** Ascending. */
const STRICTNESS: RequesterCheck[] = ['Off', 'AtIssue', 'Continuous'];

/** The strictest that the enforced policies of all places concerned say; one that says nothing, or can't be read, is strict. */
export function requesterCheck({ namespaces, cluster }: Pick<Snapshot, 'namespaces' | 'cluster'>): RequesterCheck {
  let strictest = cluster ? strictness(cluster.policies) : -1;
  for (const { policies } of namespaces.values()) strictest = Math.max(strictest, strictness(policies));
  return STRICTNESS[strictest] ?? 'Continuous';
}

/** How strict these policies are together; below all else where none of them is enforced. */
const strictness = once((policies: ParsedPolicy[]): number =>
  Math.max(
    -1,
    ...policies.filter(isEnforced).map(({ spec }) => STRICTNESS.indexOf(spec?.requesterCheck ?? 'Continuous')),
  ),
);

/** Whether the rights of the authors count now. */
function authorsCount(input: GateInput): boolean {
  const check = requesterCheck(input);
  return check === 'Continuous' || (check === 'AtIssue' && input.atIssue);
}

/**
 * Whether the API server must be asked about the authors: always before access begins, and later when RBAC alone, as it is
 * known here, gives them not all. What another authorizer gives them is so found out, and never taken for lost.
 */
export function mustAskAuthors(input: GateInput): boolean {
  if (input.authorsLack !== undefined || !input.grant.stamps) return false;
  return (input.atIssue || !input.authorsCovered) && authorsCount(input);
}

/** Whether it is known now what the authors hold, where that counts. */
export function authorsKnown(input: GateInput): boolean {
  return authorsCount(input) && (input.authorsLack !== undefined || (!input.atIssue && input.authorsCovered));
}

/** The entries, of these policies for the grant's own namespace, by which an author is a pipeline. */
export function pipelineLines(
  input: Pick<Snapshot, 'grant' | 'namespaces'>,
  author: Stamp,
  which = isEnforced,
): PipelineLine[] {
  return withPipelines(ownPolicies(input)).flatMap((policy) => {
    if (!which(policy)) return [];
    const lines = policy.spec?.pipelines?.map((pipeline, at) => ({
      ...pipeline,
      policy: policy.metadata.name,
      line: `spec.pipelines[${at}]`,
    }));
    return lines?.filter(({ subjects }) => subjects.some((subject) => isSubject(subject, author))) ?? [];
  });
}

/** Those of the policies that name any: few do, and they are asked at every decision. */
export const withPipelines = once((policies: ParsedPolicy[]) => policies.filter(({ spec }) => spec?.pipelines?.length));

/** Of these entries those that let the owner of the agent answer. A system: group never does, whatever a policy says. */
export function answering({ identity }: Pick<Snapshot, 'identity'>, lines: PipelineLine[]): PipelineLine[] {
  const owner = identity?.spec?.owner;
  if (owner?.kind !== 'Group' || owner.name.startsWith(SYSTEM_PREFIX)) return [];
  return lines.filter(({ ownerGroups }) => ownerGroups.includes(owner.name));
}

/** Who must hold what an author hands out; undefined where the author is a pipeline and nobody may answer in its place. */
export function holderOf(
  snapshot: Pick<Snapshot, 'grant' | 'identity' | 'namespaces'>,
  author: Stamp,
): Holder | undefined {
  const lines = pipelineLines(snapshot, author);
  if (lines.length === 0) return author;
  const owner = snapshot.identity?.spec?.owner;
  return owner && answering(snapshot, lines).length > 0 ? { groups: [owner.name] } : undefined;
}

/** Who must hold what each of the authors hands out. */
export type Holders = { creator: Holder | undefined; requester: Holder | undefined };

export function holdersOf(snapshot: Pick<Snapshot, 'grant' | 'identity' | 'namespaces'>): Holders {
  const { stamps } = snapshot.grant;
  const of = (author: Stamp | undefined) => author && holderOf(snapshot, author);
  return { creator: of(stamps?.creator), requester: of(stamps?.requester) };
}

/** What stands against the grant since its authors, or those who answer for them, don't hold what it hands out. */
export function authorsGate(input: GateInput): readonly Finding[] {
  const { grant, atIssue } = input;
  if (!grant.stamps) {
    if (!atIssue) return NOTHING;
    return [
      finding({
        reason: 'StampsMissing',
        what: 'nobody is stamped as its author, since it was stored without the admission guards',
        remedy: 'apply deploy/guards, then create the grant anew',
        by: ['ClusterAdmin', 'Requester'],
        needsEdit: true,
      }),
    ];
  }
  if (!authorsCount(input)) return NOTHING;
  return ofEach(AUTHORS, (author) => together(notAnswered(input, author, isEnforced), lacking(input, author)));
}

/** What would stand against it so, were the policies enforced which only warn. What an owner holds is asked about only then. */
export function authorsWarnings(input: GateInput): readonly Finding[] {
  if (!authorsCount(input)) return NOTHING;
  return ofEach(AUTHORS, (author) => notAnswered(input, author, onlyWarns));
}

const AUTHORS = ['creator', 'requester'] as const;
type Author = (typeof AUTHORS)[number];

const REASON = { creator: 'CreatorLacksPermission', requester: 'RequesterLacksPermission' } as const;

function named({ grant }: GateInput, author: Author): string {
  const { username } = grant.stamps?.[author] ?? {};
  return author === 'creator' ? `its creator, ${username},` : `the last author of its spec, ${username},`;
}

/** That an author is a pipeline by these policies, and nobody may answer in its place. */
function notAnswered(input: GateInput, author: Author, which: Which): readonly Finding[] {
  const { grant, identity } = input;
  if (!grant.stamps || withPipelines(ownPolicies(input)).length === 0) return NOTHING;
  const lines = pipelineLines(input, grant.stamps[author], which);
  const [first] = lines;
  if (!first || answering(input, lines).length > 0) return NOTHING;
  const { policy, line, ownerGroups } = first;
  return [
    finding({
      reason: REASON[author],
      policy,
      line,
      what: `${named(input, author)} is a pipeline (AgentPolicy ${policy}, ${line}), and the owner of AgentIdentity ${grant.spec?.agent}, ${ownerOf(identity)}, is none of the groups that may answer for it (${listed(ownerGroups, 4)})`,
      remedy: 'set spec.owner of the identity to one of them, or have whoever maintains AgentPolicies add the group',
      by: ['IdentityOwner', 'PolicyAdmin'],
    }),
  ];
}

/** That an author, or who answers for one, lacks something. */
function lacking(input: GateInput, author: Author): readonly Finding[] {
  const { grant, identity, atIssue, authorsCovered } = input;
  const missing = input.authorsLack?.[author] ?? [];
  if (missing.length === 0 || (!atIssue && authorsCovered)) return NOTHING;
  const pipeline = grant.stamps && pipelineLines(input, grant.stamps[author]).length > 0;
  const answers = pipeline ? `the owner of its agent, ${ownerOf(identity)}, which answers for ` : '';
  return [
    finding({
      reason: REASON[author],
      what: `${answers}${named(input, author)} may not do everything that this hands out (${listed(missing, 4)}); nobody can hand out what they don't hold`,
      remedy: 'ask for less, or have a cluster admin give them the rest',
      by: ['Requester', 'ClusterAdmin'],
    }),
  ];
}

function ownerOf(identity: Snapshot['identity']): string {
  const owner = identity?.spec?.owner;
  return owner ? `${owner.kind} ${owner.name}` : 'nobody yet';
}

/** The subjects of bindings that mean, or include, somebody, as keys of the index of bindings. */
export const subjectKeysOfHolder = once(({ username, groups = [] }: Holder): string[] => {
  const keys = groups.map((name) => subjectKey({ kind: 'Group', name }));
  if (username === undefined) return keys;
  const account = serviceAccountOf(username);
  const own = subjectKey({ kind: 'User', name: username });
  return account ? [own, subjectKey({ kind: 'ServiceAccount', ...account }), ...keys] : [own, ...keys];
});

function isSubject({ kind, name, namespace }: Pipeline['subjects'][number], author: Stamp): boolean {
  if (kind === 'Group') return author.groups?.includes(name) ?? false;
  if (kind === 'User') return author.username === name;
  const account = serviceAccountOf(author.username);
  return account?.namespace === namespace && account?.name === name;
}
