// Processes that never outlive this one: they are children of a supervisor, which ends them and removes their directory
// when this process exits, crashes or is killed.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Order =
  | {
      type: 'start';
      name: string;
      command: string;
      arguments: string[];
      logFile: string;
      environment?: NodeJS.ProcessEnv;
    }
  | { type: 'signal'; name: string; signal: NodeJS.Signals }
  | { type: 'end' };

export type Report =
  | { type: 'started'; name: string; pid: number }
  | { type: 'exited'; name: string; code: number | null; signal: NodeJS.Signals | null; error?: string };

/** How a process ended. */
export type Exit = { code: number | null; signal: NodeJS.Signals | null; error?: string };

export type Supervised = {
  name: string;
  pid: number;
  logFile: string;
  exited: Promise<Exit>;
  /** Set once it has ended. */
  exit?: Exit;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after `graceMs` (5 s by default). Resolves when it has ended. */
  stop(graceMs?: number): Promise<Exit>;
  /** The last lines of its log. */
  tail(): Promise<string>;
};

export type Supervisor = {
  pid: number;
  /** Starts a program; its output is appended to `logFile`. The name must not be running yet. */
  start(o: Omit<Extract<Order, { type: 'start' }>, 'type'>): Promise<Supervised>;
  /** Kills what is still running, removes the directory, and ends the supervisor. */
  end(): Promise<void>;
};

/**
 * Starts a supervisor. `directory` is removed when it ends.
 * The supervisor doesn't keep this process alive.
 */
export async function startSupervisor(directory: string): Promise<Supervisor> {
  const child = fork(join(import.meta.dirname, 'supervisor.ts'), [directory], {
    execArgv: [],
    // Of its own session, so that a terminal's interrupt reaches the parent only; never the parent's output, whose
    // readers would then wait for it.
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  await once(child, 'spawn');
  child.unref();
  child.channel?.unref();
  const ended = once(child, 'exit');
  let starting = 0;
  const waiting = new Map<string, { started: (pid: number) => void; exited: (exit: Exit) => void }>();
  child.on('message', (report: Report) => {
    const entry = waiting.get(report.name);
    if (report.type === 'started') entry?.started(report.pid);
    else entry?.exited({ code: report.code, signal: report.signal, error: report.error });
  });
  child.on('exit', () => {
    for (const entry of waiting.values()) entry.exited({ code: null, signal: null, error: 'the supervisor ended' });
  });
  const send = (order: Order) => {
    if (child.connected) child.send(order, () => {});
  };

  return {
    pid: child.pid ?? 0,
    async start(o) {
      if (waiting.has(o.name)) throw new Error(`${o.name} is running already`);
      const started = Promise.withResolvers<number>();
      const exited = Promise.withResolvers<Exit>();
      waiting.set(o.name, { started: started.resolve, exited: exited.resolve });
      const gone = exited.promise.then((exit) => {
        waiting.delete(o.name);
        return exit;
      });
      starting += 1;
      child.channel?.ref();
      send({ type: 'start', ...o });
      const pid = await Promise.race([started.promise, gone]);
      starting -= 1;
      if (starting === 0) child.channel?.unref();
      if (typeof pid !== 'number') throw new Error(`${o.command} didn't start: ${pid.error ?? 'no reason given'}`);
      const supervised: Supervised = {
        name: o.name,
        pid,
        logFile: o.logFile,
        exited: gone.then((exit) => {
          supervised.exit = exit;
          return exit;
        }),
        kill: (signal) => send({ type: 'signal', name: o.name, signal }),
        async stop(graceMs = 5_000) {
          if (supervised.exit) return supervised.exit;
          supervised.kill('SIGTERM');
          const killed = setTimeout(() => supervised.kill('SIGKILL'), graceMs);
          const exit = await supervised.exited;
          clearTimeout(killed);
          return exit;
        },
        async tail() {
          const text = await readFile(o.logFile, 'utf8').catch(() => '');
          return text.trimEnd().split('\n').slice(-15).join('\n');
        },
      };
      return supervised;
    },
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.ref();
      send({ type: 'end' });
      await ended;
    },
  };
}
