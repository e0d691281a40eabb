// Reads a stream of bytes until it ends, falls silent, breaks or is no longer wanted.
import type { Readable } from 'node:stream';
import { ConnectionError, connectionError } from './api-error.ts';

/** So long at a time nobody else gets a turn, in milliseconds, however much has come already. */
const sliceMs = 5;

/**
 * Reads a stream to its end, chunk by chunk, and leaves others their turn where that takes long. Throws what ended it otherwise:
 * ConnectionError (code `SILENT` when no byte came for as long as `silenceMs` says at that moment), what `onChunk` threw, or
 * the signal's reason.
 */
export function readStream(
  stream: Readable,
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
        fail(new ConnectionError(`${request}: ${server}: nothing came for ${seconds} s; it is opened again`, 'SILENT'));
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
    let busyMs = 0;
    stream.on('data', (chunk: Buffer) => {
      const startedAt = performance.now();
      try {
        options.onChunk(chunk);
      } catch (error) {
        fail(error);
        return;
      }
      listen();
      busyMs += performance.now() - startedAt;
      if (busyMs < sliceMs) return;
      busyMs = 0;
      stream.pause();
      setImmediate(() => stream.resume());
    });
    stream.on('end', () => settle(resolve));
    stream.on('error', (error) => fail(connectionError(request, server, error)));
    stream.on('close', () => fail(connectionError(request, server, { code: 'ECONNRESET' })));
  });
}
