// The commands of kubectl hallpass and their options.

import { Command, CommanderError, Option } from 'commander';
import type { DECISIONS } from '../api/review.ts';
import { can } from './can.ts';
import type { ClusterOptions } from './cluster.ts';
import { complete } from './completion.ts';
import { EXIT, type ExitCode, Failure } from './failure.ts';
import { REPORTS, type Report } from './findings.ts';
import { freeze, unfreeze } from './freeze.ts';
import { wrapped } from './layout.ts';
import { lint } from './lint.ts';
import { list } from './list.ts';
import { FORMS, type Form } from './output.ts';
import { request, type Wish } from './request.ts';
import { review } from './review.ts';
import type { Terminal } from './terminal.ts';
import { verify } from './verify.ts';
import { why } from './why.ts';

type Globals = ClusterOptions & { output: Form };

const DECIDING: [command: string, decision: keyof typeof DECISIONS, about: string, description: string][] = [
  ['approve', 'Approve', 'GRANT', 'approve a grant as it stands now'],
  ['deny', 'Deny', 'GRANT', 'refuse a request for good, also when it is made again'],
  [
    'suspend',
    'Suspend',
    'GRANT|agentidentity/NAME',
    'withdraw the access of a grant, or of an agent, until it is resumed',
  ],
  ['resume', 'Resume', 'GRANT|agentidentity/NAME', 'lift an earlier suspend'],
  ['certify', 'Certify', 'agentidentity/NAME', 'certify that an agent is still wanted as it is'],
  ['revoke', 'Revoke', 'GRANT|agentidentity/NAME', 'end a grant, or all grants of an agent, for good'],
];

