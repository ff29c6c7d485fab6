import type { Handover, UnavailableKind, VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { Inspection } from './inspection.ts';

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
  /** Slots of another shard that are to be exposed until that one shows them. */
  readonly keep?: readonly number[];
  /** Another replica of the shard serves: nothing is lost when this one lets go of a slot. */
  readonly standby?: boolean;
}

/** Everything that heartbeat, readiness and gateway need to know of the data plane. */
export interface DataPlaneStatus {
  readonly feeds: { readonly synced: number; readonly total: number; readonly oldestProofMs: number };
  /**
   * Slots of `owned`, how many of them the exporter has acknowledged on every feed, and how many a scrape shows: an
   * exporter that was there before this process has kept its series.
   */
  readonly slots: { readonly assigned: number; readonly acknowledged: number; readonly shown: number };
  readonly handovers: readonly Handover[];
  /** Slots exposed right now: owned, warm, or not yet released. */
  readonly exposedSlots: number;
  /** Whether a scrape of the exporter would show everything that this worker exposes; the reason when it would not. */
  readonly warm: boolean;
  readonly warmReason: string;
  /** Not warm, because the exporter starts all its watches anew: it was told of a CustomResourceDefinition a moment ago. */
  readonly startsOver: boolean;
  readonly queueDepth: number;
  readonly objects: number;
  readonly objectsByResource: Readonly<Record<string, number>>;
  /** Slots that an assignment dropped without asking for their release: exposed until told otherwise. */
  readonly keptSlots?: number;
  /** Kinds that cannot be read now although others can (missing right or kind, a broken server): they hold nothing back. */
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
   * The process before this one had not seen its exporter show everything: what an exporter that goes on from there
   * shows is partial until it has acknowledged all of it. To be said before the first assignment.
   */
  distrustExporter(): void;
  /**
   * The process before this one could not read these kinds: an exporter that goes on from there holds nothing of them, and
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

/** The way to the API server: the pooled client, or a scripted one in tests. */
export type Upstream = Pick<KubernetesClient, 'stream'>;

/** What decides which parts of its objects the exporter never reads. */
export interface ExporterDiet {
  /** Version of kube-state-metrics, `2.20.0`; undefined when nobody knows: then little is cut. */
  readonly version: string | undefined;
  /** Its `--metric-annotations-allowlist`: annotation keys by resource, `*` for all of either. */
  readonly annotationAllowList: ReadonlyMap<string, readonly string[]>;
}

/** Counters of the data plane; whoever owns the metric registry implements them. */
export interface DataPlaneMetrics {
  /** Frames of watches and lists: read from the API server, and sent on to the exporter. */
  frames(resource: string, received: number, kept: number): void;
  /** Bytes that were left out of the exporter's objects because it does not read them. */
  cut(resource: string, bytes: number): void;
  /** Bytes of the same frames: read from the API server, and written to the exporter. */
  bytes(resource: string, received: number, kept: number): void;
  /** A metadata list that compared the index with the cluster after the watch could not be resumed. */
  relist(resource: string, cause: string): void;
  /** Whether the API server is asked for the objects of the needed slots only. */
  pushdown(resource: string, on: boolean): void;
  /** A list, or a single read in its place, that failed and is tried again. */
  loadFailure(resource: string, cause: string): void;
  /** An upstream watch that had to be opened again, by cause. */
  reconnect(resource: string, cause: string): void;
  /** The exporter asks for a collection, or for something that is none (`other`). */
  exporterRequest(resource: string): void;
}

/**
 * Faults for tests of the manager's rollback. `omit-one`: a warm slot's load drops one object. `stop-feed`: after a warm
 * was acknowledged, one feed stops and never comes back. `mute`: verification is never answered.
 */
export type DataPlaneFault = 'omit-one' | 'stop-feed' | 'mute';

/** A kind that the exporter's custom-resource-state config names; `*` is any kind of the group. */
export interface CustomResourceKind {
  readonly group: string;
  readonly kind: string;
}

export interface DataPlaneOptions {
  readonly upstream: Upstream;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Address and port of the exporter's API endpoint; loopback, because it needs no credentials. Port 0 picks one. */
  readonly host: string;
  readonly port: number;
  /**
   * How a list that starts from nothing is answered. `Streamed`: at once as empty, objects follow in acknowledged
   * batches (right for kube-state-metrics). `Full`: with everything that is exposed, for any other client; such a
   * listener acknowledges nothing, so it stands beside the exporter's and not in its place.
   */
  readonly firstList: 'Streamed' | 'Full';
  /** Kinds of custom-resource-state: only their CustomResourceDefinitions are shown to change. */
  readonly customResources?: readonly CustomResourceKind[];
  /** Leaves out of the objects what this exporter does not read; without it they pass whole (generic clients). */
  readonly diet?: ExporterDiet | undefined;
  readonly metrics?: Partial<DataPlaneMetrics>;
  /** `auto` (default): where the API server narrows lists and watches to slots (KEP-5866), it is asked to. */
  readonly pushdown?: 'auto' | 'off';
  readonly fault?: DataPlaneFault | undefined;
  /** A watch that says nothing for so long is opened again, ms; 85 s when absent. */
  readonly silenceMs?: number;
  /** How long an object that came after the verification of its slot is shown after the release, ms; a default when absent. */
  readonly lateMs?: number;
  /** Uniform in [0, 1): jitter. */
  readonly random?: () => number;
  /** Called with the port once the endpoint listens. */
  readonly onListening?: (port: number) => void;
  /** Port of a second listener on the same host, `Full`, for clients beside the exporter; 0 picks one, absent: none. */
  readonly clientPort?: number | undefined;
  readonly onClientListening?: (port: number) => void;
}
