import type { Assignment, Heartbeat, Scraper } from '@shard-controller/shared/contracts';
import type { Refusal } from '../assignment/index.ts';
import type { DataPlaneStatus } from '../data-plane/index.ts';
import type { GatewayState } from '../exporter/index.ts';

/** Everything that a heartbeat tells, taken at one moment. */
export interface WorkerSnapshot {
  readonly assignment: Assignment | undefined;
  readonly refusal: Refusal | undefined;
  /** An assignment that NATS names and the ShardInstance does not hold, for people. */
  readonly unconfirmed: string | undefined;
  readonly dataPlane: DataPlaneStatus;
  readonly gateway: GatewayState;
  readonly scrapers: readonly Scraper[];
  /** Start of the first scrape that was completed, ms since the epoch; undefined before it. */
  readonly readSince: number | undefined;
  readonly exporter: Heartbeat['exporter'];
  /** How long the exporter has not answered, ms. */
  readonly exporterUnreachableMs: number;
  /** Newest complete exposition: bytes, and ms that it took. */
  readonly exposition: { readonly bytes: number; readonly durationMs: number };
  /** Resident memory of worker and exporter, bytes. */
  readonly memoryBytes: number;
  /** Which kinds the exporter was found not to show as it was sent them, for people; undefined while all is well. */
  readonly mismatch: string | undefined;
  /** What all exposed objects take, bytes, and their live events, bytes per second. */
  readonly cost: { readonly bytes: number; readonly churn: number };
  readonly draining: boolean;
  readonly terminated: boolean;
}
