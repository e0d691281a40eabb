// The generated files: in step with the code, limited everywhere, and readable.
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { PHASES } from '../../../src/api/conditions.ts';
import { customResourceDefinition, objectSchema, type SchemaNode } from '../../../src/api/crd.ts';
import { agentGrantKind } from '../../../src/api/grant.ts';
import { agentIdentityKind } from '../../../src/api/identity.ts';
import { agentPolicyKind } from '../../../src/api/policy.ts';
import { agentReceiptKind } from '../../../src/api/receipt.ts';

const root = resolve(import.meta.dirname, '../../..');
const kinds = [agentIdentityKind, agentGrantKind, agentPolicyKind, agentReceiptKind];

/** Every field of a kind's own parts, with its path. */
function fields(path: string, node: SchemaNode): [string, SchemaNode][] {
  const below = Object.entries(node.properties ?? {}).flatMap(([name, field]) => fields(`${path}.${name}`, field));
  return [[path, node], ...below, ...(node.items === undefined ? [] : fields(`${path}[]`, node.items))];
}

describe('the generated files', () => {
  it('are what the code generates', async () => {
    const result = await promisify(execFile)(process.execPath, ['src/api/generate.ts', '--check'], { cwd: root });
    expect(result.stderr).to.equal('');
  });
});

describe('the outcome of a receipt', () => {
  it('means what the phase of the same name means', () => {
    const outcome = objectSchema(agentReceiptKind).properties?.status?.properties?.outcome;
    for (const phase of ['Expired', 'Revoked'] as const) {
      expect(outcome?.description).to.contain(`${phase}: ${PHASES[phase]}`);
    }
  });
});

for (const kind of kinds) {
  describe(`the schema of ${kind.kind}`, () => {
    const own = Object.entries(objectSchema(kind).properties ?? {})
      .filter(([name]) => ['spec', 'stamps', 'status'].includes(name))
      .flatMap(([name, node]) => fields(name, node));

    it('limits every string and every list', () => {
      for (const [path, node] of own) {
        if (node.type === 'string' && node.enum === undefined) expect(node.maxLength, path).to.be.above(0);
        if (node.type === 'array') expect(node.maxItems, path).to.be.above(0);
      }
    });

    it('describes every field in sentences', () => {
      for (const [path, node] of own) {
        if (!path.endsWith('[]')) expect(node.description, path).to.match(/^[A-Z"].*[.)]$/);
      }
    });

    it('says of every list how its authors share it', () => {
      for (const [path, node] of own) {
        if (node.type === 'array') expect(node['x-kubernetes-list-type'], path).to.be.oneOf(['atomic', 'map']);
      }
    });

    it('has no default, which would change stored specs', () => {
      expect(JSON.stringify(customResourceDefinition(kind))).to.not.contain('"default"');
    });

    it('shows no column of type date but the age, since kubectl prints a future date as <invalid>', () => {
      const dates = kind.columns.filter((column) => column.type === 'date');
      expect(dates.filter((column) => column.name !== 'Age')).to.deep.equal([]);
    });
  });
}
