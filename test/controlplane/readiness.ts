// When a program that was just started answers.
import { request } from 'node:https';
import type { Credentials } from '../../src/kube/credentials.ts';
import { poll } from '../harness/poll.ts';
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

/** Polls until `path` answers with an accepted status; throws when time runs out, and with the log's end when the process ends before. */
export async function answers(
  credentials: Credentials,
  path: string,
  accept: (status: number) => boolean,
  process: Supervised,
): Promise<void> {
  const ask = async () => {
    const answer = await probe(credentials, path);
    if (!accepted(answer) && process.exit)
      throw new Error(`${process.name} ended at its start:\n${await process.tail()}`);
    return answer;
  };
  const accepted = (answer: Awaited<ReturnType<typeof probe>>) => answer !== undefined && accept(answer.status);
  await poll(ask, accepted, startTimeoutMs, {
    pause: 30,
    told: (answer) =>
      `${process.name} doesn't answer ${path}: ${answer ? `${answer.status} ${answer.body}` : 'nothing'}`,
  });
}
