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
    while (!signal.aborted) {
      try {
        this.#processes = this.#stage.processes(await this.#contestant.pods());
        this.#bytes.follow(this.#readers());
      } catch (error) {
        this.#stage.say(`a look at the processes of ${this.#contestant.name} failed: ${String(error)}`);
      }
      await pause(DISCOVER_EVERY_MS);
    }
    this.#bytes.stop();
  }

  /** CPU and memory as they are at the call, bytes a moment later. */
  async figures(): Promise<readonly ProcessFigures[]> {
    const used = this.#processes.map(({ pod, role, pid }) => ({ pod, role, pid, usage: usageOf(pid) }));
    const readers = this.#readers();
    await this.#bytes.look(readers);
    return used.flatMap(({ pod, role, pid, usage }) =>
      usage === undefined
        ? []
        : [{ pod, role, ...usage, apiBytes: readers.get(pod) === pid ? this.#bytes.of(pod) : null }],
    );
  }

  /** CPU of all its processes so far, ms. */
  cpuMs(): number {
    return this.#processes.reduce((total, { pid }) => total + (usageOf(pid)?.cpuMs ?? 0), 0);
  }

  /** The process of each pod that reads from the API server: its worker, where it has one. */
  #readers(): ReadonlyMap<string, number> {
    const of = (wanted: Role): [string, number][] =>
      this.#processes.flatMap(({ pod, role, pid }) => (role === wanted ? [[pod, pid]] : []));
    return new Map([...of('exporter'), ...of('worker')]);
  }
}
