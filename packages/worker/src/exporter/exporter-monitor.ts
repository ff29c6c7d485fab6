import { request } from 'node:http';
import type { Heartbeat } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import type { ExporterAddress } from './exposition-source.ts';

type ExporterState = Heartbeat['exporter'];

export interface ExporterMonitorOptions {
  /** Serves `/metrics` and `/healthz`. */
  readonly exporter: ExporterAddress;
  /** Serves the exporter's telemetry about itself. */
  readonly telemetry: ExporterAddress;
  readonly clock: Clock;
  /** Time between two looks at the exporter, ms. */
  readonly probeIntervalMs?: number;
  /** Time between two readings of its memory, ms. */
  readonly memoryIntervalMs?: number;
  readonly onChange: (state: ExporterState) => void;
  /** It has not answered for so long, ms; called again and again while that continues. */
  readonly onSilence: (ms: number) => void;
}

/** Time between two complaints about an exporter that does not answer, ms. */
const COMPLAINT_MS = 15_000;

const ANSWER_TIMEOUT_MS = 2000;

/** The telemetry of kube-state-metrics is about 20 KB; more than this is something else. */
const MAX_TELEMETRY_BYTES = 1024 * 1024;

/**
 * The exporter's state from outside: `starting` until it has answered for the first time, then `running` or
 * `unreachable`. Scrapes that pass through the gateway report to it too, so that a change shows at once.
 */
export class ExporterMonitor {
  readonly #options: Required<ExporterMonitorOptions>;
  #state: ExporterState;
  #memoryBytes = 0;

  constructor(options: ExporterMonitorOptions) {
    this.#options = { probeIntervalMs: 1000, memoryIntervalMs: 10_000, ...options };
    this.#state = { state: 'starting', since: options.clock.now() };
  }

  get state(): ExporterState {
    return this.#state;
  }

  /** Resident memory of the exporter's process at the newest reading, bytes; 0 when it could not be read yet. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** How long the exporter has not answered, ms; 0 while it does or has not yet. */
  get unreachableMs(): number {
    return this.#state.state === 'unreachable' ? this.#options.clock.now() - this.#state.since : 0;
  }

  report(reachable: boolean): void {
    // An exporter that has not answered yet is starting, however long that takes.
    if (!reachable && this.#state.state === 'starting') return;
    const state = reachable ? 'running' : 'unreachable';
    if (state === this.#state.state) return;
    this.#state = { state, since: this.#options.clock.now() };
    if (!reachable) this.#memoryBytes = 0;
    this.#options.onChange(this.#state);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, exporter, probeIntervalMs } = this.#options;
    let memoryReadAt = -Infinity;
    let complainedAt = clock.monotonic();
    let answeredAt = clock.monotonic();
    while (!signal.aborted) {
      const alive = await read(exporter, '/healthz', signal);
      if (signal.aborted) return;
      this.report(alive !== undefined);
      const now = clock.monotonic();
      if (alive !== undefined) answeredAt = complainedAt = now;
      else if (now - complainedAt >= COMPLAINT_MS) {
        complainedAt = now;
        this.#options.onSilence(now - answeredAt);
      }
      if (alive !== undefined && clock.monotonic() - memoryReadAt >= this.#options.memoryIntervalMs) {
        if (await this.#readMemory(signal)) memoryReadAt = clock.monotonic();
      }
      await clock.sleep(probeIntervalMs, signal);
    }
  }

  async #readMemory(signal: AbortSignal): Promise<boolean> {
    const text = await read(this.#options.telemetry, '/metrics', signal);
    const bytes = text === undefined ? undefined : residentMemory(text);
    if (bytes === undefined) return false;
    this.#memoryBytes = bytes;
    return true;
  }
}

/** `process_resident_memory_bytes` of a text exposition, or undefined when it is not there. */
export function residentMemory(exposition: string): number | undefined {
  const found = /^process_resident_memory_bytes (\S+)/m.exec(exposition)?.[1];
  const bytes = Number(found);
  return found !== undefined && Number.isFinite(bytes) && bytes >= 0 ? Math.round(bytes) : undefined;
}

/** The body of a 200 answer, or undefined when there was none in time. */
async function read(address: ExporterAddress, path: string, signal: AbortSignal): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const outgoing = request({ ...address, path, agent: false, signal: limit }, (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_TELEMETRY_BYTES) answer.destroy();
        else chunks.push(chunk);
      });
      answer.on('error', () => resolve(undefined));
      answer.on('end', () => resolve(answer.statusCode === 200 ? Buffer.concat(chunks).toString('utf8') : undefined));
      answer.on('close', () => resolve(undefined));
    });
    outgoing.on('error', () => resolve(undefined));
    outgoing.end();
  });
}
