// Completion of what somebody is typing, as kubectl asks a plugin for it: candidates, one a line, then what the shell is to do.

import type { Command, Option } from 'commander';
import { agentGrants } from '../api/grant.ts';
import { agentIdentities } from '../api/identity.ts';
import { namespaces } from '../kube/kinds.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import { type ClusterOptions, withCluster } from './cluster.ts';
import { EXIT, type ExitCode } from './failure.ts';
import type { Terminal } from './terminal.ts';

/** What the shell is to do with the candidates, in the numbers of cobra. */
const FILES_TOO = ':0';
const NO_FILES = ':4';

/** Nobody waits longer for a completion, in milliseconds. */
const PATIENCE = 2_000;

const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];

type Candidate = { name: string; description?: string };

/** Prints the candidates for the last of these words. */
export async function complete(program: Command, words: string[], terminal: Terminal): Promise<ExitCode> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const command = program.commands.find((each) => before.includes(each.name()));
  const options = [...(command?.options ?? []), ...program.options];
  const valued = options.find((option) => option.required && isOption(option, before.at(-1)));
  const argument = command && argumentAt(command, options, before);
  const candidates = await candidatesFor({ program, command, options, current, valued, argument, before });
  const fitting = candidates.filter(({ name }) => name.startsWith(current));
  for (const { name, description } of fitting) terminal.print(description ? `${name}\t${description}` : name);
  const takesFiles = valued ? valued.attributeName() === 'kubeconfig' : argument === 'FILES';
  terminal.print(takesFiles ? FILES_TOO : NO_FILES);
  return EXIT.yes;
}

async function candidatesFor(o: {
  program: Command;
  command: Command | undefined;
  options: Option[];
  current: string;
  valued: Option | undefined;
  argument: string | undefined;
  before: string[];
}): Promise<Candidate[]> {
  const where = whereOf(o.options, o.before);
  if (o.valued) {
    const { argChoices } = o.valued;
    if (argChoices) return argChoices.map((name) => ({ name }));
    const of = o.valued.attributeName();
    if (of === 'namespace' || of === 'in') return named(where, namespaces);
    return of === 'agent' ? named(where, agentIdentities) : [];
  }
  if (o.current.startsWith('-')) {
    return o.options.flatMap(({ long, description }) => (long ? [{ name: long, description }] : []));
  }
  if (!o.command) {
    const shown = o.program.createHelp().visibleCommands(o.program);
    return shown.map((each) => ({ name: each.name(), description: each.description() }));
  }
  switch (o.argument) {
    case 'GRANT':
      return named(where, agentGrants);
    case 'AGENT':
      return named(where, agentIdentities);
    case 'VERB':
      return VERBS.map((name) => ({ name }));
    case 'GRANT|agentidentity/NAME':
      return [...(await named(where, agentGrants)), ...(await named(where, agentIdentities, 'agentidentity/'))];
    default:
      return [];
  }
}

/** The name of the argument that comes next; undefined where none does. */
function argumentAt(command: Command, options: Option[], before: string[]): string | undefined {
  const after = before.slice(before.indexOf(command.name()) + 1);
  const given = after.filter((word, at) => {
    const previous = after[at - 1];
    return !word.startsWith('-') && !options.some((option) => option.required && isOption(option, previous));
  });
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  return (registeredArguments[given.length] ?? (last?.variadic ? last : undefined))?.name();
}

function isOption({ short, long }: Option, word: string | undefined): boolean {
  return word !== undefined && (word === short || word === long);
}

/** Which cluster and namespace the words before speak of. */
function whereOf(options: Option[], before: string[]): ClusterOptions {
  const value = (name: string) => {
    const option = options.find((each) => each.attributeName() === name);
    const at = before.findLastIndex((word) => option && isOption(option, word));
    if (at >= 0) return before[at + 1];
    return before.findLast((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3);
  };
  return { kubeconfig: value('kubeconfig'), context: value('context'), namespace: value('namespace') };
}

/** Names in the cluster; none where it does not tell them in time, since a completion has nowhere to say why. */
async function named<T extends KubeObject>(where: ClusterOptions, resource: Resource<T>, prefix = '') {
  try {
    return await withCluster(where, async ({ client, namespace }): Promise<Candidate[]> => {
      const signal = AbortSignal.timeout(PATIENCE);
      const { items } = await client.list(resource, { namespace: resource.namespaced ? namespace : undefined, signal });
      return items.map(({ metadata }) => ({ name: `${prefix}${metadata.name}` }));
    });
  } catch {
    return [];
  }
}
