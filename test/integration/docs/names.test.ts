// What the pages name exists: make targets, kinds, labels, and paths in the checkout. (Links: test/unit/docs.)
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { fences, type Page, page, pages, root } from './pages.ts';

/** A page's prose: without its fenced and indented blocks. */
function prose({ text }: Page): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/^( {4}|\t).*$/gm, '');
}
/** What a page writes as code: in a line, in a block, or indented. */
function code(each: Page): string[] {
  const indented = each.text.match(/^ {4,}\S.*$/gm) ?? [];
  const inline = [...prose(each).matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
  const shell = fences(each).filter(({ language }) => ['sh', 'console'].includes(language));
  return [...inline, ...indented, ...shell.flatMap(({ text }) => text.split('\n'))];
}
const crd = z.object({
  spec: z.object({ names: z.object({ plural: z.string(), singular: z.string(), shortNames: z.array(z.string()) }) }),
});
/** Every name that kubectl takes for a kind of ours. */
const ours = readdirSync(join(root, 'crds'))
  .filter((file) => file.startsWith('agent'))
  .flatMap((file) => {
    const { plural, singular, shortNames } = crd.parse(parse(readFileSync(join(root, 'crds', file), 'utf8'))).spec
      .names;
    return [plural, `${plural}.hallpass.dev`, singular, ...shortNames];
  });
const kubernetes =
  'pods pod pod,lease pods,lease deployment rolebindings roles,rolebindings,jobs roles,jobs rolebinding serviceaccounts clusterroles clusterrolebindings namespace jobs services';

describe('what the pages name', () => {
  const all = pages();

  it('is gathered from all pages', () => {
    const found = all.map(({ path }) => path);
    expect(found).to.include.members([
      'README.md',
      'docs/tutorial.md',
      'docs/reference/conditions.md',
      'examples/README.md',
    ]);
  });

  it('as a make target is one of the Makefile', () => {
    const targets = [...page('Makefile').text.matchAll(/^([a-z-]+):.*## /gm)].map(([, name]) => name);
    const named = all.flatMap((each) => code(each).flatMap((text) => [...text.matchAll(/(?:^|\s)make ([a-z-]+)/g)]));
    expect(named).to.not.be.empty;
    for (const [, target] of named) expect(targets).to.include(target);
  });

  it('as a kind is one that kubectl knows', () => {
    const known = new Set([...ours, ...kubernetes.split(' ')]);
    const verbs = /kubectl (?:get|delete|describe|patch|wait|events) ([a-z][a-z.,]*)(?=[\s/`]|$)/g;
    const named = all.flatMap((each) =>
      code(each).flatMap((text) => [...text.matchAll(verbs)].map(([, kind = '']) => ({ kind, path: each.path }))),
    );
    expect(named).to.not.be.empty;
    for (const { kind, path } of named) {
      const kinds = known.has(kind) ? [] : kind.split(',');
      for (const one of kinds) expect([...known, 'hallpass'], `${kind} in ${path}`).to.include(one);
    }
  });

  it('as a label or annotation is one of hallpass or its manifests', () => {
    const sources = ['src/api', 'deploy/cluster', 'deploy/workload'].flatMap((directory) =>
      readdirSync(join(root, directory)).map((file) => readFileSync(join(root, directory, file), 'utf8')),
    );
    const known = new Set(sources.join('\n').match(/hallpass\.dev\/[a-z-]+/g));
    // Written with the group as a constant.
    for (const [, name] of sources.join('\n').matchAll(/\$\{GROUP\}\/([a-z-]+)/g)) known.add(`hallpass.dev/${name}`);
    for (const each of all) {
      for (const name of each.text.match(/(?<![\w.])hallpass\.dev\/[a-z-]+(?![\w])/g) ?? []) {
        expect([...known], `${name} in ${each.path}`).to.include(name);
      }
    }
  });

  it('as a path exists', () => {
    const named = all.flatMap((each) =>
      code(each).flatMap((text) => {
        const paths = text.match(/(?<![\w./-])(?:src|deploy|docs|examples|test|bench|crds|image)\/[\w./-]*/g) ?? [];
        return paths.map((path) => ({ path: path.replace(/[.]$/, ''), page: each.path }));
      }),
    );
    expect(named).to.not.be.empty;
    for (const { path, page: by } of named) expect(existsSync(join(root, path)), `${path} in ${by}`).to.equal(true);
  });
});
