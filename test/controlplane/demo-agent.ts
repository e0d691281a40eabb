// The agent of the demo: a program that knows an API server and a token, asks for one path again and again, and prints a
// line of JSON whenever the answer changes. It imports nothing of ours, so that it runs in a pod as well as here.
//   SERVER, CA_FILE, TOKEN_FILE (default: where a pod has them), ASK (the path)
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';

const pod = '/var/run/secrets/kubernetes.io/serviceaccount';
const server = process.env.SERVER ?? 'https://kubernetes.default.svc';
const path = process.env.ASK ?? '/version';
const tokenFile = process.env.TOKEN_FILE ?? `${pod}/token`;
const pauseMs = 5;
const agent = new Agent({ keepAlive: true, ca: readFileSync(process.env.CA_FILE ?? `${pod}/ca.crt`, 'utf8') });

type Answer = { status: number; message: string };

function ask(): Promise<Answer> {
  const headers = { Authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, Accept: 'application/json' };
  return new Promise((resolve) => {
    const call = request(new URL(path, server), { agent, headers, timeout: 5_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('error', (error) => resolve({ status: 0, message: error.message }));
      response.on('end', () => {
        const content = JSON.parse(body);
        const message =
          response.statusCode === 200 ? `a ${content.kind} of ${content.items?.length ?? 0}` : content.message;
        resolve({ status: response.statusCode ?? 0, message });
      });
    });
    call.on('timeout', () => call.destroy(new Error('no answer in 5 s')));
    call.on('error', (error) => resolve({ status: 0, message: error.message }));
    call.end();
  });
}

// Ends with whoever started it: then its input closes.
process.stdin.on('end', () => process.exit(0)).resume();

let last: number | undefined;
for (;;) {
  const answer = await ask();
  if (answer.status !== last) console.log(JSON.stringify({ at: new Date().toISOString(), ...answer }));
  last = answer.status;
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
