// The command line of the operator.

import { Command, InvalidArgumentError, Option } from 'commander';
import { DURATION_HINT, parseDuration } from './api/duration.ts';
import { parseAddress } from './endpoints/health.ts';

export type Options = {
  kubeconfig: string | undefined;
  context: string | undefined;
  healthAddress: string;
  logFormat: 'json' | 'text' | undefined;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Milliseconds. */
  receiptRetention: number;
  deadManImage: string;
};

/** Parses the arguments after the program's name. Prints help or what is wrong, and exits, where that is what they ask for. */
export function parseOptions(args: string[]): Options {
  const program = new Command('hallpass')
    .description('Just-in-time access for AI agents on Kubernetes: the operator.')
    .option(
      '--kubeconfig <path>',
      "kubeconfig to use; left out: KUBECONFIG, the pod's ServiceAccount, or ~/.kube/config",
    )
    .option('--context <name>', "the kubeconfig's context; left out: its current one")
    .option('--health-address <host:port>', 'where /livez, /readyz and /metrics are served', address, '127.0.0.1:8080')
    .addOption(
      new Option('--log-format <format>', 'left out: text on a terminal, json elsewhere').choices(['json', 'text']),
    )
    .addOption(new Option('--log-level <level>').choices(['debug', 'info', 'warn', 'error']).default('info'))
    .option(
      '--receipt-retention <duration>',
      'how long an AgentReceipt outlives its grant; after it, the same request counts as a new one',
      retention,
      retention('2160h'),
    )
    .option('--dead-man-image <image>', 'image named by the dead-man Jobs, which never run it', 'hallpass')
    .allowExcessArguments(false)
    .showHelpAfterError('(see hallpass --help)');
  return program.parse(args, { from: 'user' }).opts<Options>();
}

function address(value: string): string {
  try {
    parseAddress(value);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return value;
}

function retention(value: string): number {
  const seconds = parseDuration(value);
  if (seconds === undefined) throw new InvalidArgumentError(`it must be ${DURATION_HINT}`);
  return seconds * 1000;
}
