// The objects in manifest files: YAML of many documents, JSON, lists; with the place where each begins.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { LineCounter, parseAllDocuments } from 'yaml';
import { isRecord } from '../kube/json.ts';
import { messageOf } from '../text.ts';
import { EXIT, Failure } from './failure.ts';

export type Manifest = {
  file: string;
  /** Where it begins, from 1. */
  line: number;
  object: Record<string, unknown>;
};

/** A document that is no object. */
export type Unreadable = { file: string; line: number; message: string };

/** Reads files, every manifest of directories, and standard input for `-`. Throws a Failure for what can't be read at all. */
export async function readManifests(paths: string[]): Promise<{ manifests: Manifest[]; unreadable: Unreadable[] }> {
  const manifests: Manifest[] = [];
  const unreadable: Unreadable[] = [];
  for (const file of paths.flatMap(filesOf)) {
    const lines = new LineCounter();
    for (const document of documentsOf(file, await textOf(file), lines)) {
      const [problem] = document.errors;
      const line = lines.linePos(problem?.pos[0] ?? document.contents?.range?.[0] ?? 0).line;
      try {
        if (problem) throw new Error(problem.message.split('\n')[0]);
        // A document of aliases upon aliases is refused by the parser's own limit.
        for (const object of objectsIn(document.toJS())) manifests.push({ file, line, object });
      } catch (error) {
        unreadable.push({ file, line, message: messageOf(error) });
      }
    }
  }
  return { manifests, unreadable };
}

/** So many lists or maps begin at one place in no manifest, and the parser takes a time for them that is quadratic in their number. */
const TOO_DEEP = /(?:[[{]\s*|-[ \t]+){200}/;

function documentsOf(file: string, manifests: string, lines: LineCounter) {
  if (TOO_DEEP.test(manifests)) throw new Failure(`${file} is no manifest: it is nested without end`, EXIT.usage);
  try {
    return parseAllDocuments(manifests, { lineCounter: lines });
  } catch (error) {
    // One that is nested without end exhausts the stack.
    throw new Failure(`${file} cannot be read: ${messageOf(error)}`, EXIT.usage);
  }
}

/** The objects of a document: none in an empty one, and each of a list. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (value === null || value === undefined) return [];
  if (!isRecord(value)) throw new Error('it is no Kubernetes object');
  if (value.kind === 'List' && Array.isArray(value.items)) return value.items.flatMap(objectsIn);
  return [value];
}

function filesOf(path: string): string[] {
  if (path === '-') return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ya?ml|json)$/.test(name))
      .sort()
      .map((name) => join(path, name));
  } catch (error) {
    throw new Failure(`${path} cannot be read: ${messageOf(error)}`, EXIT.usage);
  }
}

async function textOf(path: string): Promise<string> {
  try {
    // Whoever writes to a pipe may be slow, which a synchronous read takes for a failure.
    return path === '-' ? await text(process.stdin) : readFileSync(path, 'utf8');
  } catch (error) {
    throw new Failure(`${path} cannot be read: ${messageOf(error)}`, EXIT.usage);
  }
}
