// What could not be made for a grant because of something that others must mend, and when it is tried again. Remembered
// until then, so that a grant neither flaps nor asks more often than it makes sense to.

import type { ParsedGrant } from '../api/grant.ts';
import { isAbout, type Request, requestOf } from '../api/request.ts';
import { isForbidden, isNotFound } from '../kube/client.ts';
import { keyOf } from '../kube/object.ts';
import { whatOf } from '../policy/finding.ts';
import type { Refusal } from '../policy/snapshot.ts';
import { AccessRefusedError, DeadManRefusedError, ForeignObjectError, MendableError } from './refusable.ts';

/** How soon a refusal is tried again the first time, in milliseconds, and at most: twice as long each time. */
const FIRST_RETRY = 15_000;
/** A Role may be refused only because the API server has not seen yet that the ceiling was raised. */
const FIRST_RETRY_OF_ACCESS = 1_000;
const LONGEST_RETRY = 120_000;

const REASONS = ['DeadManRefused', 'AccessRefused', 'ForeignObject'] as const satisfies Refusal['reason'][];

/** A refusal as it was told, or as a status tells of it. */
type Told = Omit<Refusal, 'retryAt'>;

type Remembered = { request: Request; refusals: number; refusal: Refusal | undefined };

export class Refusals {
  readonly #now: () => number;
  readonly #tryMaking: (grant: ParsedGrant) => Promise<void>;
  readonly #remembered = new Map<string, Remembered>();

  /** `tryMaking` finds out, without making anything, whether it would be refused now, and throws the refusal. */
  constructor(o: { now: () => number; tryMaking: (grant: ParsedGrant) => Promise<void> }) {
    this.#now = o.now;
    this.#tryMaking = o.tryMaking;
  }

  /** Whether one may stand against the grant, by what is remembered or, after a restart, by what its status says. */
  mayStand(grant: ParsedGrant): boolean {
    return this.#lastKnown(grant) !== undefined;
  }

  /** The refusal that stands against a grant; tried again first when its time has come, or when only the status knows of it. */
  async standing(grant: ParsedGrant): Promise<Refusal | undefined> {
    const lastKnown = this.#lastKnown(grant);
    if (!lastKnown) return undefined;
    const known = this.#of(grant);
    if (known?.refusal && this.#now() < known.refusal.retryAt) return known.refusal;
    try {
      await this.#tryMaking(grant);
    } catch (error) {
      const refusal = this.note(grant, error);
      if (refusal) return refusal;
      // A namespace that is gone or not enabled any more has gates of its own. Any other error has shown nothing.
      if (!isForbidden(error) && !isNotFound(error)) return this.#remember(grant, lastKnown);
    }
    // How often it was refused is kept: a trial that passes is not yet an object that is made.
    if (known) known.refusal = undefined;
    return undefined;
  }

  /** Remembers an error of making, or of trying to, if it is a refusal that others must mend; undefined for any other. */
  note(grant: ParsedGrant, error: unknown): Refusal | undefined {
    const reason = reasonOf(error);
    if (!reason || !(error instanceof MendableError)) return undefined;
    const { what, remedy } = error;
    const where = error instanceof DeadManRefusedError && { namespaces: error.namespaces };
    return this.#remember(grant, { reason, what, remedy, ...where });
  }

  /** All is made, or the grant is over or gone. */
  forget(grantKey: string): void {
    this.#remembered.delete(grantKey);
  }

  #remember(grant: ParsedGrant, told: Told): Refusal {
    const refusals = (this.#of(grant)?.refusals ?? 0) + 1;
    const first = told.reason === 'AccessRefused' ? FIRST_RETRY_OF_ACCESS : FIRST_RETRY;
    const retryAt = this.#now() + Math.min(first * 2 ** (refusals - 1), LONGEST_RETRY);
    const refusal: Refusal = { ...told, retryAt };
    this.#remembered.set(keyOf(grant.metadata), { request: requestOf(grant), refusals, refusal });
    return refusal;
  }

  #lastKnown(grant: ParsedGrant): Told | undefined {
    const known = this.#of(grant);
    return known ? known.refusal : onRecord(grant);
  }

  #of(grant: ParsedGrant): Remembered | undefined {
    const known = this.#remembered.get(keyOf(grant.metadata));
    return isAbout(known?.request, grant) ? known : undefined;
  }
}

function reasonOf(error: unknown): Refusal['reason'] | undefined {
  if (error instanceof DeadManRefusedError) return 'DeadManRefused';
  if (error instanceof AccessRefusedError) return 'AccessRefused';
  return error instanceof ForeignObjectError ? 'ForeignObject' : undefined;
}

/** The refusal of this request that its status tells of. */
function onRecord({ status, hash }: ParsedGrant): Told | undefined {
  if (status.specHash !== hash) return undefined;
  for (const { reason, message, remedy } of status.reasons ?? []) {
    const refused = REASONS.find((each) => each === reason);
    if (refused && remedy !== undefined) return { reason: refused, what: whatOf({ message, remedy }), remedy };
  }
  // The grant did not wait for it.
  const { message, remedy } = status.warnings?.find(({ reason }) => reason === 'DeadManLacking') ?? {};
  if (message === undefined || remedy === undefined) return undefined;
  return { reason: 'DeadManRefused', what: whatOf({ message, remedy }), remedy };
}
