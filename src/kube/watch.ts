// One watch: from opening it to its end, with everything that can end it told apart.
import type { IncomingMessage } from 'node:http';
import { ConnectionError, connectionError, statusError, UnexpectedAnswerError } from './api-error.ts';
import type { Client, Selection } from './client.ts';
import { isRecord } from './json.ts';
import { LineSplitter } from './lines.ts';
import type { KubeObject, Resource } from './object.ts';
import { pathOf, queryOf } from './paths.ts';

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
  /** First what there is, each as an ADDED, then a bookmark that says so; without a resourceVersion only. */
  initialEvents?: boolean;
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
    sendInitialEvents: options.initialEvents,
    resourceVersionMatch: options.initialEvents ? 'NotOlderThan' : undefined,
    timeoutSeconds: options.timeoutSeconds,
    allowWatchBookmarks: true,
  });
  const stream = await client.stream(path + query, resource.plural, { signal, timeoutMs: openTimeoutMs });
  options.onOpen();
  const request = `WATCH ${path}`;
  const lines = new LineSplitter((line) => options.onEvent(parsedLine(line, request)));
  await readStream(stream, { ...options, request, server: client.server, onChunk: (chunk) => lines.push(chunk) });
}

function readStream(
  stream: IncomingMessage,
  options: {
    request: string;
    server: string;
    silenceMs: () => number;
    signal: AbortSignal;
    onChunk: (chunk: Buffer) => void;
  },
): Promise<void> {
  const { signal, request, server } = options;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let timerMs = Number.NaN;
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      act();
      stream.destroy();
    };
    const fail = (error: unknown): void => settle(() => reject(error));
    const abort = (): void => fail(signal.reason);
    const listen = (): void => {
      const silenceMs = options.silenceMs();
      if (timer && silenceMs === timerMs) {
        timer.refresh();
        return;
      }
      clearTimeout(timer);
      timerMs = silenceMs;
      timer = setTimeout(() => {
        const seconds = Math.round(silenceMs / 1000);
        fail(
          new ConnectionError(
            `${request}: ${server}: nothing came for ${seconds} s; the watch is opened again`,
            'SILENT',
          ),
        );
      }, silenceMs);
    };
    if (signal.aborted) {
      stream.on('error', () => {});
      stream.destroy();
      reject(signal.reason);
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    listen();
    stream.on('data', (chunk: Buffer) => {
      try {
        options.onChunk(chunk);
      } catch (error) {
        fail(error);
        return;
      }
      listen();
    });
    stream.on('end', () => settle(resolve));
    stream.on('error', (error) => fail(connectionError(request, server, error)));
    stream.on('close', () => fail(connectionError(request, server, { code: 'ECONNRESET' })));
  });
}
