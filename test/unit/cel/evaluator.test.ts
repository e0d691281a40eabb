// Expressions are compiled, checked and evaluated on a thread of their own, with a deadline.

import { expect } from 'chai';
import { DEADLINE, Evaluator } from '../../../src/cel/evaluator.ts';
import { LIMITS } from '../../../src/cel/limits.ts';
import type { Answer } from '../../../src/cel/question.ts';
import type { Environment } from '../../../src/cel/types.ts';

const environment: Environment = {
  grant: {
    meaning: 'a test',
    type: {
      struct: 'grant',
      fields: {
        name: { type: 'string', meaning: '' },
        ref: { type: 'string', optional: true, meaning: '' },
        count: { type: 'int', meaning: '' },
        duration: { type: 'duration', meaning: '' },
        labels: { type: { map: 'string' }, meaning: '' },
        verbs: { type: { list: 'string' }, meaning: '' },
        rules: {
          type: { list: { struct: 'rule', fields: { verbs: { type: { list: 'string' }, meaning: '' } } } },
          meaning: '',
        },
      },
    },
  },
};

const subject = {
  grant: {
    name: 'incident',
    count: 3,
    duration: 3600,
    labels: { tier: 'prod' },
    verbs: ['get', 'list'],
    rules: [{ verbs: ['get'] }, { verbs: ['list', 'watch'] }],
  },
};

const BOMB = 'grant.verbs.all(a, grant.verbs.all(b, grant.verbs.all(c, a + b + c != "")))';
const long = { grant: { ...subject.grant, verbs: Array.from({ length: 2000 }, (_, at) => `verb-${at}`) } };

