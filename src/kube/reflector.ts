// Keeps a copy of a kind in step with the API server: list, watch, and again from where it broke off.
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../text.ts';
import { ApiError, ConnectionError, isExpired, UnexpectedAnswerError } from './api-error.ts';
import type { Client, Selection } from './client.ts';
import { isRecord, stringOf } from './json.ts';
import type { Log } from './log.ts';
import type { WatchRestart } from './metrics.ts';
import { type KubeObject, type Resource, resourceName } from './object.ts';
import { streamList } from './stream-list.ts';
import { type WatchEvent, watch } from './watch.ts';

/** What is done with what comes. `page` and `listed` belong together: what no page of a list held is gone. */
export type Sink = {
  beginList: () => void;
  page: (items: unknown[], resourceVersion: string) => Promise<void>;
  listed: (resourceVersion: string) => void;
  event: (event: WatchEvent) => void;
  /** The events so far, one for each item of a list, held all that exists, as of this version. */
  streamed: (resourceVersion: string) => void;
  /** All is known as of this version. */
  progress: (resourceVersion: string) => void;
  /** What stands in the way now; undefined when nothing does. */
  problem: (message: string | undefined) => void;
};

/** Times in which to give up a watch. Servers end a watch after 1 to 2 times `watchTimeoutSeconds`. */
export type ReflectorTimes = { watchTimeoutSeconds: number; silenceMarginMs: number; bookmarkSilenceMs: number };

const standardTimes: ReflectorTimes = {
  watchTimeoutSeconds: 300,
  silenceMarginMs: 30_000,
  // The API server sends a bookmark each minute. Where bookmarks come at all, three missing ones are a dead stream.
  bookmarkSilenceMs: 200_000,
};

const firstDelayMs = 800;
const longestDelayMs = 30_000;
const shortestWatchMs = 1000;

// What to do about an error that repeating the request doesn't help.
function withRemedy<T extends KubeObject>(error: unknown, resource: Resource<T>): string {
  const message = messageOf(error);
  if (!(error instanceof ApiError)) return message;
  const name = resourceName(resource);
  switch (error.status) {
    case 401:
      return `${message}. The API server does not know these credentials: they may be expired, or of another cluster.`;
    case 403:
      return `${message}. A ClusterRole bound to this user must allow get, list and watch on ${name}.`;
    case 404:
      return `${message}. The API server does not serve ${name} in version ${resource.version}: install its CustomResourceDefinition, or check the API server's version.`;
    default:
      return message;
  }
}

const isTooLarge = (error: unknown): boolean =>
  error instanceof ApiError && error.causes.some((cause) => cause.reason === 'ResourceVersionTooLarge');

