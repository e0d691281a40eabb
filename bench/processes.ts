// What a process has used so far, as Linux tells it.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const ticksPerSecond = 100;

/** CPU time of a process with all its threads, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Resident memory of a process, in MB of 1,000,000 bytes. */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1_000_000;
}

/** The same, once nobody has asked anything of the process for 10 s: hallpass gives back what work left behind when all is quiet. */
export async function quietMegabytes(pid: number): Promise<number> {
  await delay(10_000);
  return residentMegabytes(pid);
}
