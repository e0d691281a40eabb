// The command line: the operator, and what people run beside it.

import { Command, InvalidArgumentError, Option } from 'commander';
import { DURATION_HINT, parseDuration } from './api/duration.ts';
import { parseAddress } from './endpoints/health.ts';
import { messageOf } from './text.ts';

type ClusterOptions = {
  kubeconfig: string | undefined;
  context: string | undefined;
};

export type Options = ClusterOptions & {
  healthAddress: string;
  logFormat: 'json' | 'text' | undefined;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Milliseconds. */
  receiptRetention: number;
  deadManImage: string;
};

const RETENTION = '2160h';

export type ReleaseOptions = ClusterOptions & { dryRun: boolean; force: boolean };

/**
 * Parses the arguments after the program's name and runs what they ask for. Prints help or what is wrong, and exits, where that
 * is what they ask for.
 */
export async function runCommand(
  args: string[],
  commands: { operate: (o: Options) => Promise<void>; release: (o: ReleaseOptions) => Promise<void> },
): Promise<void> {
  const program = clusterOptions(new Command('hallpass'))
    .description('Just-in-time access for AI agents on Kubernetes. Without a command: the operator.')
    .option('--health-address <host:port>', 'where /livez, /readyz and /metrics are served', address, '127.0.0.1:8080')
    .addOption(
      new Option('--log-format <format>', 'left out: text on a terminal, json elsewhere').choices(['json', 'text']),
    )
    .addOption(
      new Option('--log-level <level>', 'the least severe that is logged')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(
      new Option(
        '--receipt-retention <duration>',
        'how long an AgentReceipt outlives its grant; after it, the same request counts as a new one',
      )
        .argParser(retention)
        .default(retention(RETENTION), RETENTION),
    )
    .option('--dead-man-image <image>', 'image named by the dead-man Jobs, which never run it', 'hallpass')
    .allowExcessArguments(false)
    .enablePositionalOptions()
    .showHelpAfterError('(see hallpass --help)')
    .action((options: Options) => commands.operate(options));
  clusterOptions(program.command('release'))
    .description(
      'For when no hallpass runs any more: take its finalizer off every AgentIdentity and AgentGrant, so that they and their namespaces can go, and say what access is left behind.',
    )
    .option('--dry-run', 'change nothing', false)
    .option('--force', 'also while a replica runs', false)
    .allowExcessArguments(false)
    .action((options: ReleaseOptions) => commands.release(options));
  await program.parseAsync(args, { from: 'user' });
}

function clusterOptions(command: Command): Command {
  return command
    .option(
      '--kubeconfig <path>',
      "kubeconfig to use; left out: KUBECONFIG, the pod's ServiceAccount, or ~/.kube/config",
    )
    .option('--context <name>', "the kubeconfig's context; left out: its current one");
}

function address(value: string): string {
  try {
    parseAddress(value);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
  return value;
}

function retention(value: string): number {
  const seconds = parseDuration(value);
  if (seconds === undefined) throw new InvalidArgumentError(`it must be ${DURATION_HINT}`);
  return seconds * 1000;
}
