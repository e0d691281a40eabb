// Reads what the API server answered, and says so when it isn't what was asked for.
import type { IncomingMessage } from 'node:http';
import { printable } from '../text.ts';
import { notKubernetes, UnexpectedAnswerError } from './api-error.ts';
import { isRecord } from './json.ts';
import type { KubeObject, Resource } from './object.ts';
import { type Answer, readWhole } from './transport.ts';

/** What was answered, for errors: method and path without its query, and the server's address. */
export type AnsweredRequest = { request: string; server: string };

/** The error for an answer that is not what was asked for. */
export function unexpected(answer: Answer, request: AnsweredRequest, value: unknown): Error {
  const found = isRecord(value) && typeof value.kind === 'string' ? `kind ${value.kind}` : 'no kind';
  return notKubernetes({ ...request, contentType: answer.contentType, found });
}

/** The JSON of an answer. */
export function jsonIn(answer: Answer, request: AnsweredRequest): unknown {
  try {
    return JSON.parse(answer.body);
  } catch {
    throw unexpected(answer, request, undefined);
  }
}

/** The Kubernetes object of any kind in an answer. */
export function objectIn(answer: Answer, request: AnsweredRequest): Record<string, unknown> {
  const value = jsonIn(answer, request);
  if (!isRecord(value) || typeof value.kind !== 'string') throw unexpected(answer, request, value);
  return value;
}

/** Reads one object of a kind; an error names the object and the field. */
export function parseObject<T extends KubeObject>(resource: Resource<T>, value: unknown): T {
  try {
    return resource.parse(value);
  } catch (error) {
    const metadata = isRecord(value) && isRecord(value.metadata) ? value.metadata : {};
    const name = [metadata.namespace, metadata.name].filter((part) => typeof part === 'string').join('/');
    const why = error instanceof Error ? printable(error.message.replaceAll(/\s+/g, ' '), 300) : 'unknown';
    throw new UnexpectedAnswerError(`${resource.kind} ${printable(name)} cannot be read: ${why}`);
  }
}

/** Reads the answer of a refused stream; a body that doesn't come in time doesn't matter. */
export function readRefusal(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve) => {
    const without = () =>
      resolve({
        status: response.statusCode ?? 0,
        contentType: '',
        retryAfter: response.headers['retry-after'],
        body: '',
      });
    const timer = setTimeout(() => response.destroy(), 5000);
    response.on('close', () => {
      clearTimeout(timer);
      without();
    });
    readWhole(response, resolve, without);
  });
}
