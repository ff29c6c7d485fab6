import type { UnavailableKind } from '@shard-controller/shared/contracts';

/** A kind that this worker cannot read, although the API server is well otherwise. */
export interface Outage {
  /** Monotonic ms. */
  readonly since: number;
  /** The same as ms since the epoch. */
  readonly at: number;
  readonly cause: UnavailableKind['cause'];
  /** The API server's own sentence, and what a person can do. */
  readonly problem: string;
  /** It can be read again, and the exporter does not show all of it yet. */
  readonly isMending: boolean;
}
