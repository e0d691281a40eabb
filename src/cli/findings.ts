// Findings about manifests in the forms that people and pipelines read: text, JSON, SARIF 2.1.0, JUnit.

import { REASONS } from '../api/conditions.ts';
import { printable } from '../text.ts';
import { details, standing } from './explained.ts';
import type { Finding, Judged, Level } from './judged.ts';
import { wrapped } from './layout.ts';
import { jsonText } from './output.ts';

export const REPORTS = ['text', 'json', 'sarif', 'junit'] as const;

export type Report = (typeof REPORTS)[number];

/** The findings in one of the forms, as lines. */
export function reported(judged: Judged[], report: Report, width: number): string[] {
  if (report === 'json') return jsonText(judged).split('\n');
  if (report === 'sarif') return jsonText(sarif(judged)).split('\n');
  return report === 'junit' ? junit(judged) : text(judged, width);
}

function text(judged: Judged[], width: number): string[] {
  const lines = judged.flatMap(({ file, line, object, findings }) => {
    const told = findings.flatMap(({ level, rule, message }) =>
      wrapped(`${level} ${rule}: ${message}`, width - 4).map((each, at) => (at === 0 ? '  ' : '    ') + each),
    );
    return told.length > 0 ? [printable(`${file}:${line}: ${object}`), ...told] : [];
  });
  const counts = (['error', 'warning', 'note'] as const).map((level) => plural(count(judged, level), level));
  return [...lines, `${plural(judged.length, 'object')} of hallpass: ${counts.join(', ')}`];
}

/** How many findings of a level there are. */
export function count(judged: Judged[], level: Level): number {
  return judged.reduce((sum, { findings }) => sum + findings.filter((each) => each.level === level).length, 0);
}

function plural(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

function sarif(judged: Judged[]) {
  const all = judged.flatMap(({ findings, file, line: at, object }) =>
    findings.map((found) => ({ ...found, file, at, object })),
  );
  const meanings: Record<string, string> = REASONS;
  const rules = [...new Set(all.map(({ rule }) => rule))].map((id) => ({
    id,
    shortDescription: { text: meanings[id] ?? id },
  }));
  return {
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'kubectl-hallpass', rules } },
        results: all.map(({ rule, level, message, object, file, at, ...decision }) => ({
          ruleId: rule,
          level,
          message: { text: `${object}: ${message}` },
          locations: [{ physicalLocation: { artifactLocation: { uri: encodeURI(file) }, region: { startLine: at } } }],
          // Of a decision: policy, line, remedy and by, as -o json has them.
          properties: decision,
        })),
      },
    ],
  };
}

function junit(judged: Judged[]): string[] {
  const failing = judged.filter(({ findings }) => findings.some(({ level }) => level === 'error')).length;
  const cases = judged.flatMap(({ file, line, object, findings }) => [
    `    <testcase classname="${xml(file)}" name="${xml(object)}" file="${xml(file)}" line="${line}">`,
    ...findings.map((found) => {
      const { level, rule, message } = found;
      const more = detailsOf(found);
      return level === 'error'
        ? `      <failure type="${xml(rule)}" message="${xml(message)}">${xml(more)}</failure>`
        : `      <system-out>${xml(`${level}: ${rule}: ${message}${more && ` (${more})`}`)}</system-out>`;
    }),
    '    </testcase>',
  ]);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  <testsuite name="kubectl hallpass lint" tests="${judged.length}" failures="${failing}">`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
  ];
}

/** Which policy decided, what helps, and who can do that, in one line. */
function detailsOf({ rule, ...decision }: Finding): string {
  return details(standing({ reason: rule, ...decision })).join('; ');
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

/** Text inside XML: nothing that XML can't hold is left once it is printable. */
function xml(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
