// Writes crds/ and docs/reference/ from the kinds' definitions; with --check it only says what differs, and exits with 1.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { customResourceDefinition } from './crd.ts';
import type { KindDefinition } from './definition.ts';
import { agentGrantKind } from './grant.ts';
import { agentIdentityKind } from './identity.ts';
import { GROUP } from './names.ts';
import { agentPolicyKind } from './policy.ts';
import { agentReceiptKind } from './receipt.ts';
import { conditionsPage, kindPage } from './reference.ts';
import { agentReviewKind } from './review.ts';
import { agentSignalKind } from './signal.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const GENERATED = ['crds', 'docs/reference'];
const HEADER = 'Generated from src/api by `make generate`; change it there.';

const kinds: KindDefinition[] = [
  agentIdentityKind,
  agentGrantKind,
  agentPolicyKind,
  agentReviewKind,
  agentSignalKind,
  agentReceiptKind,
];

const yaml = (value: unknown) => `# ${HEADER}\n${stringify(value, { lineWidth: 120, aliasDuplicateObjects: false })}`;
const markdown = (text: string) => `<!-- ${HEADER} -->\n\n${text}\n`;

/** Every generated file, by its path below the root of the repository. */
function generatedFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (const kind of kinds) {
    files.set(`crds/${kind.plural}.yaml`, yaml(customResourceDefinition(kind)));
    files.set(`docs/reference/${kind.kind.toLowerCase()}.md`, markdown(kindPage(kind)));
  }
  files.set(
    'crds/kustomization.yaml',
    yaml({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: kinds.map((kind) => `${kind.plural}.yaml`),
    }),
  );
  files.set('docs/reference/conditions.md', markdown(conditionsPage()));
  files.set('docs/reference/README.md', markdown(indexPage()));
  return files;
}

function indexPage(): string {
  const pages = kinds.map((kind) => `- [${kind.kind}](${kind.kind.toLowerCase()}.md) (\`${kind.plural}.${GROUP}\`)`);
  return ['# Reference', '', ...pages, '- [Phases, conditions, reasons and events](conditions.md)'].join('\n');
}

async function stored(path: string): Promise<string | undefined> {
  return readFile(join(ROOT, path), 'utf8').catch(() => undefined);
}

/** What differs between the definitions and the tree, a line each: stale, missing and left-over files. */
async function drift(files: Map<string, string>): Promise<string[]> {
  const lines: string[] = [];
  for (const [path, content] of files) {
    const now = await stored(path);
    if (now === undefined) lines.push(`${path} is missing`);
    else if (now !== content) lines.push(`${path} is not what src/api generates`);
  }
  for (const folder of GENERATED) {
    for (const name of await readdir(join(ROOT, folder)).catch(() => [])) {
      if (!files.has(`${folder}/${name}`)) lines.push(`${folder}/${name} is not generated: remove it`);
    }
  }
  return lines;
}

const files = generatedFiles();
if (process.argv.includes('--check')) {
  const lines = await drift(files);
  for (const line of lines) console.error(line);
  if (lines.length > 0) {
    console.error('Run `make generate` and commit the result.');
    process.exitCode = 1;
  }
} else {
  for (const [path, content] of files) {
    await mkdir(dirname(join(ROOT, path)), { recursive: true });
    await writeFile(join(ROOT, path), content);
  }
}
