// The page about expressions says what there is: every variable, and expressions that are valid.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { compile } from '../../../src/cel/expression.ts';
import type { CelType } from '../../../src/cel/types.ts';
import { ENVIRONMENT } from '../../../src/policy/environment.ts';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/expressions.md'), 'utf8');

/** Every field that can be read, as its path; of the items of a list, the bare name. */
function fields(path: string, type: CelType): string[] {
  if (typeof type === 'string' || 'map' in type) return [path];
  if ('list' in type) {
    const items = typeof type.list === 'object' && 'struct' in type.list ? Object.keys(type.list.fields) : [];
    return [path, ...items];
  }
  return Object.entries(type.fields).flatMap(([name, field]) => fields(`${path}.${name}`, field.type));
}

describe('the page about expressions', () => {
  it('names every field of every variable', () => {
    const declared = Object.entries(ENVIRONMENT).flatMap(([name, { type }]) => fields(name, type));
    expect(declared).to.include('agent.owner.name').and.include('resourceNames');
    for (const field of declared) expect(page).to.include(`\`${field}\``);
  });

  it('has expressions that are valid, as the examples have', () => {
    const files = [page, readFileSync(join(root, 'examples/deploy-agent/admin/policy.yaml'), 'utf8')];
    const blocks = files.flatMap((text) =>
      [...text.matchAll(/^```cel\n(.*?)^```/gms)].flatMap(([, block]) => block ?? ''),
    );
    const listed = blocks.flatMap((block) => block.trim().split('\n'));
    const inYaml = files.flatMap((text) =>
      [...text.matchAll(/^\s+(?:expression|when): (?:'(.*)'|(.*))$/gm)].flatMap(
        ([, quoted, plain]) => quoted ?? plain ?? '',
      ),
    );
    expect(listed).to.have.lengthOf.above(5);
    expect(inYaml).to.have.lengthOf(7);
    for (const expression of [...listed, ...inYaml]) {
      // Over nothing, what is valid fails.
      expect(compile(expression, ENVIRONMENT)({}), expression).to.not.have.property('kind', 'invalid');
    }
  });
});
