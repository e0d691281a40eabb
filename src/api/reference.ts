// From a kind's definition to its reference page, and from the table of conditions to theirs. Markdown.

import { ACTORS } from './actors.ts';
import { CONDITIONS, EVENTS, PHASES, REASONS, RECEIPT_REASONS, WARNING_REASONS } from './conditions.ts';
import { objectSchema, type SchemaNode } from './crd.ts';
import type { KindDefinition } from './definition.ts';
import { GROUP, VERSION } from './names.ts';
import { TIME_HINT } from './schema.ts';

/** Page of one kind: what it is, each field with its limits, every rule, and what `kubectl get` shows. */
export function kindPage(kind: KindDefinition): string {
  const schema = objectSchema(kind);
  const parts = Object.entries(schema.properties ?? {}).filter(([name]) => ['spec', 'stamps', 'status'].includes(name));
  // What is missing and what is empty may be told with the same words.
  const rules = [...new Map(rulesBelow('', schema).map((row) => [row.join(), row])).values()];
  return [
    `# ${kind.kind}`,
    escaped(kind.description),
    `\`${GROUP}/${VERSION}\`, ${kind.scope === 'Cluster' ? 'cluster-wide' : 'namespaced'}, \`kubectl get ${kind.plural}\`, short \`${kind.shortNames.join('`, `')}\`; ` +
      '`kubectl get hallpass` lists all kinds of hallpass.',
    ...parts.flatMap(([name, part]) => [
      `## ${name}`,
      part.description ?? '',
      table(['Field', 'Type', 'Meaning'], fieldsBelow(name, part)),
    ]),
    ...(rules.length === 0
      ? []
      : [
          '## Rules',
          'The API server refuses an object that breaks one, with this message.',
          table(['Field', 'Message'], rules),
        ]),
    '## Columns',
    table(
      ['Column', 'Meaning'],
      kind.columns.map((column) => [
        column.name,
        column.description + (column.priority === undefined ? '' : ' Shown with `-o wide`.'),
      ]),
    ),
  ].join('\n\n');
}

/** Page of all phases, conditions and reasons. */
export function conditionsPage(): string {
  return [
    '# Phases, conditions, reasons and events',
    'Whatever stands in the status of an object of hallpass is listed here. `kubectl wait --for=condition=Granted` and `--for=condition=Ready` work as usual.',
    '## Phases of a grant',
    table(['Phase', 'Meaning'], Object.entries(PHASES)),
    '## Conditions',
    table(
      ['Type', 'Kinds', 'Meaning', 'Present'],
      Object.entries(CONDITIONS).map(([type, row]) => [type, row.kinds.join(', '), row.meaning, row.present]),
    ),
    '## Reasons',
    table(
      ['Reason', 'Meaning and remedy', 'Where'],
      Object.entries(REASONS).map(([reason, meaning]) => [reason, meaning, placesOf(reason)]),
    ),
    '## Who can change it',
    'In `status.reasons[].by` and `status.warnings[].by` of a grant: who can do what the remedy says, or a part of it.',
    table(
      ['By', 'Meaning'],
      Object.entries(ACTORS).map(([actor, { meaning }]) => [actor, meaning]),
    ),
    '## Events',
    'On identities and grants: `kubectl events --for aggrant/<name>`.',
    table(
      ['Reason', 'Type', 'Meaning'],
      Object.entries(EVENTS).map(([reason, { type, tells }]) => [reason, type, tells]),
    ),
  ].join('\n\n');
}

function placesOf(reason: string): string {
  const types = Object.entries(CONDITIONS).filter(([, row]) => row.reasons.some((name) => name === reason));
  const receipts = RECEIPT_REASONS.some((name) => name === reason) ? ['AgentReceipt status.reason'] : [];
  const warnings = WARNING_REASONS.some((name) => name === reason) ? ['AgentGrant status.warnings'] : [];
  return [...types.map(([type]) => type), ...receipts, ...warnings].join(', ');
}

function fieldsBelow(path: string, node: SchemaNode): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) => {
    const at = `${path}.${name}`;
    const below = field.items?.properties === undefined ? fieldsBelow(at, field) : fieldsBelow(`${at}[]`, field.items);
    const meaning = `${node.required?.includes(name) === true ? 'Required. ' : ''}${field.description ?? ''}`;
    return [[`\`${at}\``, typeOf(field), meaning], ...below];
  });
}

function typeOf(node: SchemaNode): string {
  if (node.type === 'array')
    return `list of at most ${node.maxItems}: ${node.items === undefined ? '' : typeOf(node.items)}`;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(' or ');
  if (node.format === 'date-time' || node['x-kubernetes-validations']?.some(({ message }) => message === TIME_HINT))
    return 'time (RFC 3339)';
  if (node.type === 'string' && node.maxLength !== undefined) return `string, at most ${node.maxLength} characters`;
  if (node.type === 'integer' && node.maximum !== undefined && node.maximum < 2 ** 31 - 1) {
    return `integer, ${node.minimum} to ${node.maximum}`;
  }
  return node.type;
}

function rulesBelow(path: string, node: SchemaNode): string[][] {
  const own = (node['x-kubernetes-validations'] ?? []).map((rule) => [
    `\`${(path + (rule.fieldPath ?? '')).replace(/^\./, '')}\``,
    rule.message,
  ]);
  const below = Object.entries(node.properties ?? {}).flatMap(([name, field]) => rulesBelow(`${path}.${name}`, field));
  return [...own, ...below, ...(node.items === undefined ? [] : rulesBelow(`${path}[]`, node.items))];
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text in which Markdown sees no cell border and no HTML, outside of code spans. */
function escaped(text: string): string {
  return text
    .replaceAll('|', '\\|')
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');
}
