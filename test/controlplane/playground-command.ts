// `make up`, `make down` and `make run`: a playground that goes on after the shell, and hallpass in the foreground.
//   playground-command.ts up REPLICAS | down | run | serve REPLICAS
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { runInForeground } from './foreground.ts';
import { startPlayground } from './playground.ts';

// Below the working directory, and relative to it: a socket's path may not be longer than some 100 characters.
const directory = '.playground';
const file = (name: string) => join(directory, name);
// Whoever serves a playground listens here: a file with a process id could name another process by now.
const control = file('control.sock');

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
  const running = await ask('status');
  if (running !== undefined) {
    if (running === `${replicas}\n`) return console.log(`It is up already.\n${introduce(replicas)}`);
    throw new Error(`it is up already, with REPLICAS=${running.trim() || '?'}: run \`make down\` first to change that`);
  }
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const log = openSync(file('playground.log'), 'a', 0o600);
  const server = spawn(process.execPath, [import.meta.filename, 'serve', String(replicas)], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  const outcome = await Promise.race([once(server, 'message'), once(server, 'exit')]);
  if (outcome[0] !== 'ready') {
    throw new Error(
      `it didn't start: ${typeof outcome[0] === 'string' ? outcome[0] : `see ${file('playground.log')}`}`,
    );
  }
  server.disconnect();
  server.unref();
  console.log(introduce(replicas));
}

async function down(): Promise<void> {
  const answer = await ask('stop');
  if (answer === undefined) console.log('The playground is not up.');
  else console.log('The playground is down.');
}

/** The playground itself: a process without a terminal that holds everything else. */
async function serve(replicas: number): Promise<void> {
  const started = startPlayground({ replicas, logFile: resolve(file('hallpass.log')) });
  const stop = async () => {
    const playground = await started.catch(() => undefined);
    await playground?.stop();
    await Promise.all([control, file('kubeconfig')].map((path) => rm(path, { force: true })));
    process.exit(0);
  };
  const answer = async (socket: Socket, question: string) => {
    if (question === 'stop\n') return stop();
    await started;
    socket.end(`${replicas}\n`);
  };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket
      .setEncoding('utf8')
      .once('data', (question: string) => answer(socket, question).catch(() => socket.destroy()));
  });
  server.listen(control);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', () => {});
  try {
    const playground = await started;
    await copyFile(playground.kubeconfig, file('kubeconfig'));
    for (const each of playground.hallpass) {
      const told = ({ code, signal }: Awaited<typeof each.exited>) =>
        console.log(
          `${new Date().toISOString()} hallpass ${each.pid} ended: ${signal ?? code}; \`make run\` starts one`,
        );
      each.exited.then(told);
    }
    // Whoever ran `make up` may have been interrupted: the playground is up all the same.
    if (process.connected) process.send?.('ready', () => {});
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(message);
    await rm(control, { force: true });
    if (process.connected) process.send?.(message, () => process.exit(1));
    else process.exit(1);
  }
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
