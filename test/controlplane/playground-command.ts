// `make up`, `make down` and `make run`: a playground that goes on after the shell, and hallpass in the foreground.
//   playground-command.ts up REPLICAS | down | run | serve REPLICAS
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { copyFile, link, mkdir, rename, rm, truncate } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { runInForeground } from './foreground.ts';
import { startPlayground } from './playground.ts';

// Below the working directory, and relative to it: a socket's path may not be longer than some 100 characters.
const directory = '.playground';
const file = (name: string) => join(directory, name);
// Whoever serves a playground listens here: a file with a process id could name another process by now.
const control = file('control.sock');
// What a process that would serve says when another does already.
const TAKEN = 'another process serves the playground';

/** Asks the playground that runs, and returns its answer when it has closed the connection; undefined when none runs. */
async function ask(question: 'status' | 'stop'): Promise<string | undefined> {
  const socket = createConnection(control);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  socket.on('connect', () => socket.write(`${question}\n`));
  return new Promise((resolve) => {
    socket.on('error', () => resolve(undefined));
    socket.on('end', () => resolve(answer));
  });
}

function introduce(replicas: number): string {
  return [
    `The playground is up, with hallpass in it${replicas === 1 ? '' : ` ${replicas} times`}.`,
    `  export KUBECONFIG=${resolve(file('kubeconfig'))}`,
    '  namespaces demo and demo-other are enabled for grants; demo-other accepts them from demo, too',
    `  hallpass logs to ${file('hallpass.log')}`,
    '  make down ends it',
  ].join('\n');
}

async function up(replicas: number): Promise<void> {
  if (await isUp(replicas)) return console.log(`It is up already.\n${introduce(replicas)}`);
  await mkdir(directory, { recursive: true });
  const log = openSync(file('playground.log'), 'a', 0o600);
  const server = spawn(process.execPath, [import.meta.filename, 'serve', String(replicas)], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  const [outcome] = await Promise.race([once(server, 'message'), once(server, 'exit')]);
  if (outcome === TAKEN) return up(replicas);
  if (outcome !== 'ready') {
    throw new Error(`it didn't start: ${typeof outcome === 'string' ? outcome : `see ${file('playground.log')}`}`);
  }
  server.disconnect();
  server.unref();
  // What has begun may have ended since.
  if (!(await isUp(replicas))) throw new Error(`it ended at its start: see ${file('playground.log')}`);
  console.log(introduce(replicas));
}

/** Whether the playground is up with so many replicas; waits for one that is starting. Throws where it is up in another way. */
async function isUp(replicas: number): Promise<boolean> {
  const answer = await ask('status');
  if (answer === undefined) return false;
  const [size, ...ended] = answer.trim().split('\n');
  if (size !== String(replicas)) {
    throw new Error(`it is up already, with REPLICAS=${size || '?'}: run \`make down\` first to change that`);
  }
  if (ended.length > 0) {
    throw new Error(`${ended.join('\n')}\nsee ${file('hallpass.log')}; \`make down\` and \`make up\` start all anew`);
  }
  return true;
}

/**
 * Gives a listening socket the name that all ask at; false when a process that lives has it. Linking fails where the name
 * exists, so that of several who try at once one succeeds. A name left by a process that was killed is moved away first, under
 * a name of our own, and looked at once more there: somebody may have put a live one in its place.
 */
async function claim(own: string): Promise<boolean> {
  for (;;) {
    try {
      await link(own, control);
      return true;
    } catch (error) {
      if (!isExisting(error)) throw error;
    }
    if (await answers(control)) return false;
    const aside = `${own}.old`;
    await rename(control, aside).catch(() => {});
    if (await answers(aside)) await link(aside, control).catch(() => {});
    await rm(aside, { force: true });
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

/** Whether somebody listens at a socket. */
async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path);
  return new Promise((resolve) => {
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function down(): Promise<void> {
  const answer = await ask('stop');
  if (answer === undefined) console.log('The playground is not up.');
  else console.log('The playground is down.');
}

/** The playground itself: a process without a terminal that holds everything else. */
async function serve(replicas: number): Promise<void> {
  const claimed = Promise.withResolvers<void>();
  const started = claimed.promise.then(() => startPlayground({ replicas, logFile: resolve(file('hallpass.log')) }));
  const ended: string[] = [];
  const stop = async () => {
    const playground = await started.catch(() => undefined);
    await playground?.stop();
    await Promise.all([control, file('kubeconfig')].map((path) => rm(path, { force: true })));
    process.exit(0);
  };
  const answer = async (socket: Socket, question: string) => {
    if (question === 'stop\n') return stop();
    await started;
    socket.end([String(replicas), ...ended, ''].join('\n'));
  };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket
      .setEncoding('utf8')
      .once('data', (question: string) => answer(socket, question).catch(() => socket.destroy()));
  });
  process.on('SIGTERM', stop);
  process.on('SIGHUP', () => {});
  const own = file(`control-${process.pid}.sock`);
  await once(server.listen(own), 'listening');
  const first = await claim(own);
  await rm(own, { force: true });
  if (!first) return tell(TAKEN);
  try {
    // Of the one before, if it did not end by `make down`.
    await Promise.all(['kubeconfig', 'hallpass.log'].map((name) => rm(file(name), { force: true })));
    await truncate(file('playground.log'));
    claimed.resolve();
    const playground = await started;
    await copyFile(playground.kubeconfig, file('kubeconfig'));
    for (const each of playground.hallpass) {
      const told = ({ code, signal }: Awaited<typeof each.exited>) => {
        ended.push(`hallpass ${each.pid} ended: ${signal ?? code}`);
        console.log(`${new Date().toISOString()} ${ended.at(-1)}; \`make run\` starts one`);
      };
      each.exited.then(told);
    }
    // Whoever ran `make up` may have been interrupted: the playground is up all the same.
    if (process.connected) process.send?.('ready', () => {});
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(message);
    await rm(control, { force: true });
    tell(message);
  }
}

/** Ends this process, having told whoever started it why. */
function tell(why: string): void {
  if (process.connected) process.send?.(why, () => process.exit(1));
  else process.exit(1);
}

async function run(): Promise<void> {
  const own = resolve(file('kubeconfig'));
  const kubeconfig = process.env.KUBECONFIG || own;
  if (kubeconfig === own && !existsSync(own)) {
    throw new Error('no cluster: set KUBECONFIG, or start a playground with `make up`');
  }
  process.exitCode = await runInForeground(kubeconfig);
}

const [command, replicas = '1'] = process.argv.slice(2);
const commands: Record<string, () => Promise<void>> = {
  up: () => up(Number(replicas)),
  serve: () => serve(Number(replicas)),
  down,
  run,
};
try {
  if (!/^[1-9]$/.test(replicas)) throw new Error(`REPLICAS=${replicas}: a number from 1 to 9`);
  await commands[command ?? '']?.();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
