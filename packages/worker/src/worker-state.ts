import { activeReplicaOf } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import type { AssignmentKeeper, AssignmentNotices, ShardInstanceSource } from './assignment/index.ts';
import type { DataPlane, DataPlaneStatus } from './data-plane/index.ts';
import type { Drain } from './drain.ts';
import {
  type ExporterMonitor,
  type GatewayState,
  gatewayState,
  type ScraperTracker,
  type StallGuard,
} from './exporter/index.ts';
import type { WorkerSnapshot } from './heartbeat-manager/index.ts';
import { isolationOf } from './isolation.ts';
import type { SelfCheck } from './self-check/index.ts';
import type { WorkerIdentity } from './worker-identity.ts';

export interface WorkerStateParts {
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  /** Whether a worker that is cut off from everything stops answering scrapes. */
  readonly isolationFences: boolean;
  readonly dataPlane: DataPlane;
  readonly keeper: AssignmentKeeper;
  readonly source: ShardInstanceSource;
  readonly notices: Pick<AssignmentNotices, 'unconfirmed'>;
  readonly guard: StallGuard;
  readonly exporter: ExporterMonitor;
  readonly selfCheck: Pick<SelfCheck, 'problem'>;
  readonly tracker: ScraperTracker;
  readonly drain: Drain;
  readonly natsConnected: () => boolean;
  /** Monotonic time of the newest status write that the API server took, ms. */
  readonly statusWrittenAt: () => number | undefined;
}

/**
 * How long the data plane's status is used again, ms: it goes through all slots of all watches, and a scrape asks for it
 * with every chunk.
 */
const RECENT_MS = 5;
/** The same for the resident memory: the kernel is asked for it, and at a start the state changes hundreds of times. ms. */
const MEMORY_RECENT_MS = 1_000;

/** The worker as a whole at this moment, put together from its parts; keeps only what no part has. */
export class WorkerState {
  readonly #parts: WorkerStateParts;
  #exposition = { bytes: 0, durationMs: 0 };
  #terminated = false;
  #memory = { bytes: 0, at: -Infinity };
  #recent: { readonly status: DataPlaneStatus; readonly at: number } | undefined;

  constructor(parts: WorkerStateParts) {
    this.#parts = parts;
    parts.dataPlane.onChange(() => {
      this.#recent = undefined;
    });
  }

  /** Whether this replica is the one to scrape. */
  get active(): boolean {
    return this.#activeReplica() === this.#parts.identity.replica;
  }

  /** Whether the shard has a second replica, which takes over when this one stalls. */
  get hasStandby(): boolean {
    return this.#parts.keeper.current?.activeReplica !== undefined;
  }

  /** Whether scrapes are answered. */
  readonly gateway = (): GatewayState => {
    const { guard, keeper, source, drain, exporter } = this.#parts;
    const { warm, warmReason, startsOver } = this.#dataPlane();
    return gatewayState({
      stalled: guard.closed(),
      isolated: this.#parts.isolationFences ? this.isolation() : undefined,
      assigned: keeper.current !== undefined,
      standbyOf: this.active ? undefined : this.#activeReplica(),
      unassignedReason: source.waiting,
      warm,
      warmReason,
      startsOver,
      exporter: exporter.state.state,
      draining: drain.draining,
    });
  };

  readonly snapshot = (): WorkerSnapshot => {
    const { keeper, notices, tracker, exporter, drain, selfCheck, dataPlane } = this.#parts;
    return {
      assignment: keeper.current,
      refusal: keeper.refusal,
      unconfirmed: notices.unconfirmed,
      dataPlane: this.#dataPlane(),
      gateway: this.gateway(),
      scrapers: tracker.scrapers(),
      readSince: tracker.readSince,
      exporter: exporter.state,
      exporterUnreachableMs: exporter.unreachableMs,
      exposition: this.#exposition,
      memoryBytes: this.#ownMemory() + exporter.memoryBytes,
      mismatch: selfCheck.problem,
      cost: dataPlane.inspection.totals(),
      draining: drain.draining,
      terminated: this.#terminated,
    };
  };

  /** Why this worker counts as cut off from everything, or undefined. */
  isolation(): string | undefined {
    const { clock, natsConnected } = this.#parts;
    return isolationOf({ natsConnected: natsConnected(), apiProofMs: this.#apiProofMs() }, clock);
  }

  /** Why slots still depend on this worker, or undefined when it may end. */
  readonly needed = (): string | undefined => {
    // A standby exposes the same as the active replica, and is not scraped.
    if (!this.active) return undefined;
    const { slots, exposedSlots } = this.#dataPlane();
    if (slots.assigned === 0 && exposedSlots === 0) return undefined;
    return `responsible for ${slots.assigned} slots, exposing ${exposedSlots}; the manager moves them away`;
  };

  /** What the exporter shows, as a text that changes with every load and release; undefined while it is not complete. */
  readonly shown = (): string | undefined => {
    const { exporter, keeper } = this.#parts;
    const { warm, slots, exposedSlots } = this.#dataPlane();
    if (!warm || exporter.state.state !== 'running' || slots.acknowledged < slots.assigned) return undefined;
    return [exporter.state.since, keeper.current?.epoch, slots.assigned, exposedSlots].join(' ');
  };

  served(bytes: number, durationMs: number): void {
    this.#exposition = { bytes, durationMs };
  }

  terminate(): void {
    this.#terminated = true;
  }

  #activeReplica(): 'a' | 'b' {
    return activeReplicaOf(this.#parts.keeper.current ?? {});
  }

  #ownMemory(): number {
    const now = this.#parts.clock.monotonic();
    if (now - this.#memory.at > MEMORY_RECENT_MS) this.#memory = { bytes: process.memoryUsage.rss(), at: now };
    return this.#memory.bytes;
  }

  #dataPlane(): DataPlaneStatus {
    const now = this.#parts.clock.monotonic();
    if (this.#recent === undefined || now - this.#recent.at > RECENT_MS) {
      this.#recent = { status: this.#parts.dataPlane.status(), at: now };
    }
    return this.#recent.status;
  }

  #apiProofMs(): number | undefined {
    const { clock, source, statusWrittenAt } = this.#parts;
    const { total, oldestProofMs } = this.#dataPlane().feeds;
    const feeds = total > 0 && Number.isFinite(oldestProofMs) ? clock.monotonic() - oldestProofMs : undefined;
    const proofs = [source.lastProofMs, statusWrittenAt(), feeds].filter((at) => at !== undefined);
    return proofs.length === 0 ? undefined : Math.max(...proofs);
  }
}
