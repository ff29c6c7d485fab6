import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { API_SERVER_ADDRESS } from '../namespace/index.ts';

const execute = promisify(execFile);

/** `bytes_received` of each connection in the output of `ss -tinHO`, by local address. */
export function parseConnections(output: string): ReadonlyMap<string, number> {
  const connections = new Map<string, number>();
  for (const line of output.split('\n')) {
    const [, , , local] = line.split(/\s+/);
    const bytes = /\bbytes_received:(\d+)/.exec(line)?.[1];
    if (local !== undefined && local !== '') connections.set(local, Number(bytes ?? 0));
  }
  return connections;
}

/**
 * Bytes that the pods of some processes have read from the API server: what the kernel counts for each TCP connection to
 * it, TLS included. A connection counts as it was when last seen: what it reads between the last look and its end is lost.
 */
export class ReceivedBytes {
  readonly #seen = new Map<number, Map<string, number>>();

  /** Looks at the connections of the network namespaces of these processes. */
  async look(pids: readonly number[]): Promise<void> {
    await Promise.all(pids.map((pid) => this.#lookAt(pid)));
  }

  async #lookAt(pid: number): Promise<void> {
    const seen = this.#seen.get(pid) ?? new Map<string, number>();
    this.#seen.set(pid, seen);
    try {
      const command = ['--target', String(pid), '--net', 'ss', '-tinHO', 'dst', API_SERVER_ADDRESS];
      const { stdout } = await execute('nsenter', command, { timeout: 10_000 });
      for (const [local, bytes] of parseConnections(stdout)) {
        // A local port that is used again begins at zero.
        const before = seen.get(local);
        if (before !== undefined && bytes < before) seen.set(`${local} until ${performance.now()}`, before);
        seen.set(local, bytes);
      }
    } catch (error) {
      if (isGone(pid)) return;
      throw error;
    }
  }

  of(pid: number): number {
    return [...(this.#seen.get(pid)?.values() ?? [])].reduce((sum, bytes) => sum + bytes, 0);
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
