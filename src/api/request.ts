// What makes two grants the same request: the spec hash, and the receipt's name that is derived from it.

import { hash as digestOf } from 'node:crypto';

/**
 * The identity of a request: a versioned SHA-256 over the fields that are set in a grant's spec.
 *
 * It is taken from the stored spec as it is, without schema defaults, so that a default added by an upgrade
 * doesn't turn an old request into a new one. `task.description` is for people and left out; `task.ref` is in,
 * since a new reference is how the same access is asked for again.
 */
export function specHash(spec: unknown): string {
  return `v1-${digestOf('sha256', canonical(withoutDescription(spec)))}`;
}

/**
 * The name of the receipt for a request: one per namespace, grant name and spec hash. Creating it is what the
 * API server lets happen at most once, so it must depend on nothing else (not on the grant's uid: a grant that was
 * deleted and applied again is the same request).
 */
export function receiptName(grant: { namespace: string; name: string }, hash: string): string {
  // Namespaces and names hold no NUL, so the three parts can't run into one another.
  return digestOf('sha256', `${grant.namespace}\0${grant.name}\0${hash}`).slice(0, 40);
}

/**
 * A digest of the conditions and windows of a grant's spec; undefined where it has none. A spec with another one, or without, is
 * no narrowing of one that has them: what restricts less gives more.
 */
export function restrictionsDigest(spec: { conditions?: unknown[] | undefined; windows?: unknown[] | undefined }) {
  const { conditions = [], windows = [] } = spec;
  if (conditions.length === 0 && windows.length === 0) return undefined;
  return `v1-${digestOf('sha256', canonical({ conditions, windows }))}`;
}

/** A request that a process remembers something about: another object, or another spec, is another request. */
export type Request = { uid: string; hash: string };

/** The request that a grant is now. */
export function requestOf({ metadata, hash }: { metadata: { uid: string }; hash: string }): Request {
  return { uid: metadata.uid, hash };
}

/** Whether what is remembered is about the request that this grant is now. */
export function isAbout(
  request: Request | undefined,
  grant: { metadata: { uid: string }; hash: string },
): request is Request {
  return request !== undefined && request.uid === grant.metadata.uid && request.hash === grant.hash;
}

function withoutDescription(spec: unknown): unknown {
  if (!isRecord(spec) || !isRecord(spec.task)) return spec;
  const { description: _, ...task } = spec.task;
  return { ...spec, task };
}

/** JSON with sorted keys: the same text for the same value, whatever order the fields were written in. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value ?? null);
  const fields = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${fields.join(',')}}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
