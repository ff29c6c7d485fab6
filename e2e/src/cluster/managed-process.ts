import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE_MS } from '@shard-controller/shared/testing';
import { freezeAll } from './process-node/processes.ts';

/** In the environment of everything that a cluster starts, so that a later one can sweep what a crash left. */
export const HARNESS_MARK = 'SHARD_CONTROLLER_HARNESS';

export interface ProcessSpec {
  readonly name: string;
  readonly executable: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly folder: string;
  /** Resolves true when the process serves. Called every 25 ms; failures count as "not yet". */
  readonly ready?: () => Promise<boolean>;
  /** ms; default 30,000 (a busy machine). */
  readonly readyTimeoutMs?: number;
  /** After SIGTERM, ms until SIGKILL; default 10,000. */
  readonly stopTimeoutMs?: number;
}

/** A part of the cluster did not start. The message ends with the last lines of its log. */
export class ProcessStartError extends Error {
  readonly code = 'SC_PROCESS_START';
  readonly process: string;

  constructor(spec: ProcessSpec, reason: string) {
    super(`${spec.name} ${reason}. Log: ${spec.logFile}\n${logTail(spec.logFile)}`);
    this.name = 'ProcessStartError';
    this.process = spec.name;
  }
}

/** One long-running process of the cluster, which can be stopped, killed, paused and started again. */
export class ManagedProcess {
  readonly spec: ProcessSpec;
  #child: ChildProcess | undefined;
  #exit: Promise<string> = Promise.resolve('was never started');

  constructor(spec: ProcessSpec) {
    this.spec = spec;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it and waits until it is ready.
   *
   * @throws ProcessStartError
   */
  async start(): Promise<void> {
    this.launch();
    await this.waitReady();
  }

  /** Starts it without waiting. */
  launch(): void {
    if (this.#child !== undefined) return;
    const { spec } = this;
    const log = openSync(spec.logFile, 'a');
    try {
      const child = spawn(spec.executable, spec.args, {
        cwd: spec.folder,
        env: { PATH: process.env['PATH'], HOME: spec.folder, [HARNESS_MARK]: spec.name },
        stdio: ['ignore', log, log],
        // An interrupt of the terminal's process group must not end the parts at once and out of order.
        detached: true,
      });
      this.#child = child;
      this.#exit = new Promise((resolve) => {
        const over = (how: string): void => {
          if (this.#child === child) this.#child = undefined;
          resolve(how);
        };
        child.on('error', (error) => over(`could not be started (${error.message})`));
        child.on('exit', (code, signal) => over(`ended with ${signal ?? `exit code ${code}`}`));
      });
    } finally {
      closeSync(log);
    }
  }

  async waitReady(): Promise<void> {
    const { spec } = this;
    const deadline = performance.now() + (spec.readyTimeoutMs ?? PATIENCE_MS);
    while (!(await isReady(spec))) {
      if (this.#child === undefined) throw new ProcessStartError(spec, `${await this.#exit} before it was ready`);
      if (performance.now() > deadline) throw new ProcessStartError(spec, 'was not ready in time');
      await sleep(25);
    }
  }

  /** SIGTERM, then SIGKILL after the stop time-out. Resolves when it is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), this.spec.stopTimeoutMs ?? 10_000);
    await this.#exit;
    clearTimeout(timer);
  }

  /** SIGKILL. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exit;
  }

  /** SIGSTOP: the kernel still accepts connections, nothing answers. Resolves when every thread has stopped. */
  async pause(): Promise<void> {
    if (this.pid !== undefined) await freezeAll([this.pid]);
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }
}

async function isReady(spec: ProcessSpec): Promise<boolean> {
  try {
    return spec.ready === undefined || (await spec.ready());
  } catch {
    return false;
  }
}

function logTail(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-8).join('\n').slice(-4000);
  } catch {
    return '(no log)';
  }
}
