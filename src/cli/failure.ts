// Why a command could not do what it was asked, said so that a newcomer knows what to do, and the exit code for it.

import { ApiError, ConnectionError, isForbidden, isNotFound, UnexpectedAnswerError } from '../kube/client.ts';
import { CredentialsError } from '../kube/credentials.ts';

/** What the exit codes mean; docs/cli.md has them for people. */
export const EXIT = {
  /** Done; or the answer is yes. */
  yes: 0,
  /** The answer is no: it may not be done, somebody said no, or there are findings. */
  no: 1,
  /** What was typed, or a file, can't be understood. */
  usage: 2,
  /** The cluster could not be asked: out of reach, without hallpass, no such object, or no right to it. */
  failed: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An end that was foreseen: its message is for people as it is. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exit: ExitCode;

  constructor(message: string, exit: ExitCode = EXIT.failed) {
    super(message);
    this.exit = exit;
  }
}

/** What a command asks the API server for, to say who gives it where it is refused. */
export type Asked = { verb: string; resource: string; namespace: string | undefined; user: string };

/** The ClusterRole of deploy/cluster/people.yaml that gives a verb on a resource, and which built-in roles it is part of. */
const ROLES: Record<string, { read: string; write?: string }> = {
  agentgrants: { read: 'hallpass-grants-view', write: 'hallpass-grants-edit' },
  agentidentities: { read: 'hallpass-identities-view', write: 'hallpass-identities-edit' },
  agentreviews: { read: 'hallpass-reviews-view', write: 'hallpass-reviewer' },
  agentpolicies: { read: 'hallpass-policies-view', write: 'hallpass-policies-edit' },
};

/** The same of a verb by which somebody may decide. */
const DECIDERS: Record<string, string> = { approve: 'hallpass-reviewer', certify: 'hallpass-certifier' };

const PART_OF: Record<string, string> = {
  'hallpass-grants-view': ' (part of view, edit and admin)',
  'hallpass-identities-view': ' (part of view, edit and admin)',
  'hallpass-reviews-view': ' (part of view, edit and admin)',
  'hallpass-policies-view': ' (part of view, edit and admin)',
  'hallpass-grants-edit': ' (part of edit and admin)',
  'hallpass-identities-edit': ' (part of admin)',
};

/** That somebody lacks a right, which role gives it, and the command of whoever may give that. */
export function lacksRight({ verb, resource, namespace, user }: Asked): Failure {
  const known = ROLES[resource];
  const reads = ['get', 'list', 'watch'].includes(verb);
  const role = DECIDERS[verb] ?? (reads ? known?.read : known?.write);
  const where = namespace === undefined ? 'in every namespace' : `in namespace ${namespace}`;
  const what = `${user} may not ${verb} ${resource}.hallpass.dev ${where}`;
  if (role === undefined) return new Failure(`${what}; ask a cluster admin`);
  return lacksRole(what, role, namespace, user);
}

/** That somebody lacks what a ClusterRole gives, with the command that binds it. */
export function lacksRole(what: string, role: string, namespace: string | undefined, user: string): Failure {
  return new Failure(
    `${what}; ClusterRole ${role}${PART_OF[role] ?? ''} gives it. Whoever may grant that runs: ${bindCommand(role, namespace, user)}`,
  );
}

function bindCommand(role: string, namespace: string | undefined, user: string): string {
  const whom = /^[\w.@:-]+$/.test(user) ? user : `'${user.replaceAll("'", "'\\''")}'`;
  const kind = namespace === undefined ? 'clusterrolebinding' : 'rolebinding';
  const where = namespace === undefined ? '' : ` -n ${namespace}`;
  return `kubectl create ${kind} ${role}-${nameFrom(user)}${where} --clusterrole ${role} --user ${whom}`;
}

/** A part of a binding's name, of whatever a user is called. */
function nameFrom(user: string): string {
  const plain = user
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return plain.slice(0, 40) || 'someone';
}

/** Whether the API server doesn't know the kind at all: it answers in plain text then, not about an object. */
export function isKindUnknown(error: unknown): boolean {
  return isNotFound(error) && error instanceof Error && error.message.includes('404 page not found');
}

/** An error as the end of a command. What nobody foresaw is thrown on. */
export function asFailure(error: unknown, server: string | undefined): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof CredentialsError || error instanceof ConnectionError || error instanceof UnexpectedAnswerError) {
    return new Failure(`no cluster: ${error.message}`);
  }
  if (isKindUnknown(error)) {
    return new Failure(
      `hallpass is not installed on ${server}: it serves no kinds of hallpass.dev. If this is the wrong cluster, choose another with --context; otherwise a cluster admin installs it by: kubectl apply -k deploy`,
    );
  }
  if (error instanceof ApiError && error.status === 401) {
    return new Failure(
      `${server} does not know you: the credentials of the kubeconfig have expired or are of another cluster; log in again, or choose another with --context`,
    );
  }
  if (isForbidden(error) && error instanceof Error) {
    return new Failure(`${error.message}; ask a cluster admin for the right that it names`);
  }
  if (error instanceof ApiError) return new Failure(error.message);
  throw error;
}
