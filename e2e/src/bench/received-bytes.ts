import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { API_SERVER_ADDRESS } from '../namespace/index.ts';

const execute = promisify(execFile);

/** Internals, extended, one line per connection, without names and header. */
const OPTIONS = '-tineHO';

/** A connection in a line of `ss -tineO`: the kernel's cookie of its socket, and `bytes_received` so far. */
export function parseConnection(line: string): { readonly cookie: string; readonly bytes: number } | undefined {
  const cookie = /\bsk:([0-9a-f]+)\b/.exec(line)?.[1];
  const bytes = /\bbytes_received:(\d+)\b/.exec(line)?.[1];
  return cookie === undefined ? undefined : { cookie, bytes: Number(bytes ?? 0) };
}

/** A pod by its name, and one of its processes: all of them have its network. */
export type NetworkOf = ReadonlyMap<string, number>;

/**
 * Bytes that some pods have read from the API server: what the kernel counts for each TCP connection to
 * it, TLS included. Open connections are read on request; of each that ends the kernel says its last state
 * (`ss --events`), so that one of some milliseconds counts, too.
 */
export class ReceivedBytes {
  /** By socket: a cookie is never given twice. */
  readonly #bytes = new Map<string, Map<string, number>>();
  readonly #listeners = new Map<string, ChildProcess>();
  /** Why ended connections were not counted. */
  #failure: Error | undefined;

  /** Listens for ended connections of these pods, and of no others from now on. */
  follow(pods: NetworkOf): void {
    for (const [pod, listener] of this.#listeners) {
      // The pod's network would live as long as it does.
      if (!pods.has(pod)) listener.kill('SIGKILL');
    }
    for (const [pod, pid] of pods) if (!this.#listeners.has(pod)) this.#listen(pod, pid);
  }

  #listen(pod: string, pid: number): void {
    // ss writes to a pipe when 4 KiB are there, unless it is told otherwise.
    const [command = '', ...args] = inNetworkOf(pid, ['stdbuf', '-oL', 'ss', '--events', OPTIONS]);
    const listener = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#listeners.set(pod, listener);
    listener.on('error', (error) => {
      this.#listeners.delete(pod);
      this.#failure = error;
    });
    listener.on('exit', (code) => {
      this.#listeners.delete(pod);
      // Not killed, and not too late for a process that had just ended.
      if (code !== null && !isGone(pid)) {
        this.#failure = new Error(
          `ss --events ended with ${code}: are ss (iproute2) and stdbuf (coreutils) installed?`,
        );
      }
    });
    createInterface(listener.stdout).on('line', (line) => this.#note(pod, line));
  }

  /** Looks at the open connections. @throws Error when ended ones were not counted */
  async look(pods: NetworkOf): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.follow(pods);
    await Promise.all(Array.from(pods, ([pod, pid]) => this.#lookAt(pod, pid)));
  }

  async #lookAt(pod: string, pid: number): Promise<void> {
    try {
      const [command = '', ...args] = inNetworkOf(pid, ['ss', OPTIONS]);
      const { stdout } = await execute(command, args, { timeout: 10_000 });
      for (const line of stdout.split('\n')) this.#note(pod, line);
    } catch (error) {
      if (isGone(pid)) return;
      throw error;
    }
  }

  #note(pod: string, line: string): void {
    const connection = parseConnection(line);
    if (connection === undefined) return;
    const { cookie, bytes } = connection;
    const known = this.#bytes.get(pod) ?? new Map<string, number>();
    this.#bytes.set(pod, known);
    // Whichever is read first: an ended connection has what it had before, or more.
    known.set(cookie, Math.max(bytes, known.get(cookie) ?? 0));
  }

  of(pod: string): number {
    return [...(this.#bytes.get(pod)?.values() ?? [])].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Ends its own processes. */
  stop(): void {
    this.follow(new Map());
  }
}

function inNetworkOf(pid: number, command: readonly string[]): readonly string[] {
  return ['nsenter', '--target', String(pid), '--net', ...command, 'dst', API_SERVER_ADDRESS];
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