/** Runs the command that these arguments ask for, and returns how it ended. */
export async function run(args: string[], terminal: Terminal): Promise<ExitCode> {
  let exit: ExitCode = EXIT.yes;
  const program = new Command('kubectl hallpass')
    .description('Just-in-time access for AI agents: ask for it, look into it, decide about it.')
    .option('-n, --namespace <name>', "namespace; left out: that of the kubeconfig's context")
    .option(
      '--kubeconfig <path>',
      "kubeconfig to use; left out: KUBECONFIG, the pod's ServiceAccount, or ~/.kube/config",
    )
    .option('--context <name>', "the kubeconfig's context; left out: its current one")
    .addOption(new Option('-o, --output <form>', 'form of the answer').choices(FORMS).default('table'))
    .configureHelp({ showGlobalOptions: true, helpWidth: terminal.width })
    .configureOutput({
      writeOut: (text) => eachLine(text, terminal.print),
      writeErr: (text) => eachLine(text, terminal.tell),
    })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 done, or yes; 1 no, or findings; 2 not understood; 3 the cluster could not be asked',
    );

  program
    .command('list')
    .description('list grants by their agents, with what each waits for')
    .option('-A, --all-namespaces', 'of every namespace', false)
    .option('--ended', 'also those that have ended', false)
    .allowExcessArguments(false)
    .action(async (_: object, command: Command) => {
      const o = command.optsWithGlobals<Globals & { allNamespaces: boolean; ended: boolean }>();
      exit = await list(o, terminal, { everywhere: o.allNamespaces, ended: o.ended, form: o.output });
    });
  program
    .command('why')
    .description('tell why a grant gives access or does not, and who could change that; of an agent, of all its grants')
    .argument('<GRANT|agentidentity/NAME>', 'its name; that of an agent is enough where no grant has it')
    .action(async (target: string, _: object, command: Command) => {
      const o = command.optsWithGlobals<Globals>();
      exit = await why(o, terminal, { target, form: o.output });
    });
  program
    .command('can')
    .description('tell whether an agent may do something now, and if not, what would make it possible')
    .argument('<AGENT>', 'name of the AgentIdentity')
    .argument('<VERB>', 'such as get, list, patch')
    .argument('<RESOURCE>', 'such as pods, pods/log or deployments.apps')
    .argument('[NAME]', 'the one object that is meant; left out: any')
    .option('--in <namespace>', "where; left out: the agent's own namespace")
    .action(
      async (agent: string, verb: string, resource: string, name: string | undefined, _: object, command: Command) => {
        const o = command.optsWithGlobals<Globals & { in?: string }>();
        exit = await can(o, terminal, { agent, verb, resource, name, in: o.in, form: o.output });
      },
    );
  program
    .command('request')
    .description('ask for access for an agent: by these options, or by answering what is left out')
    .option('--agent <name>', 'the AgentIdentity that is to have it')
    .option('--task <text>', 'what it is to do, in one line, for whoever decides and for the record')
    .option('--ref <text>', 'where the task is tracked: a ticket, an incident')
    .option(
      '--allow <rule>',
      "VERBS RESOURCES [NAMES], such as 'get,list pods'; more than one may be given",
      gathered,
      [],
    )
    .option('--in <namespace>', "where; left out: the agent's own namespace; more than one may be given", gathered, [])
    .option('--for <duration>', 'how long, such as 30m')
    .option('--from <time>', 'not before, such as 2026-03-01T17:00:00Z')
    .option('--until <time>', 'not after')
    .option('--name <name>', 'name of the AgentGrant; left out: that of the agent and some letters')
    .option('--dry-run', 'print the manifest, and ask for nothing', false)
    .option('-y, --yes', 'ask for it without a question', false)
    .allowExcessArguments(false)
    .action(async (_: object, command: Command) => {
      const {
        output: form,
        dryRun,
        yes,
        ...o
      } = command.optsWithGlobals<Globals & Wish & { dryRun: boolean; yes: boolean }>();
      exit = await request(o, terminal, { wish: o, dryRun, yes, form });
    });
  program
    .command('lint')
    .description('tell what would stand against manifests, without a cluster; for pull requests')
    .argument('<FILES...>', 'files and directories; - is standard input')
    .addOption(
      new Option('--report <form>', 'form of what was found; left out: text, or json by -o json').choices(REPORTS),
    )
    .action(async (paths: string[], _: object, command: Command) => {
      const { namespace, output, report } = command.optsWithGlobals<Globals & { report?: Report }>();
      if (output === 'yaml') throw new Failure(`lint answers in one of ${REPORTS.join(', ')} (--report)`, EXIT.usage);
      exit = await lint(terminal, { paths, namespace, report: report ?? (output === 'json' ? 'json' : 'text') });
    });
  program
    .command('verify')
    .description('check on the cluster that nobody holds what no grant gives, and that all is on record; it only reads')
    .allowExcessArguments(false)
    .action(async (_: object, command: Command) => {
      const o = command.optsWithGlobals<Globals>();
      exit = await verify(o, terminal, { form: o.output });
    });

  for (const [name, decision, about, description] of DECIDING) {
    program
      .command(name)
      .description(`${description}; shows it and asks before it does`)
      .argument(`<${about}>`, 'what it is about')
      .option('-m, --comment <text>', 'why, in one line, for the record; left out: it is asked for')
      .option('-y, --yes', 'decide without asking', false)
      .action(async (target: string, _: object, command: Command) => {
        const {
          output: form,
          comment,
          yes,
          ...where
        } = command.optsWithGlobals<Globals & { comment?: string; yes: boolean }>();
        exit = await review(where, terminal, { decision, target, comment, yes, form });
      });
  }

  program
    .command('freeze')
    .description('stop every grant of the namespace, or of the cluster, at once; shows it and asks before it does')
    .option('-A, --all-namespaces', 'the whole cluster', false)
    .option('-m, --reason <text>', 'why, in one line, for everybody whose access stops; left out: it is asked for')
    .option('-y, --yes', 'freeze without asking', false)
    .allowExcessArguments(false)
    .action(async (_: object, command: Command) => {
      const o = command.optsWithGlobals<Globals & { allNamespaces: boolean; reason?: string; yes: boolean }>();
      const { reason, yes, output: form } = o;
      exit = await freeze(o, terminal, { everywhere: o.allNamespaces, reason, yes, form });
    });
  program
    .command('unfreeze')
    .description('take back what freeze did')
    .option('-A, --all-namespaces', 'the whole cluster', false)
    .option('-y, --yes', 'unfreeze without asking', false)
    .allowExcessArguments(false)
    .action(async (_: object, command: Command) => {
      const o = command.optsWithGlobals<Globals & { allNamespaces: boolean; yes: boolean }>();
      exit = await unfreeze(o, terminal, { everywhere: o.allNamespaces, yes: o.yes, form: o.output });
    });
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      exit = await complete(program, words, terminal);
    });

  try {
    await program.parseAsync(args, { from: 'user' });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.yes : EXIT.usage;
    if (!(error instanceof Failure)) throw error;
    for (const line of wrapped(`error: ${error.message}`, terminal.width)) terminal.tell(line);
    return error.exit;
  }
}

function gathered(value: string, before: string[]): string[] {
  return [...before, value];
}

function eachLine(text: string, write: (line: string) => void): void {
  for (const line of text.trimEnd().split('\n')) write(line);
}
