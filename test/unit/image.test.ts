// The two ways to an image lead to one: what starts hallpass in it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { NODE_FLAGS } from '../../image/node-flags.ts';

const dockerfile = readFileSync(join(import.meta.dirname, '..', '..', 'Dockerfile'), 'utf8');

describe('the Dockerfile', () => {
  it('starts hallpass with the flags of an image that is built without an engine', () => {
    const [, entrypoint = ''] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? [];
    expect(JSON.parse(entrypoint)).to.deep.equal(['/usr/local/bin/node', ...NODE_FLAGS, '/app/src/main.js']);
  });
});
