import type { Handover, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';

/** Slots that take part in one migration. */
export interface MigratingSlots {
  readonly migration: string;
  readonly slots: readonly number[];
}

/** An accepted assignment as the data plane needs it: slots instead of ranges. */
export interface SlotAssignment {
  readonly generation: number;
  readonly epoch: number;
  readonly slotCount: number;
  readonly shardBy: 'uid' | 'namespace';
  readonly owned: readonly number[];
  readonly warm: readonly MigratingSlots[];
  readonly release: readonly MigratingSlots[];
}

/** Everything that heartbeat, readiness and gateway need to know of the data plane. */
export interface DataPlaneStatus {
  readonly feeds: { readonly synced: number; readonly total: number; readonly oldestProofMs: number };
  /** Slots of `owned`, and how many of them the exporter has acknowledged on every feed. */
  readonly slots: { readonly assigned: number; readonly acknowledged: number };
  readonly handovers: readonly Handover[];
  /** Slots exposed right now: owned, warm, or not yet released. */
  readonly exposedSlots: number;
  /** Whether a scrape of the exporter would show everything that this worker exposes; the reason when it would not. */
  readonly warm: boolean;
  readonly warmReason: string;
  readonly queueDepth: number;
  readonly objects: number;
  readonly objectsByResource: Readonly<Record<string, number>>;
}

/**
 * The watch proxy and its slots, as the rest of the worker sees them. Level-triggered: the newest assignment replaces
 * the one before, and the data plane works towards it.
 */
export interface DataPlane {
  applyAssignment(assignment: SlotAssignment): void;
  status(): DataPlaneStatus;
  /** Calls back on every change of handovers, acknowledged slots or warmth; returns the way to stop that. */
  onChange(callback: () => void): () => void;
  verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply>;
  /** Serves the exporter's API requests until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}
