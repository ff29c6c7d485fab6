import type { Contestant } from './contestants/contestant.ts';
import { type Role, type Usage, usageOf } from './process-usage.ts';
import { ReceivedBytes } from './received-bytes.ts';
import { type BenchProcess, pause, type Stage } from './stage.ts';

/** What a process of a contestant has used since its start. */
export interface ProcessFigures extends Usage {
  readonly pod: string;
  readonly role: Role;
  /** Bytes read from the API server by the pod; null for the exporter behind a worker, which reads none. */
  readonly apiBytes: number | null;
}

const BYTES_EVERY_MS = 2000;
const DISCOVER_EVERY_MS = 250;

/** Keeps an eye on the processes of a contestant from their start on. */
export class ProcessBook {
  readonly #stage: Stage;
  readonly #contestant: Contestant;
  readonly #bytes = new ReceivedBytes();
  #processes: readonly BenchProcess[] = [];

  constructor(stage: Stage, contestant: Contestant) {
    this.#stage = stage;
    this.#contestant = contestant;
  }

  get processes(): readonly BenchProcess[] {
    return this.#processes;
  }

  /** Looks for new processes and counts bytes until the signal aborts. A look that fails is one look less. */
  async run(signal: AbortSignal): Promise<void> {
    let bytesAt = 0;
    while (!signal.aborted) {
      try {
        this.#processes = this.#stage.processes(await this.#contestant.pods());
        if (performance.now() - bytesAt >= BYTES_EVERY_MS) {
          bytesAt = performance.now();
          await this.#lookAtBytes();
        }
      } catch (error) {
        this.#stage.say(`a look at the processes of ${this.#contestant.name} failed: ${String(error)}`);
      }
      await pause(DISCOVER_EVERY_MS);
    }
  }

  async figures(): Promise<readonly ProcessFigures[]> {
    this.#processes = this.#stage.processes(await this.#contestant.pods());
    await this.#lookAtBytes();
    const readers = new Set(this.#readers());
    return this.#processes.flatMap(({ pod, role, pid }) => {
      const usage = usageOf(pid);
      return usage === undefined
        ? []
        : [{ pod, role, ...usage, apiBytes: readers.has(pid) ? this.#bytes.of(pid) : null }];
    });
  }

  /** CPU of all its processes so far, ms. */
  cpuMs(): number {
    return this.#processes.reduce((total, { pid }) => total + (usageOf(pid)?.cpuMs ?? 0), 0);
  }

  /** One process of each pod: the network is the pod's. */
  #readers(): readonly number[] {
    return this.#processes
      .filter(
        ({ pod, role }) => role === 'worker' || !this.#processes.some((p) => p.pod === pod && p.role === 'worker'),
      )
      .map(({ pid }) => pid);
  }

  async #lookAtBytes(): Promise<void> {
    await this.#bytes.look(this.#readers());
  }
}