describe('an expression', () => {
  let now = 0;
  const evaluator = new Evaluator({ environment, now: () => now });
  const ask = async (expression: string, about: unknown = subject): Promise<Answer | undefined> => {
    const { of } = await evaluator.ask({ input: JSON.stringify(about), expressions: [expression] });
    return of.get(expression);
  };
  // A machine that is busy may take longer than the deadline for what the thread reads and compiles at its first question.
  before(async function () {
    this.timeout(60_000);
    for (; (await ask('true'))?.kind !== 'value'; now += 60_000);
    now = 0;
  });
  after(() => evaluator.stop());

  const values: [string, boolean][] = [
    ['grant.name == "incident"', true],
    ['grant.name != "incident"', false],
    ['grant.name in ["a", "incident"] && grant.count > 2', true],
    ['grant.count + 1 == 4 && -grant.count < 0 && grant.count % 2 == 1', true],
    ['grant.duration <= duration("1h") && grant.duration > duration("30m")', true],
    ['has(grant.ref)', false],
    ['has(grant.labels.tier) && grant.labels["tier"] == "prod" && grant.labels.tier == "prod"', true],
    ['"constructor" in grant.labels || has(grant.labels.constructor)', false],
    ['grant.rules.all(r, r.verbs.exists(v, v in ["get", "list"]))', true],
    ['grant.rules.exists_one(r, "watch" in r.verbs)', true],
    ['grant.rules.filter(r, r.verbs.size() == 2).size() == 1', true],
    ['grant.rules.map(r, r.verbs[0]) == grant.verbs', true],
    ['grant.rules.map(r, r.verbs.size() > 1, r.verbs.size())[0] == 2', true],
    ['size(grant.verbs + ["watch"]) == 3', true],
    [
      'grant.name.startsWith("inc") && grant.name.matches("^[a-z]+$") && grant.name.upperAscii().contains("DENT")',
      true,
    ],
    ['grant.count > 2 ? grant.name == "incident" : false', true],
    ['!(grant.count == 2)', true],
    // One side decides, whatever is wrong with the other.
    ['true || grant.ref == "x"', true],
  ];
  for (const [expression, value] of values) {
    it(`gives ${value} for ${expression}`, async () => {
      expect(await ask(expression)).to.deep.equal({ kind: 'value', value });
    });
  }

  const invalid: [string, number, number, RegExp][] = [
    ['grant.name = "x"', 1, 12, /cannot be read from here on/],
    ['grant.name == "x', 1, 12, /cannot be read from here on/],
    ['', 1, 1, /cannot be read/],
    ['grant.nam == "x"', 1, 6, /grant has no field nam; it has name, ref/],
    ['grant.rules.all(r, r.verb == "x")', 1, 21, /rule has no field verb; it has verbs/],
    ['true &&\n  agent.name == "x"', 2, 3, /nothing is called agent; there is grant/],
    ['now > 3', 1, 1, /nothing is called now/],
    ['grant.count == "3"', 1, 13, /compares int with string/],
    ['grant.name > 3', 1, 12, /> does not take string and int/],
    ['grant.name', 1, 1, /gives string, and a condition must give true or false/],
    ['grant.constructor == "x"', 1, 6, /has no field constructor/],
    ['toString()', 1, 1, /there is no function toString/],
    ['grant.name.hasOwnProperty("x")', 1, 11, /there is no function hasOwnProperty/],
    ['timestamp("2026-01-01T00:00:00Z").getHours() == 0', 1, 1, /there is no function timestamp/],
    ['grant.name.x == "y"', 1, 11, /string has no fields/],
    ['grant.labels == null', 1, 17, /nothing is null/],
    ['grant.name in "incident"', 1, 12, /looks in string/],
    ['grant.count in grant.verbs', 1, 13, /looks for int in list\(string\)/],
    ['grant.verbs["a"] == "x"', 1, 12, /list\(string\) cannot be read by \[string\]/],
    ['[1, "a"].size() == 2', 1, 5, /mixes int and string/],
    ['grant.name.all(c, c == "x")', 1, 11, /goes through string/],
    ['has(grant)', 1, 1, /has is written has\(x.field\)/],
    ['grant.name ? true : false', 1, 1, /decides by string/],
    ['"😀" == grant.count', 1, 5, /compares string with int/],
    ['{"a": 1}.size() == 1', 1, 1, /cannot be written/],
    ['"😀" = grant.count', 1, 5, /cannot be read from here on/],
    [`${'['.repeat(2000)}true`, 1, 1, /nested too deep|cannot be read/],
    [`${'['.repeat(65)}true${']'.repeat(65)}.size() == 1`, 1, 0, /nested deeper than 64/],
    [Array(400).fill('true').join(' || '), 1, 0, /more than|deeper/],
    ['[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))', 1, 0, /loops nested deeper than 3/],
    [`"${'x'.repeat(LIMITS.expression)}" == ""`, 1, 0, /more than 2048 characters/],
  ];
  for (const [expression, line, column, why] of invalid) {
    const shown = expression.length > 60 ? `${expression.slice(0, 60)}…` : expression;
    it(`is refused, with the place: ${JSON.stringify(shown)}`, async () => {
      const answer = await ask(expression);
      if (answer?.kind !== 'invalid') throw new Error(`not refused: ${JSON.stringify(answer)}`);
      expect(answer.message).to.match(why);
      if (column > 0) expect([answer.line, answer.column]).to.deep.equal([line, column]);
    });
  }

  it('fails where what it reads is not there, and where it divides by nothing', async () => {
    expect(await ask('grant.ref == "x"')).to.deep.equal({ kind: 'failed', message: 'field not found: ref' });
    expect((await ask('1 / (grant.count - 3) == 1'))?.kind).to.equal('failed');
    expect((await ask('grant.verbs[7] == "x"'))?.kind).to.equal('failed');
    expect((await ask('grant.name.matches("a(b")'))?.kind).to.equal('failed');
  });

  it('fails over more than is looked at', async () => {
    const huge = { grant: { ...subject.grant, name: 'x'.repeat(LIMITS.input) } };
    expect(await ask('grant.count == 3', huge)).to.have.property('kind', 'failed');
    expect(await ask('grant.count == 3')).to.deep.equal({ kind: 'value', value: true });
  });

  it('fails when it takes too long, and is not tried again at once, while the others go on', async () => {
    const began = performance.now();
    const before = 'grant.count == 3';
    const { of } = await evaluator.ask({ input: JSON.stringify(long), expressions: [before, BOMB, 'grant.count > 3'] });
    expect(of.get(before)).to.deep.equal({ kind: 'value', value: true });
    expect(of.get(BOMB)).to.include({ kind: 'failed', retryAt: 60_000 });
    expect(Object(of.get(BOMB)).message).to.match(/longer than/);
    expect(of.get('grant.count > 3')).to.include({ kind: 'failed', retryAt: 60_000 });
    expect(performance.now() - began).to.be.above(DEADLINE - 1);
    // By a new thread, and at once for what is known to take too long.
    expect(await ask('grant.count == 3')).to.deep.equal({ kind: 'value', value: true });
    const again = performance.now();
    expect(await ask(BOMB, long)).to.include({ kind: 'failed', retryAt: 60_000 });
    expect(performance.now() - again).to.be.below(DEADLINE / 2);
    // Over something else it is another matter.
    expect(await ask(BOMB)).to.deep.equal({ kind: 'value', value: true });
    now = 60_000;
    expect(await ask(BOMB, long)).to.include({ kind: 'failed', retryAt: 180_000 });
  });

  it('fails when it takes too much memory or time to make what it compares, while the others go on', async () => {
    const answer = await ask('grant.verbs.map(a, grant.verbs.map(b, a + b)).size() == 0', long);
    expect(answer?.kind).to.equal('failed');
    expect(await ask('grant.count == 3')).to.deep.equal({ kind: 'value', value: true });
  });

  it('keeps the main thread free for as long as it takes', async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 10);
    now = 1e9;
    await ask(BOMB, long);
    clearInterval(timer);
    expect(turns).to.be.above(10);
  });
});
