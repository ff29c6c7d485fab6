import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import type { NatsServer } from './nats-server.ts';
import { resolveSystemTool } from '../cluster/binaries.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { freezeAll } from '../cluster/process-node/processes.ts';

/** Configuration of a server for tests: as in production, on loopback, with its own store. */
function serverConfig(port: number, store: string, more: string): string {
  return [
    'host: 127.0.0.1',
    `port: ${port}`,
    `jetstream { store_dir: ${JSON.stringify(store)}, sync_interval: always }`,
    more,
    '',
  ].join('\n');
}

/** Starts `path` on a free port. @throws Error with the server's output when it does not come up */
export async function startNatsProcess(path: string, more: string): Promise<NatsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'shard-nats-'));
  const [port = 0] = await freePorts(1);
  const server = new NatsProcess(path, folder, port, more);
  try {
    await server.start();
  } catch (error) {
    await server.dispose();
    throw error;
  }
  return server;
}

class NatsProcess implements NatsServer {
  readonly breakable = true;
  readonly #path: string;
  readonly #folder: string;
  readonly #more: string;
  readonly #port: number;
  #child: ChildProcess | undefined;
  #output = '';
  /** A test runner that ends early must not leave the server behind. */
  readonly #reap = (): void => void this.#child?.kill('SIGKILL');

  constructor(path: string, folder: string, port: number, more: string) {
    this.#path = path;
    this.#folder = folder;
    this.#port = port;
    this.#more = more;
    process.on('exit', this.#reap);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const config = join(this.#folder, 'server.conf');
    await writeFile(config, serverConfig(this.#port, join(this.#folder, 'store'), this.#more));
    // The kernel ends it with this process, however this one ends.
    const child = spawn(resolveSystemTool('setpriv', 'util-linux'), ['--pdeathsig', 'KILL', this.#path, '-c', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-4000);
    });
    let failure = '';
    child.once('error', (error) => {
      failure = error.message;
    });
    const giveUpAt = Date.now() + PATIENCE_MS;
    while (!(await answers(this.#port))) {
      await sleep(20);
      if (failure !== '' || child.exitCode !== null || child.signalCode !== null || Date.now() > giveUpAt) {
        throw new Error(`${this.#path} did not start: ${failure} ${this.#output}`);
      }
    }
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    if (this.#child !== undefined) throw new Error('the NATS server still runs: stop or kill it first');
    await this.start();
  }

  async pause(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid !== undefined) await freezeAll([pid]);
  }

  async resume(): Promise<void> {
    this.#child?.kill('SIGCONT');
  }

  async backUp(): Promise<void> {
    await this.#copyStore('store', 'backup');
  }

  async restoreBackup(): Promise<void> {
    await this.#copyStore('backup', 'store');
  }

  async dispose(): Promise<void> {
    await this.#end('SIGKILL');
    process.off('exit', this.#reap);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #copyStore(from: string, to: string): Promise<void> {
    if (this.#child !== undefined) throw new Error('the NATS server still runs: stop or kill it first');
    await rm(join(this.#folder, to), { recursive: true, force: true });
    await cp(join(this.#folder, from), join(this.#folder, to), { recursive: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }
}

/** True when a server greets on its client port, which it does when JetStream is up. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    const [greeting]: unknown[] = await once(socket, 'data', { signal: AbortSignal.timeout(5000) });
    return String(greeting).startsWith('INFO ');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
