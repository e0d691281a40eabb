// request: asks for access, by flags or by answering questions, and shows the manifest before it is sent.

import { agentGrants, type GrantSpec, parseGrant } from '../api/grant.ts';
import { agentIdentities } from '../api/identity.ts';
import { API_VERSION, NAME_LIMIT } from '../api/names.ts';
import { mustAgree, mustHaveSaid } from './asking.ts';
import { type Cluster, type ClusterOptions, withCluster } from './cluster.ts';
import { type FoundResource, findResource, withGroup } from './discovery.ts';
import { EXIT, type ExitCode, Failure } from './failure.ts';
import { type Form, jsonText, show, yamlText } from './output.ts';
import type { Terminal } from './terminal.ts';

export type Wish = {
  agent?: string;
  task?: string;
  ref?: string;
  /** Each `VERBS RESOURCES [NAMES]`, with commas between several of one. */
  allow: string[];
  in: string[];
  for?: string;
  from?: string;
  until?: string;
  name?: string;
};

/** What one word of three may hold: an AgentGrant's verbs, its resources, and names. */
type Allowed = { verbs: string[]; resources: string[]; names: string[] };

/** So many characters the API server adds to a generated name. */
const GENERATED = 5;

/** Asks for what is wished; with `dryRun` it prints the manifest and sends nothing. */
export async function request(
  where: ClusterOptions,
  terminal: Terminal,
  o: { wish: Wish; dryRun: boolean; yes: boolean; form: Form },
): Promise<ExitCode> {
  const missing = missingOf(o.wish);
  mustHaveSaid(terminal, missing.join(', '));
  mustHaveSaid(terminal, o.dryRun || o.yes ? '' : '--yes, or --dry-run');
  const written = o.wish.allow.map(allowed).flatMap(({ resources }) => resources);
  // What names all groups itself needs no cluster.
  if (o.dryRun && missing.length === 0 && where.namespace && written.every((each) => withGroup(each))) {
    const grant = manifestOf(where.namespace, o.wish, found(written.map(withGroup), written));
    printManifest(terminal, o.form, grant);
    return EXIT.yes;
  }
  return withCluster(where, async (cluster) => {
    const wish = await completed(cluster, terminal, o.wish);
    await cluster.find(agentIdentities, wish.agent ?? '');
    const names = [...new Set(wish.allow.map(allowed).flatMap(({ resources }) => resources))];
    const resources: FoundResource[] = [];
    for (const name of names) resources.push(await findResource(cluster, name));
    const grant = manifestOf(cluster.namespace, wish, found(resources, names));
    if (o.dryRun) {
      printManifest(terminal, o.form, grant);
      return EXIT.yes;
    }
    if (!o.yes) for (const line of yamlText(grant).trimEnd().split('\n')) terminal.tell(line);
    await mustAgree(terminal, o.yes, 'Ask for it?', 'nothing was asked for');
    const made = await cluster.create(agentGrants, cluster.namespace, grant);
    const { name } = made.metadata;
    show(terminal, o.form, { ...grant, metadata: made.metadata }, () => [
      `AgentGrant ${cluster.namespace}/${name} is asked for; how it stands: kubectl hallpass why -n ${cluster.namespace} ${name}`,
    ]);
    return EXIT.yes;
  });
}

function missingOf({ agent, task, allow, for: duration, until }: Wish): string[] {
  return [
    ...(agent === undefined ? ['--agent'] : []),
    ...(task === undefined ? ['--task'] : []),
    ...(allow.length === 0 ? ['--allow'] : []),
    ...(duration === undefined && until === undefined ? ['--for or --until'] : []),
  ];
}

