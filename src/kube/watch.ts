// One watch: from opening it to its end, with everything that can end it told apart.
import { statusError, UnexpectedAnswerError } from './api-error.ts';
import type { Client, Selection } from './client.ts';
import { isRecord } from './json.ts';
import { LineSplitter } from './lines.ts';
import type { KubeObject, Resource } from './object.ts';
import { pathOf, queryOf } from './paths.ts';
import { readStream } from './read-stream.ts';

/** What a watch hands out. A bookmark's object holds nothing but a resourceVersion. */
export type WatchEvent = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: Record<string, unknown> };

const openTimeoutMs = 30_000;

function parsedLine(line: string, request: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw new UnexpectedAnswerError(`${request}: a line of ${line.length} characters is not JSON`);
  }
  if (isRecord(event) && isRecord(event.object)) {
    const { type, object } = event;
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK') return { type, object };
    const error = type === 'ERROR' ? statusError(object, { prefix: request }) : undefined;
    if (error) throw error;
  }
  throw new UnexpectedAnswerError(`${request}: a line is not an event of a watch`);
}

/**
 * Watches until the server ends the stream, which it does after `timeoutSeconds`. Events are handed out in order and
 * synchronously. Throws what ended the watch otherwise: ApiError (410: the resourceVersion is too old), ConnectionError
 * (code `SILENT` when no byte came for as long as `silenceMs` says at that moment), UnexpectedAnswerError (what came was
 * no event; it is not known what was missed), what `onEvent` threw, or the signal's reason.
 */
export async function watch<T extends KubeObject>(options: {
  client: Client;
  resource: Resource<T>;
  selection: Selection;
  resourceVersion: string;
  timeoutSeconds: number;
  silenceMs: () => number;
  signal: AbortSignal;
  onOpen: () => void;
  onEvent: (event: WatchEvent) => void;
}): Promise<void> {
  const { client, resource, selection, signal } = options;
  const path = pathOf(resource, selection.namespace);
  const query = queryOf({
    watch: true,
    labelSelector: selection.labelSelector,
    fieldSelector: selection.fieldSelector,
    resourceVersion: options.resourceVersion,
    timeoutSeconds: options.timeoutSeconds,
    allowWatchBookmarks: true,
  });
  const stream = await client.stream('WATCH', path + query, resource.plural, { signal, timeoutMs: openTimeoutMs });
  options.onOpen();
  const request = `WATCH ${path}`;
  const lines = new LineSplitter((line) => options.onEvent(parsedLine(line, request)));
  await readStream(stream, { ...options, request, server: client.server, onChunk: (chunk) => lines.push(chunk) });
}
