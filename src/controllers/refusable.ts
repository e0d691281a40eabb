// What others may refuse hallpass, or stand in its way with, as errors of their own: who must mend it is told, and it is tried again.

import { ApiError, isAlreadyExists, isNamespaceTerminating } from '../kube/client.ts';
import { sentenceOf } from '../policy/finding.ts';

/** Something is so that others must mend. */
export class MendableError extends Error {
  readonly what: string;
  readonly remedy: string;

  constructor(what: string, remedy: string) {
    super(sentenceOf({ what, remedy }));
    this.what = what;
    this.remedy = remedy;
  }
}

/** Why something can't be made: a quota or an admission policy refuses the dead men in these namespaces. */
export class DeadManRefusedError extends MendableError {
  readonly namespaces: readonly string[];

  constructor(what: string, remedy: string, namespaces: readonly string[]) {
    super(what, remedy);
    this.namespaces = namespaces;
  }
}

/** Why something can't be made: an admission policy or the API server refuses what gives the access. */
export class AccessRefusedError extends MendableError {}

/** Why something can't be made: an object that isn't ours has its name. */
export class ForeignObjectError extends MendableError {}

/** What was refused in several places, as one error. */
export function refusedTogether(refused: DeadManRefusedError[]): DeadManRefusedError {
  const namespaces = refused.flatMap((each) => each.namespaces);
  const all = (texts: string[]) => [...new Set(texts)].join('; ');
  return new DeadManRefusedError(
    all(refused.map(({ what }) => what)),
    all(refused.map(({ remedy }) => remedy)),
    namespaces,
  );
}

/** Turns the refusal of a Job, or of the Service that it owns, into an error of its own. */
export async function deadManRefusable<T>(kind: string, namespace: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new DeadManRefusedError(
      `the dead-man ${kind}, without which access would outlive its end if every hallpass replica were dead, was refused in namespace ${namespace}: ${error.message}`,
      `have the quota or admission policy let through ${kind}s named hallpass-*`,
      [namespace],
    );
  }
}

/** The same for what gives the access. */
export async function accessRefusable<T>(write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new AccessRefusedError(
      `what gives the access was refused: ${error.message}`,
      `have the admission policy let through Roles and RoleBindings (for the whole cluster ClusterRoles and ClusterRoleBindings) named hallpass-*`,
    );
  }
}

/**
 * Whether quota, admission or the API server itself won't take an object, which others must mend. RBAC's refusal is none:
 * that is a place which is not enabled any more, and the caches will say so.
 */
function isRefusal(error: unknown): error is ApiError {
  if (!(error instanceof ApiError) || ![400, 403, 422].includes(error.status)) return false;
  return !isAlreadyExists(error) && !isRightMissing(error) && !isNamespaceTerminating(error);
}

function isRightMissing(error: ApiError): boolean {
  return error.status === 403 && /cannot (create|update|patch) resource/.test(error.message);
}
