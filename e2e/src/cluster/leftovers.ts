import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { requireNamespace } from '../namespace/index.ts';
import { HARNESS_MARK } from './managed-process.ts';
import { deletePodNetwork, podNetworkNames } from './process-node/pod-network.ts';

/**
 * Ends what an earlier cluster in this namespace left when its process was killed: parts, pods' processes and pods'
 * networks. Safe only because /proc shows this namespace and nothing else.
 *
 * @returns the number of processes killed
 * @throws OutsideNamespaceError
 */
export async function sweepLeftOvers(): Promise<number> {
  requireNamespace();
  let killed = 0;
  for (const pid of processes()) {
    if (pid === process.pid || !isMarked(pid)) continue;
    process.kill(pid, 'SIGKILL');
    killed += 1;
  }
  for (const name of await podNetworkNames()) await deletePodNetwork(name);
  return killed;
}

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

function isMarked(pid: number): boolean {
  try {
    return readFileSync(join('/proc', String(pid), 'environ'), 'utf8')
      .split('\0')
      .some((entry) => entry.startsWith(`${HARNESS_MARK}=`));
  } catch {
    return false;
  }
}