/** Runs until the signal aborts; never throws. Everything else is waited out, with growing delays. */
export async function reflect<T extends KubeObject>(options: {
  client: Client;
  resource: Resource<T>;
  selection: Selection;
  sink: Sink;
  log: Log;
  signal: AbortSignal;
  times?: Partial<ReflectorTimes>;
}): Promise<void> {
  const { client, resource, selection, sink, log, signal } = options;
  const times = { ...standardTimes, ...options.times };
  const { metrics } = client;
  const label = resource.plural;
  const name = resourceName(resource);
  let version: string | undefined;
  let bookmarksCome = false;
  let wholeList = false;
  let failures = 0;
  let delayMs = 0;
  /** What happens once in a row of failures: the server's return is taken note of, and a 410 is followed by a list at once. */
  let returned = false;
  let relisted = false;
  let unreachable = false;
  let shown: string | undefined;

  const recovered = (): void => {
    failures = 0;
    returned = false;
    relisted = false;
  };
  // Delays that have grown while nothing could be reached have no reason any more. Once a row, so that what fails while
  // others don't is left to its delays.
  const noteReturn = (): void => {
    returned = true;
    failures = 0;
  };

  const tell = (message: string | undefined): void => {
    sink.problem(message);
    if (message === shown) return;
    if (message !== undefined) log.warn(message, { resource: name });
    else log.info('the API server answers again', { resource: name });
    shown = message;
  };

  let streamable = true;

  // For the first list only: of a later one it matters, too, what it does not hold.
  const stream = async (): Promise<string | undefined> => {
    if (!streamable) return undefined;
    streamable = false;
    try {
      const streamedVersion = await streamList({
        client,
        resource,
        selection,
        signal,
        onItem: (object) => sink.event({ type: 'ADDED', object }),
      });
      sink.streamed(streamedVersion);
      metrics?.listed(label);
      return streamedVersion;
    } catch (error) {
      if (signal.aborted) throw error;
      // Pages always work; what stands in their way, too, they will tell.
      log.debug('the list does not come in one piece; it is taken in pages', { resource: name, error: String(error) });
      return undefined;
    }
  };

  const list = async (): Promise<string> => {
    sink.beginList();
    let listedVersion = '';
    for await (const page of client.pages(resource, { ...selection, signal }, { whole: wholeList })) {
      await sink.page(page.items, page.resourceVersion);
      listedVersion = page.resourceVersion;
    }
    wholeList = false;
    sink.listed(listedVersion);
    metrics?.listed(label);
    return listedVersion;
  };

  const onEvent = (event: WatchEvent): void => {
    metrics?.watchEvent(label, event.type);
    if (event.type === 'BOOKMARK') bookmarksCome = true;
    else sink.event(event);
    recovered();
    const { metadata } = event.object;
    if (isRecord(metadata)) version = stringOf(metadata.resourceVersion) ?? version;
    if (version !== undefined) sink.progress(version);
  };

  // Returns how long the watch was open, in milliseconds.
  const watchFrom = async (resourceVersion: string): Promise<number> => {
    const timeoutSeconds = Math.ceil(times.watchTimeoutSeconds * (1 + Math.random()));
    let openedAt = Number.POSITIVE_INFINITY;
    const openForMs = (): number => performance.now() - openedAt;
    try {
      await watch({
        client,
        resource,
        selection,
        resourceVersion,
        timeoutSeconds,
        silenceMs: () => (bookmarksCome ? times.bookmarkSilenceMs : timeoutSeconds * 1000 + times.silenceMarginMs),
        signal,
        onOpen: () => {
          openedAt = performance.now();
          tell(undefined);
        },
        onEvent,
      });
    } finally {
      // A watch that lived longer than the delay before it was worth that delay: start over with short ones.
      if (openForMs() > Math.max(delayMs, shortestWatchMs)) recovered();
    }
    return openForMs();
  };

  const pause = async (error: unknown): Promise<void> => {
    const wasUnreachable = unreachable;
    unreachable = error instanceof ConnectionError;
    if (wasUnreachable && !unreachable && !returned) noteReturn();
    failures += 1;
    const grown = Math.min(firstDelayMs * 2 ** (failures - 1), longestDelayMs);
    delayMs = Math.min(grown * (1 + Math.random() / 2), longestDelayMs);
    if (error instanceof ApiError && error.retryAfterSeconds !== undefined) {
      delayMs = Math.max(delayMs, Math.min(error.retryAfterSeconds * 1000, longestDelayMs));
    }
    const over = new AbortController();
    const until = AbortSignal.any([signal, over.signal]);
    if (unreachable && !returned) {
      // That somebody else is answered says that the server is back.
      client.nextAnswer().then(() => {
        if (until.aborted) return;
        noteReturn();
        over.abort();
      });
    }
    await delay(delayMs, undefined, { signal: until }).catch(() => {});
    over.abort();
  };

  const restarted = (reason: WatchRestart): void => metrics?.watchRestarted(label, reason);

  while (!signal.aborted) {
    let watching = false;
    try {
      version ??= (await stream()) ?? (await list());
      watching = true;
      const openForMs = await watchFrom(version);
      restarted('ended');
      // Ended by the server as agreed: at once again, unless it ends them right after opening.
      if (openForMs < shortestWatchMs) await pause(undefined);
    } catch (error) {
      if (signal.aborted) return;
      const expired = isExpired(error) || isTooLarge(error);
      // After a line that was no event it isn't known what was missed.
      if (expired || (watching && error instanceof UnexpectedAnswerError)) {
        if (!watching) wholeList = true;
        version = undefined;
      }
      if (watching) {
        const silent = error instanceof ConnectionError && error.code === 'SILENT';
        restarted(expired ? 'expired' : silent ? 'silent' : 'error');
      }
      if (expired) {
        log.debug('the watch is too far behind; listing again', { resource: name });
        if (!relisted) {
          relisted = true;
          continue;
        }
      } else if (watching && failures === 0 && error instanceof ConnectionError) {
        // One broken connection is what networks do.
        log.debug(error.message, { resource: name });
      } else {
        tell(withRemedy(error, resource));
      }
      await pause(error);
    }
  }
}
