// What a command answers, in the form that was asked for: for people, or for programs.

import { Document, isScalar, visit } from 'yaml';
import { escaped } from '../text.ts';
import type { Terminal } from './terminal.ts';

export const FORMS = ['table', 'json', 'yaml'] as const;

export type Form = (typeof FORMS)[number];

/** Prints a value for programs, or else the lines for people. */
export function show(terminal: Terminal, form: Form, value: unknown, lines: () => string[]): void {
  const text = form === 'json' ? jsonText(value) : form === 'yaml' ? yamlText(value) : lines().join('\n');
  for (const line of text.trimEnd().split('\n')) terminal.print(line);
}

/** JSON in which nothing acts on a terminal, and which means the same. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, undefined, 2)
    .split('\n')
    .map((line) => escaped(line, utf16))
    .join('\n');
}

/** YAML, likewise: strings that need an escape are quoted, since only there YAML knows any. */
export function yamlText(value: unknown): string {
  // What is undefined is left out, as JSON does it.
  const document = new Document(JSON.parse(JSON.stringify(value)));
  visit(document, {
    Scalar(_, node) {
      if (isScalar(node) && typeof node.value === 'string' && escaped(node.value, utf16) !== node.value) {
        node.type = 'QUOTE_DOUBLE';
      }
    },
  });
  const text = document.toString({ lineWidth: 0 });
  return text
    .split('\n')
    .map((line) => escaped(line, utf32))
    .join('\n');
}

function utf16(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}

function utf32(character: string): string {
  return `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`;
}
