import { Readable } from 'node:stream';
import { expect } from 'chai';
import { readStream } from '../../../src/kube/read-stream.ts';
import { turnsDuring } from './cut.ts';

const options = {
  request: 'LIST /api/v1/pods',
  server: 'http://127.0.0.1:1',
  silenceMs: () => 10_000,
  signal: new AbortController().signal,
};

describe('a stream that is read', () => {
  it('leaves others their turn, however much has come already', async () => {
    const chunks = Array.from({ length: 20 }, () => Buffer.from('x'));
    const read: Buffer[] = [];
    const turns = await turnsDuring(() =>
      readStream(Readable.from(chunks), {
        ...options,
        onChunk: (chunk) => {
          read.push(chunk);
          const startedAt = performance.now();
          while (performance.now() - startedAt < 6);
        },
      }),
    );
    expect(read).to.have.length(chunks.length);
    expect(turns).to.be.at.least(chunks.length - 1);
  });

  it('ends with what its reader throws, and is closed', async () => {
    const stream = Readable.from([Buffer.from('x'), Buffer.from('y')]);
    const failure = new Error('unreadable');
    const reading = readStream(stream, {
      ...options,
      onChunk: () => {
        throw failure;
      },
    });
    expect(await reading.catch((error: unknown) => error)).to.equal(failure);
    expect(stream.destroyed).to.equal(true);
  });
});
