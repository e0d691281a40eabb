// A list that is read as it comes, item by item. Asked for in one piece, the API server makes it in a third of the time that it
// takes for a watch that begins with all there is, and in less than a fifth of what pages take; and no page of it is ever held.
import { UnexpectedAnswerError } from './api-error.ts';
import type { Client, Selection } from './client.ts';
import { isRecord, stringOf } from './json.ts';
import { ItemSplitter } from './list-items.ts';
import type { KubeObject, Resource } from './object.ts';
import { pathOf, queryOf } from './paths.ts';
import { readStream } from './read-stream.ts';

const openTimeoutMs = 30_000;
const silenceMs = 10_000;

/**
 * Hands out all objects of a selection, in order, while they come. Resolves with the resourceVersion as of which that was all.
 * Throws where the list was refused, broke off or is none; what was handed out until then was there nevertheless.
 */
export async function streamList<T extends KubeObject>(options: {
  client: Client;
  resource: Resource<T>;
  selection: Selection;
  signal: AbortSignal;
  onItem: (item: Record<string, unknown>) => void;
}): Promise<string> {
  const { client, resource, selection, signal, onItem } = options;
  const { namespace, labelSelector, fieldSelector } = selection;
  const path = pathOf(resource, namespace);
  const query = queryOf({ labelSelector, fieldSelector });
  const request = `LIST ${path}`;
  const stream = await client.stream('LIST', path + query, resource.plural, { signal, timeoutMs: openTimeoutMs });
  const items = new ItemSplitter((json) => onItem(parsed(json, request)));
  await readStream(stream, {
    request,
    server: client.server,
    silenceMs: () => silenceMs,
    signal,
    onChunk: (chunk) => items.push(chunk),
  });
  const { kind, metadata } = parsed(items.rest, request);
  const version = isRecord(metadata) ? stringOf(metadata.resourceVersion) : undefined;
  if (kind !== `${resource.kind}List` || version === undefined) {
    throw new UnexpectedAnswerError(`${request}: the answer is not a list of ${resource.kind}`);
  }
  return version;
}

function parsed(json: string, request: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new UnexpectedAnswerError(`${request}: what came is not JSON, or was cut off`);
  }
  if (!isRecord(value)) throw new UnexpectedAnswerError(`${request}: what came is not a list of objects`);
  return value;
}
