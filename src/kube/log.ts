// The log: structured lines, JSON in a pod and readable on a terminal, with no control character from any object.
import winston from 'winston';
import { printable } from '../text.ts';

type Fields = Record<string, unknown>;

/** Where everything that runs writes its lines. A field holds what a reader would filter by; never a secret. */
export type Log = {
  debug: (message: string, fields?: Fields) => void;
  info: (message: string, fields?: Fields) => void;
  warn: (message: string, fields?: Fields) => void;
  error: (message: string, fields?: Fields) => void;
};

/** Drops every line: for callers that have no reader. */
export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A field is to filter by; what is longer than this many characters is cut. */
const longest = 4096;

function printableValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return printable(value, longest);
  if (value instanceof Error) return printable(value.message, longest);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 4) return '…';
  if (Array.isArray(value)) return value.slice(0, 64).map((item) => printableValue(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [printable(key, 128), printableValue(item, depth + 1)]),
  );
}

function terminalLine(info: winston.Logform.TransformableInfo): string {
  const { level, message, timestamp, ...fields } = info;
  const tail = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
  return `${timestamp} ${level.toUpperCase().padEnd(5)} ${message}${tail}`;
}

/**
 * A log on standard error. `format` is `json` where a machine collects it and `text` where a person reads it;
 * left out, it is `text` on a terminal and `json` elsewhere. `stream` is for tests.
 */
export function createLog(options: {
  level?: 'debug' | 'info' | 'warn' | 'error';
  format?: 'json' | 'text';
  stream?: NodeJS.WritableStream;
}): Log {
  const stream = options.stream ?? process.stderr;
  const format = options.format ?? (process.stderr.isTTY ? 'text' : 'json');
  const logger = winston.createLogger({
    level: options.level ?? 'info',
    format: winston.format.combine(
      winston.format.timestamp(),
      format === 'json' ? winston.format.json() : winston.format.printf(terminalLine),
    ),
    transports: [new winston.transports.Stream({ stream })],
  });
  const write =
    (level: string) =>
    (message: string, fields?: Fields): void => {
      const clean = fields ? printableValue(fields) : undefined;
      // Spread first: a field named like one of winston's own must not replace the level or the message.
      logger.log({ ...(typeof clean === 'object' ? clean : undefined), level, message: printable(message, longest) });
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
