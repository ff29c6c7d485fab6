import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import { FIELD_MANAGER, RETRIED_ANNOTATION } from '../naming/index.ts';

export interface StatefulSetRetryOptions {
  readonly client: Pick<KubernetesClient, 'patch'>;
  readonly clock: Clock;
  /** Whether this manager leads at the moment of the call. */
  readonly leads: () => boolean;
  readonly namespace: string;
}

/** Ends the wait of a StatefulSet's controller after a refused pod: any change of the StatefulSet does. */
export async function retryStatefulSet(
  { client, clock, leads, namespace }: StatefulSetRetryOptions,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  if (!leads()) return;
  const path = resourcePath({ group: 'apps', version: 'v1', resource: 'statefulsets', namespace, name });
  const annotations = { [RETRIED_ANNOTATION]: new Date(clock.now()).toISOString() };
  const query = { fieldManager: `${FIELD_MANAGER}-retry` };
  await client.patch(path, { metadata: { annotations } }, { query, signal });
}
