// What can go wrong between here and the API server, each with what was tried and what to do about it.

import { printable } from '../text.ts';
import { isRecord, stringOf } from './json.ts';

/** One reason why an object was refused: the field it is about, and what is wrong with it. */
export type Cause = { reason?: string; message?: string; field?: string };

/**
 * The API server answered with an error. `status` is the HTTP status, `reason` the `reason` of the Status object
 * (`NotFound`, `Conflict`, `AlreadyExists`…), `retryAfterSeconds` what the server asked to wait.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly reason: string;
  readonly causes: Cause[];
  readonly retryAfterSeconds: number | undefined;

  constructor(options: {
    status: number;
    reason: string;
    message: string;
    causes?: Cause[];
    retryAfterSeconds?: number;
  }) {
    super(options.message);
    this.status = options.status;
    this.reason = options.reason;
    this.causes = options.causes ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** No answer came: refused, reset, timed out, or TLS failed. `code` is Node's error code or `TIMEOUT`. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** Something answered, but not as a Kubernetes API server does, or with an object that is not what was asked for. */
export class UnexpectedAnswerError extends Error {
  override readonly name = 'UnexpectedAnswerError';
}

const hasReason = (error: unknown, reason: string): boolean => error instanceof ApiError && error.reason === reason;

/** The object, or the kind itself, does not exist. */
export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.status === 404;
/** The namespace is being deleted, so nothing can be created in it. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  error instanceof ApiError && error.causes.some(({ reason }) => reason === 'NamespaceTerminating');
/** What was asked for; undefined when the API server says that it does not exist. */
export async function unlessGone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
/** The object was changed meanwhile, or a precondition on uid or resourceVersion failed. */
export const isConflict = (error: unknown): boolean => hasReason(error, 'Conflict');
/** An object of that name exists already. */
export const isAlreadyExists = (error: unknown): boolean => hasReason(error, 'AlreadyExists');
/** RBAC or an admission check refused. */
export const isForbidden = (error: unknown): boolean => error instanceof ApiError && error.status === 403;
/** Schema or validation refused; `causes` names the fields. */
export const isInvalid = (error: unknown): boolean => error instanceof ApiError && error.status === 422;
/** The resourceVersion or continue token is too old: list again. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.status === 410;

const reasonsByStatus: Record<number, string> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function causesOf(details: unknown): Cause[] {
  if (!isRecord(details) || !Array.isArray(details.causes)) return [];
  return details.causes
    .filter(isRecord)
    .slice(0, 64)
    .map((cause) => ({
      reason: stringOf(cause.reason),
      message: stringOf(cause.message),
      field: stringOf(cause.field),
    }));
}

/** Reads `Retry-After` in its form of seconds, the only one the API server sends. */
export function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,6}$/.test(header.trim())) return undefined;
  return Number(header);
}

/** The error in a Status object, as an answer's body or in an ERROR event of a watch. Undefined when it is not one. */
export function statusError(value: unknown, options: { prefix: string; retryAfterSeconds?: number }) {
  if (!isRecord(value) || value.kind !== 'Status' || typeof value.code !== 'number') return undefined;
  const reason = stringOf(value.reason) || reasonsByStatus[value.code] || 'Unknown';
  const details = isRecord(value.details) ? value.details : {};
  const asked = typeof details.retryAfterSeconds === 'number' ? details.retryAfterSeconds : undefined;
  return new ApiError({
    status: value.code,
    reason,
    message: `${options.prefix}: ${stringOf(value.message) || reason} (${value.code} ${reason})`,
    causes: causesOf(details),
    retryAfterSeconds: options.retryAfterSeconds ?? (asked || undefined),
  });
}

function parsedOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error for an answer with a status of 300 or more. */
export function answerError(answer: {
  request: string;
  server: string;
  status: number;
  contentType: string;
  retryAfter: string | undefined;
  body: string;
}): Error {
  const retryAfterSeconds = retryAfterOf(answer.retryAfter);
  const known = statusError(parsedOrUndefined(answer.body), { prefix: answer.request, retryAfterSeconds });
  if (known) return known;
  if (answer.status < 400 || answer.contentType.startsWith('text/html')) {
    return new UnexpectedAnswerError(
      `${answer.request}: ${answer.server} answered ${answer.status} with ${contentName(answer.contentType)}, as no Kubernetes API server does. ` +
        'Check that the server address is the API server itself, not a dashboard, a login page or a proxy.',
    );
  }
  // The API server answers some errors in plain text: 404 for a kind that is not served, 429 from its outer filter.
  const reason = reasonsByStatus[answer.status] ?? 'Unknown';
  const text = printable(answer.body.trim(), 200) || 'no message';
  return new ApiError({
    status: answer.status,
    reason,
    message: `${answer.request}: ${text} (${answer.status} ${reason})`,
    retryAfterSeconds,
  });
}

const contentName = (contentType: string): string => printable(contentType.split(';')[0] ?? '', 60) || 'no content';

/** The error for an answer that says all is well and is not what an API server sends. */
export function notKubernetes(answer: { request: string; server: string; contentType: string; found: string }): Error {
  return new UnexpectedAnswerError(
    `${answer.request}: ${answer.server} answered with ${contentName(answer.contentType)} (${printable(answer.found, 80)}) where a Kubernetes object was expected. ` +
      'Check that the server address is that of a Kubernetes API server.',
  );
}

const untrusted = {
  what: 'its certificate is not signed by the certificate authority that was given',
  remedy: 'check that the address is the right cluster’s, and certificate-authority in the kubeconfig',
};
const unreachable = { what: 'it cannot be reached', remedy: 'check the address, the network and any firewall' };
const unresolved = { what: 'its name cannot be resolved', remedy: 'check the server address and DNS' };
const closed = { what: 'the connection was closed', remedy: 'if it persists, look at the API server’s log' };
const notTls = { what: 'it does not speak TLS', remedy: 'check the port, and whether the address should be http://' };
const refusedCertificate = {
  what: 'it refused the client certificate',
  remedy: 'check client-certificate in the kubeconfig: it may be expired or of another cluster',
};

const connectionProblems: Record<string, { what: string; remedy: string }> = {
  ECONNREFUSED: { what: 'nothing listens there', remedy: 'check that the API server runs and the address is right' },
  ENOTFOUND: unresolved,
  EAI_AGAIN: unresolved,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  ETIMEDOUT: unreachable,
  TIMEOUT: { what: 'no answer came in time', remedy: 'check the network and the API server’s load' },
  ECONNRESET: closed,
  EPIPE: closed,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_SIGNATURE_FAILURE: untrusted,
  CERT_HAS_EXPIRED: { what: 'its certificate has expired', remedy: 'renew it, or check the clock of this machine' },
  CERT_NOT_YET_VALID: { what: 'its certificate is not valid yet', remedy: 'check the clock of this machine' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: 'its certificate is for another name',
    remedy: 'use a name that the certificate holds, or set tls-server-name in the kubeconfig',
  },
  EPROTO: notTls,
  ERR_SSL_WRONG_VERSION_NUMBER: notTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: notTls,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: refusedCertificate,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: refusedCertificate,
};

/** Turns what a socket or TLS reported into an error that says what was tried and what to do. */
export function connectionError(request: string, server: string, cause: unknown): ConnectionError {
  const code = isRecord(cause) || cause instanceof Error ? codeOf(cause) : 'UNKNOWN';
  const problem = connectionProblems[code] ?? { what: 'the connection failed', remedy: 'check address and network' };
  return new ConnectionError(`${request}: ${server}: ${problem.what} (${code}); ${problem.remedy}`, code);
}

function codeOf(cause: object): string {
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : 'UNKNOWN';
}
