import type { EventRecorder, KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { HealthServer, Logger, Metrics } from '@shard-controller/shared/observability';
import type { Clock, Component } from '@shard-controller/shared/runtime';
import type { ManagerConfig } from './config/index.ts';
import type { Leadership } from './leadership/index.ts';

/** What the process gives to each of its parts. */
export interface PartInput {
  readonly config: ManagerConfig;
  /** Unique per process start. */
  readonly identity: string;
  readonly client: KubernetesClient;
  readonly leadership: Leadership;
  readonly recorder: EventRecorder;
  readonly health: HealthServer;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What runs one kind of resource. */
export interface Part {
  readonly components: readonly Component[];
  /** Resolves when it has seen the cluster once. */
  readonly synced: Promise<void>;
}
