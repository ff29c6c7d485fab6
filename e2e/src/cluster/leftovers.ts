import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { requireNamespace } from '../namespace/index.ts';
import { HARNESS_MARK } from './managed-process.ts';
import { deletePodNetwork, podNetworkNames, processes, signalAll } from './process-node/index.ts';

const DYING_MS = 10_000;

/**
 * Ends what an earlier cluster in this namespace left when its process was killed: parts, pods' processes and pods'
 * networks. Safe only because /proc shows this namespace and nothing else.
 *
 * @returns the number of processes killed
 * @throws OutsideNamespaceError
 */
export async function sweepLeftOvers(): Promise<number> {
  requireNamespace();
  const left = processes().filter((pid) => pid !== process.pid && isMarked(pid));
  signalAll(left, 'SIGKILL');
  // A dying process still holds its ports, and the next cluster uses the same ones.
  const deadline = performance.now() + DYING_MS;
  while (left.some((pid) => existsSync(join('/proc', String(pid)))) && performance.now() < deadline) await sleep(10);
  for (const name of await podNetworkNames()) await deletePodNetwork(name);
  return left.length;
}

function isMarked(pid: number): boolean {
  try {
    return readFileSync(join('/proc', String(pid), 'environ'), 'utf8')
      .split('\0')
      .some((entry) => entry.startsWith(`${HARNESS_MARK}=`));
  } catch {
    return false;
  }
}
