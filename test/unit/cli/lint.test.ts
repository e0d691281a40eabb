// lint on files, as it is typed: what it reads, in which form it answers, and how it ends.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { run } from '../../../src/cli/program.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples');

describe('lint on files', () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'hallpass-lint-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  async function lint(...words: string[]) {
    const out: string[] = [];
    const err: string[] = [];
    const code = await run(['lint', ...words], {
      print: (line) => out.push(line),
      tell: (line) => err.push(line),
      ask: undefined,
      width: 100,
    });
    return { code, out, err };
  }

  function file(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  }

  for (const [example, namespace] of [
    ['deploy-agent', 'web'],
    ['incident-triage', 'incident-triage'],
    ['nightly-report', 'reports'],
  ] as const) {
    it(`finds no error in the example ${example}`, async () => {
      const { code, out } = await lint(join(examples, example), '-n', namespace);
      expect(out.filter((line) => line.startsWith('  error'))).to.deep.equal([]);
      expect(code).to.equal(0);
    });
  }

  it('finds what is no YAML, with its line, and goes on with the other documents', async () => {
    const path = file('broken.yaml', 'kind: AgentPolicy\nmetadata: { name: x }\n---\na: [\n---\n- 1\n');
    const { code, out } = await lint(path, '-o', 'json');
    expect(code).to.equal(1);
    const found: { line: number; findings: { rule: string }[] }[] = JSON.parse(out.join('\n'));
    const told = found.map(({ line, findings }) => `${line} ${findings.map(({ rule }) => rule)}`);
    expect(told).to.include('6 Unreadable').and.include('1 InvalidSpec');
    expect(told.filter((each) => each.endsWith('Unreadable'))).to.have.length(2);
  });

  it('gives up on what would grow without end, and on what is nested without end', async () => {
    const bomb = [
      'a: &a [x]',
      ...Array.from({ length: 30 }, (_, at) => `b${at}: &b${at} [${`*${at ? `b${at - 1}` : 'a'}, `.repeat(9)}]`),
    ];
    const { out } = await lint(file('bomb.yaml', bomb.join('\n')));
    expect(out.join('\n')).to.contain('error Unreadable');
    for (const deep of ['[', '{ ', '- ']) {
      const { code, err } = await lint(file('deep.yaml', deep.repeat(100_000)));
      expect(code).to.equal(2);
      expect(err.join(' ')).to.contain('nested without end');
    }
  });

  it('says when it is asked for a form or a file that there is not', async () => {
    expect(await lint(directory, '-o', 'yaml')).to.deep.equal({
      code: 2,
      out: [],
      err: ['error: lint answers in one of text, json, sarif, junit (--report)'],
    });
    expect((await lint(join(directory, 'nowhere'))).code).to.equal(2);
  });
});
