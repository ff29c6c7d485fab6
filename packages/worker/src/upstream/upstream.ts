import type { KubernetesClient } from '@shard-controller/shared/kubernetes';

/** The way to the API server: the pooled client, or a scripted one in tests. */
export type Upstream = Pick<KubernetesClient, 'stream'>;
