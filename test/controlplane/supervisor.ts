// The program that holds a set of processes and their directory: forked by supervise.ts, it starts what it is told to
// and ends it all when told or when its parent goes, however the parent went. It is no test's code: it runs on its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Order, Report } from './supervise.ts';

const running = new Map<string, ChildProcess>();
const directory = process.argv[2];
let ending = false;

// Where the kernel can end a child with its parent, it does: then not even a killed supervisor leaves anything running.
const setpriv = '/usr/bin/setpriv';
const tied = process.platform === 'linux' && executable(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function report(message: Report): void {
  if (process.connected) process.send?.(message, () => {});
}

function start(order: Extract<Order, { type: 'start' }>): void {
  const log = openSync(order.logFile, 'a', 0o600);
  const [command = order.command, ...rest] = [...tied, order.command, ...order.arguments];
  const child = spawn(command, rest, { stdio: ['ignore', log, log], env: order.environment });
  closeSync(log);
  child.on('error', (error) =>
    report({ type: 'exited', name: order.name, code: null, signal: null, error: error.message }),
  );
  if (child.pid === undefined) return;
  running.set(order.name, child);
  child.on('exit', (code, signal) => {
    if (running.get(order.name) === child) running.delete(order.name);
    report({ type: 'exited', name: order.name, code, signal });
  });
  report({ type: 'started', name: order.name, pid: child.pid });
}

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  const gone = [...running.values()].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running.values()) child.kill('SIGKILL');
  await Promise.all(gone);
  if (directory) await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  process.exit(0);
}

// A terminal's interrupt is the parent's to handle; a closed terminal is no reason to end.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.on('SIGTERM', () => void end());
process.on('disconnect', () => void end());
process.on('message', (order: Order) => {
  if (ending) return;
  if (order.type === 'start') start(order);
  else if (order.type === 'signal') running.get(order.name)?.kill(order.signal);
  else void end();
});
