// Writes deploy/guards/*.yaml from the guards in this folder; with --check it only says whether they are up to date.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { expectedGuards } from './expected.ts';

const directory = join(import.meta.dirname, '../../../deploy/guards');
const header =
  '# Generated from src/access/guards by `make generate`: edit there.\n# While one of the guards is missing or changed, hallpass grants nothing new.\n';

/** File contents by name: one file a guard's name, with policies and bindings in it. */
function files(): Map<string, string> {
  const { mutatingPolicies, mutatingBindings, validatingPolicies, validatingBindings } = expectedGuards();
  const documents = new Map<string, unknown[]>();
  for (const object of [...mutatingPolicies, ...mutatingBindings, ...validatingPolicies, ...validatingBindings]) {
    const name = `${object.metadata?.name?.replace(/^hallpass-/, '')}.yaml`;
    documents.set(name, [...(documents.get(name) ?? []), object]);
  }
  const texts = new Map<string, string>();
  for (const [name, objects] of documents) {
    // Long lines are kept: a folded CEL expression is hard to search for.
    texts.set(name, header + objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n'));
  }
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [...documents.keys()].sort(),
  };
  return texts.set('kustomization.yaml', header + stringify(kustomization));
}

async function main(check: boolean): Promise<void> {
  const wanted = files();
  const present = (await readdir(directory)).filter((name) => name.endsWith('.yaml'));
  const stale = present.filter((name) => !wanted.has(name));
  for (const [name, text] of wanted) {
    const current = await readFile(join(directory, name), 'utf8').catch(() => undefined);
    if (current === text) continue;
    if (check) stale.push(name);
    else await writeFile(join(directory, name), text);
  }
  if (check && stale.length > 0) {
    console.error(`deploy/guards is out of date (${stale.join(', ')}): run make generate`);
    process.exitCode = 1;
  } else if (!check) {
    for (const name of stale) await rm(join(directory, name));
  }
}

await main(process.argv.includes('--check'));
