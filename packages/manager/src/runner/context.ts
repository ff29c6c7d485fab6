import type { EventRecorder, KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { EventStream, NatsLink } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import type { ManagerConfig } from '../config/index.ts';
import type { DecisionEnvelope } from '../event-log/index.ts';
import type { Leadership } from '../leadership/index.ts';
import type { ClusterView, ListeningPeriod, WorkerRegistry } from '../observation/index.ts';
import type { DecisionMetrics } from './metrics.ts';

/** What all runners of one manager share. */
export interface RunnerContext {
  readonly config: ManagerConfig;
  /** Identity of this process, as in the Lease. */
  readonly identity: string;
  readonly client: KubernetesClient;
  readonly link: NatsLink;
  readonly events: EventStream<DecisionEnvelope>;
  readonly cluster: ClusterView;
  readonly registry: WorkerRegistry;
  readonly listening: ListeningPeriod;
  readonly leadership: Leadership;
  readonly recorder: EventRecorder;
  readonly metrics: DecisionMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}
