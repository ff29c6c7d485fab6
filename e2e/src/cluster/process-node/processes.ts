import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** All processes of this pid namespace. */
export function processes(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Processes whose network namespace is the one bound to `file`, zombies excluded. */
export function processesInNetwork(file: string): readonly number[] {
  const wanted = `net:[${inode(file)}]`;
  return processes().filter((pid) => {
    try {
      return readlinkSync(join('/proc', String(pid), 'ns', 'net')) === wanted;
    } catch {
      return false;
    }
  });
}

function inode(file: string): number | undefined {
  try {
    return statSync(file).ino;
  } catch {
    return undefined;
  }
}

/** SIGSTOP, and waits until every thread has stopped: the signal alone returns before that. */
export async function freezeAll(pids: readonly number[]): Promise<void> {
  signalAll(pids, 'SIGSTOP');
  while (!pids.every((pid) => standsStill(pid))) await sleep(2);
}

function standsStill(pid: number): boolean {
  try {
    const tasks = join('/proc', String(pid), 'task');
    return readdirSync(tasks).every((task) => /^\) [TZX]/m.test(afterName(join(tasks, task, 'stat'))));
  } catch {
    // It is gone.
    return true;
  }
}

/** /proc/…/stat from the end of the name on, which may itself hold anything. */
function afterName(file: string): string {
  const text = readFileSync(file, 'utf8');
  return text.slice(text.lastIndexOf(')'));
}

/** A process that ended by itself in the meantime is no error. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself.
    }
  }
}