/** The wish with what was left out, as whoever sits there answers. */
async function completed(cluster: Cluster, { ask, tell }: Terminal, wish: Wish): Promise<Wish> {
  if (!ask || missingOf(wish).length === 0) return wish;
  const answer = async (question: string) => {
    const given = await ask(question);
    if (given === '') throw new Failure('nothing was asked for', EXIT.no);
    return given;
  };
  const { namespace } = cluster;
  let { agent } = wish;
  if (agent === undefined) {
    const names = (await cluster.list(agentIdentities, namespace)).map(({ metadata }) => metadata.name);
    tell(
      names.length > 0
        ? `Agents in namespace ${namespace}: ${names.join(', ')}`
        : `There is no agent in namespace ${namespace}.`,
    );
    agent = await answer('For which agent?');
  }
  const task = wish.task ?? (await answer('To do what, in one line?'));
  const allow = [...wish.allow];
  while (wish.allow.length === 0) {
    const first = allow.length === 0;
    const given = await ask(first ? 'What may it do (such as: get,list pods)?' : 'What else (empty: nothing)?');
    if (given === '') break;
    allow.push(given);
  }
  if (allow.length === 0) throw new Failure('nothing was asked for', EXIT.no);
  const ends = wish.for !== undefined || wish.until !== undefined;
  return { ...wish, agent, task, allow, ...(ends ? {} : { for: await answer('For how long (such as 30m)?') }) };
}

/** Reads `VERBS RESOURCES [NAMES]`. */
export function allowed(written: string): Allowed {
  const [verbs, resources, names, ...more] = written.trim().split(/\s+/);
  if (!verbs || !resources || more.length > 0) {
    throw new Failure(
      `'${written}' does not say what is to be allowed: write VERBS RESOURCES, such as 'get,list pods', and names after them where only those are meant, such as 'patch deployments.apps frontend' (--allow)`,
      EXIT.usage,
    );
  }
  return { verbs: verbs.split(','), resources: resources.split(','), names: names?.split(',') ?? [] };
}

function found(resources: (FoundResource | undefined)[], written: string[]): Map<string, FoundResource> {
  return new Map(written.flatMap((name, at) => (resources[at] ? [[name, resources[at]] as const] : [])));
}

/** The grant that is wished for; throws a Failure that says what of it breaks which rule. */
function manifestOf(namespace: string, wish: Wish, resources: Map<string, FoundResource>) {
  const { agent = '', task = '', ref } = wish;
  const spec: GrantSpec = {
    agent,
    task: { description: task, ...(ref === undefined ? {} : { ref }) },
    permissions: wish.allow.map(allowed).flatMap((one) => permissionsOf(one, wish.in, resources)),
    validity: {
      ...(wish.from === undefined ? {} : { notBefore: wish.from }),
      ...(wish.until === undefined ? {} : { notAfter: wish.until }),
      ...(wish.for === undefined ? {} : { duration: wish.for }),
    },
  };
  const { invalid } = parseGrant({ metadata: { name: wish.name ?? agent }, spec });
  if (invalid !== undefined) throw new Failure(invalid, EXIT.usage);
  const metadata =
    wish.name === undefined
      ? { namespace, generateName: `${agent.slice(0, NAME_LIMIT - GENERATED - 1)}-` }
      : { namespace, name: wish.name };
  return { apiVersion: API_VERSION, kind: 'AgentGrant', metadata, spec };
}

/** One entry for each group among the resources: verbs and resources of different groups would be taken crosswise. */
function permissionsOf({ verbs, resources, names }: Allowed, namespaces: string[], known: Map<string, FoundResource>) {
  const byGroup = Map.groupBy(
    resources.flatMap((name) => known.get(name) ?? []),
    ({ group }) => group,
  );
  return [...byGroup].map(([group, members]) => ({
    ...(namespaces.length > 0 ? { namespaces } : {}),
    apiGroups: [group],
    resources: members.map(({ resource }) => resource),
    ...(names.length > 0 ? { resourceNames: names } : {}),
    verbs,
  }));
}

/** A manifest is no table: where none is asked for by name, it is YAML. */
function printManifest(terminal: Terminal, form: Form, grant: object): void {
  const text = form === 'json' ? jsonText(grant) : yamlText(grant);
  for (const line of text.trimEnd().split('\n')) terminal.print(line);
}
