// Lines for people: as wide as is wanted, and what is to be pasted whole.

import { expect } from 'chai';
import { drawn, fields, wrapped } from '../../../src/cli/layout.ts';

describe('a text in lines', () => {
  it('is broken at blanks and stays within the width', () => {
    expect(wrapped('one two three four', 9)).to.deep.equal(['one two', 'three', 'four']);
    expect(wrapped('', 9)).to.deep.equal(['']);
  });

  it('keeps a command whole on a line of its own, however long', () => {
    const command = 'kubectl hallpass approve -n web rollout-7';
    expect(wrapped(`it waits; a reviewer runs: ${command}`, 30)).to.deep.equal(['it waits; a reviewer runs:', command]);
    expect(wrapped(`runs: ${command}. What does not count: much`, 50)).to.deep.equal([
      `runs: ${command}.`,
      'What does not count: much',
    ]);
    const piped = `printf %s '{"a": [1, 2]}' | kubectl create -f -`;
    expect(wrapped(`by who runs: ${piped}`, 20)).to.deep.equal(['by who runs:', piped]);
  });

  it('shows what a terminal would act on', () => {
    expect(wrapped('red\u001b[31m\nnext', 40)).to.deep.equal(['red\\u{1b}[31m\\nnext']);
  });

  it('keeps labels and what they say in columns', () => {
    expect(
      fields(
        [
          ['task', 'find out why'],
          ['may', 'list'],
        ],
        14,
      ),
    ).to.deep.equal(['task  find out', '      why', 'may   list']);
  });

  it('is drawn as a tree', () => {
    const leaf = (text: string) => ({ text, children: [] });
    expect(
      drawn({ text: 'root', children: [{ text: 'one two', children: [leaf('deep')] }, leaf('last')] }, 8),
    ).to.deep.equal(['root', '├─ one', '│  │ two', '│  └─ deep', '└─ last']);
  });
});
