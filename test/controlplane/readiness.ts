// When a program that was just started answers.
import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Credentials } from '../../src/kube/credentials.ts';
import type { Supervised } from './supervise.ts';

const startTimeoutMs = 120_000;

/** The status of GET `path`, undefined when no answer came. */
function probe(credentials: Credentials, path: string): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const call = request(
      new URL(path, credentials.server),
      {
        ca: credentials.certificateAuthority,
        cert: credentials.clientCertificate,
        key: credentials.clientKey,
        agent: false,
        timeout: 5_000,
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        response.on('error', () => resolve(undefined));
      },
    );
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.end();
  });
}

/** Polls until `path` answers with an accepted status; throws with the log's end when the process ends before or time runs out. */
export async function answers(
  credentials: Credentials,
  path: string,
  accept: (status: number) => boolean,
  process: Supervised,
): Promise<void> {
  const until = performance.now() + startTimeoutMs;
  for (;;) {
    const answer = await probe(credentials, path);
    if (answer && accept(answer.status)) return;
    if (process.exit) throw new Error(`${process.name} ended at its start:\n${await process.tail()}`);
    if (performance.now() > until) {
      const last = answer ? `${answer.status} ${answer.body}` : 'no answer';
      throw new Error(`${process.name} didn't answer ${path} in ${startTimeoutMs / 1000} s: ${last}`);
    }
    await delay(30);
  }
}
