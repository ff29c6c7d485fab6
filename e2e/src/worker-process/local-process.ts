import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolveSystemTool } from '../cluster/binaries.ts';

export interface LocalProcessOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** A process of a test: its output is kept, and it does not outlive the test runner. */
export class LocalProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | string>;
  readonly #reap = (): void => void this.#child.kill('SIGKILL');
  #output = '';
  #ended = false;

  constructor({ name, command: [executable, ...args], env = {} }: LocalProcessOptions) {
    this.name = name;
    // The kernel ends it with this process, however this one ends.
    const died = ['--pdeathsig', 'KILL', executable, ...args];
    this.#child = spawn(resolveSystemTool('setpriv', 'util-linux'), died, {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('utf8');
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    }).then((how) => {
      this.#ended = true;
      process.off('exit', this.#reap);
      return typeof how === 'number' ? how : String(how);
    });
    process.on('exit', this.#reap);
  }

  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return !this.#ended;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Exit code, or the name of the signal that ended it. */
  get exit(): Promise<number | string> {
    return this.#exit;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#ended) return;
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    await this.#exit;
  }
}
