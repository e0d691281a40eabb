// A replica of its own process for the election's tests, to be killed and frozen. It prints one JSON line for each thing
// that happens, and answers each line on its standard input.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Client } from '../../src/kube/client.ts';
import { electorIdentity, LeaderElector } from '../../src/kube/leader.ts';
import { silentLog } from '../../src/kube/log.ts';

const [credentialsFile = '', namespace = ''] = process.argv.slice(2);
const client = new Client({ credentials: JSON.parse(await readFile(credentialsFile, 'utf8')) });
const identity = electorIdentity();
const announced: Pick<Client, 'get' | 'create' | 'replace'> = {
  get: (...request) => client.get(...request),
  create: (...request) => client.create(...request),
  replace: (...request) => {
    say('writes');
    return client.replace(...request);
  },
};
const elector = new LeaderElector({ client: announced, namespace, name: 'hallpass', identity, log: silentLog });

function say(event: string): void {
  process.stdout.write(`${JSON.stringify({ event, identity, fresh: elector.isFresh() })}\n`);
}

void elector.lost.then(() => {
  say('lost');
  process.exit(1);
});
createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'fresh?') say('fresh');
  if (line === 'release') {
    await elector.release();
    say('released');
    process.exit(0);
  }
});
say('started');
await elector.run(new AbortController().signal);
say('leading');
