import { readFileSync } from 'node:fs';

/** What a process has used; memory as the kernel counts it in /proc/<pid>/status. */
export interface Usage {
  /** User and system time of all threads, ended ones included, ms; in steps of 10 ms. */
  readonly cpuMs: number;
  readonly rssMiB: number;
  /** The largest resident size so far (VmHWM). */
  readonly peakMiB: number;
}

/** Clock ticks per second of /proc/<pid>/stat: 100 on every Linux that Node runs on (USER_HZ). */
const TICKS_PER_SECOND = 100;

export function parseUsage(stat: string, status: string): Usage {
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { cpuMs: (ticks * 1000) / TICKS_PER_SECOND, rssMiB: mib('VmRSS'), peakMiB: mib('VmHWM') };
}

/** Usage of a process, or undefined when it is gone. */
export function usageOf(pid: number): Usage | undefined {
  try {
    return parseUsage(readFileSync(`/proc/${pid}/stat`, 'utf8'), readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return undefined;
  }
}

export type Role = 'exporter' | 'worker';

/** What a process of a pod is, by its command line; undefined for helpers and for one that is not yet what it becomes. */
export function roleOf(pid: number): Role | undefined {
  let command: readonly string[];
  try {
    command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return undefined;
  }
  if (command[0]?.endsWith('/kube-state-metrics') === true) return 'exporter';
  const runsWorker = command.some((word) => /\/packages\/worker\/(src\/main\.ts|dist\/bundle\.js)$/.test(word));
  return command[0]?.endsWith('/node') === true && runsWorker ? 'worker' : undefined;
}
