import type { Handover, UnavailableKind, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { DataPlaneMetrics } from '../feed/follow/index.ts';
import type { CustomResourceKind, ExporterPruning } from '../pruning/index.ts';
import type { SlotAssignment } from '../slots/index.ts';
import type { Upstream } from '../upstream/index.ts';
import type { Inspection } from './inspection.ts';

/** Everything that heartbeat, readiness and gateway need to know of the data plane. */
export interface DataPlaneStatus {
  readonly feeds: { readonly synced: number; readonly total: number; readonly oldestProofMs: number };
  /**
   * Slots of `owned`, how many of them the exporter has acknowledged on every feed, and how many a scrape shows: an
   * resumed exporter has kept its series.
   */
  readonly slots: { readonly assigned: number; readonly acknowledged: number; readonly shown: number };
  readonly handovers: readonly Handover[];
  /** Slots exposed right now: owned, warm, or not yet released. */
  readonly exposedSlots: number;
  /** Whether a scrape of the exporter would show everything that this worker exposes; the reason when it would not. */
  readonly warm: boolean;
  readonly warmReason: string;
  /** Not warm, because the exporter starts all its watches again: it was sent a change of a CustomResourceDefinition a moment ago. */
  readonly startsOver: boolean;
  readonly queueDepth: number;
  readonly objects: number;
  readonly objectsByResource: Readonly<Record<string, number>>;
  /** Slots that an assignment dropped without asking for their release: exposed until an assignment releases them. */
  readonly keptSlots?: number;
  /** Kinds that cannot be read now although others can (missing permission or kind, a broken server): they hold nothing back. */
  readonly unavailable?: readonly UnavailableKind[];
  /** Feeds that heard nothing of the API server for longer than STALE_MS; what they show may be out of date. */
  readonly staleFeeds?: readonly string[];
}

/**
 * The watch proxy and its slots, as the rest of the worker sees them. Level-triggered: the newest assignment replaces
 * the one before, and the data plane works towards it.
 */
export interface DataPlane {
  /**
   * The process before this one had not seen its exporter show everything: what an exporter that continues from there
   * shows is partial until it has acknowledged all of it. To be said before the first assignment.
   */
  distrustExporter(): void;
  /**
   * The process before this one could not read these kinds: an exporter that continues from there holds nothing of them, and
   * is none that has just started when it asks for them. To be said before the first assignment.
   */
  presumeUnavailable(kinds: readonly UnavailableKind[]): void;
  applyAssignment(assignment: SlotAssignment): void;
  status(): DataPlaneStatus;
  /** Calls back on every change of handovers, acknowledged slots or warmth; returns the way to stop that. */
  onChange(callback: () => void): () => void;
  verify(request: VerifyRequest, signal: AbortSignal): Promise<VerifyReply>;
  /** What metrics and people want to know in more detail than `status`. */
  readonly inspection: Inspection;
  /** Serves the exporter's API requests until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * Faults for tests of the manager's rollback. `omit-one`: a warm slot's load drops one object. `stop-feed`: after a warm
 * was acknowledged, one feed stops and never comes back. `mute`: verification is never answered.
 */
export type DataPlaneFault = 'omit-one' | 'stop-feed' | 'mute';

export interface DataPlaneOptions {
  readonly upstream: Upstream;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Address and port of the exporter's API endpoint; loopback, because it needs no credentials. Port 0 picks one. */
  readonly host: string;
  readonly port: number;
  /** Kinds of custom-resource-state: only their CustomResourceDefinitions are shown to change. */
  readonly customResources?: readonly CustomResourceKind[];
  /** Leaves out of the objects what this exporter does not read; without it they pass whole (generic clients). */
  readonly pruning?: ExporterPruning | undefined;
  readonly metrics?: Partial<DataPlaneMetrics>;
  /** `auto` (default): where the API server narrows lists and watches to slots (KEP-5866), it is asked to. */
  readonly pushdown?: 'auto' | 'off';
  readonly fault?: DataPlaneFault | undefined;
  /** A watch that says nothing for so long is opened again, ms; 85 s when absent. */
  readonly silenceMs?: number;
  /** Uniform in [0, 1): jitter. */
  readonly random?: () => number;
  /** Called with the port once the endpoint listens. */
  readonly onListening?: (port: number) => void;
  /** Port of a second listener on the same host, for clients beside the exporter; 0 picks one, absent: none. */
  readonly clientPort?: number | undefined;
  readonly onClientListening?: (port: number) => void;
}
