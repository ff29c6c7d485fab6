import {
  GROUP,
  SHARD_CONFIG_PLURAL,
  SHARD_INSTANCE_PLURAL,
  shardInstanceName,
  VERSION,
} from '@shard-controller/shared/api';
import {
  isNotFound,
  type KubernetesClient,
  type KubernetesObject,
  resourcePath,
} from '@shard-controller/shared/kubernetes';
import { type ConfigIdentity, metricsServiceName, statefulSetName } from '../naming/index.ts';
import { belonging } from './ownership.ts';

/** Finalizer of `--cascade=orphan`: the garbage collector takes the owner references away, and the workers stay. */
const ORPHAN_FINALIZER = 'orphan';
/** Finalizer of `--cascade=foreground`: the ShardConfig stays until everything that it owns is gone. */
const FOREGROUND_FINALIZER = 'foregroundDeletion';

export interface TeardownOptions {
  readonly client: Pick<KubernetesClient, 'delete' | 'find' | 'list'>;
  /** Whether this manager leads at the moment of the call. */
  readonly leads: () => boolean;
}

/**
 * Deletes what a deleted ShardConfig owns. The garbage collector does the same, but learns of a custom resource's
 * deletion only after it has discovered the definition: up to 30 s after that was made, it deletes nothing
 * (`GarbageCollector.Sync` of kube-controller-manager).
 *
 * @returns false while the ShardConfig is still there because of a finalizer of another controller: ask again.
 * @throws KubernetesError when an object cannot be read or deleted
 */
export async function teardown(
  { client, leads }: TeardownOptions,
  config: ConfigIdentity,
  shardIds: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = config;
  const collection = resourcePath({ group: GROUP, version: VERSION, resource: SHARD_CONFIG_PLURAL, namespace });
  // Not by name: 404 would also be the answer of an API server that does not serve the definition (yet).
  const query = { fieldSelector: `metadata.name=${name}` };
  const { items } = await client.list<KubernetesObject>(collection, { query, signal });
  const present = items.find(({ metadata }) => metadata?.uid === config.uid);
  if (present !== undefined) {
    const finalizers = present.metadata?.finalizers ?? [];
    if (finalizers.includes(ORPHAN_FINALIZER)) return true;
    if (!finalizers.includes(FOREGROUND_FINALIZER)) return false;
  }
  const owned = ownedPaths(config, shardIds);
  const results = await Promise.allSettled(
    owned.map(async (objectPath) => {
      const object = await client.find<KubernetesObject>(objectPath, { signal });
      const uid = object?.metadata?.uid;
      if (uid === undefined || object?.metadata?.deletionTimestamp !== undefined) return;
      if (belonging(object?.metadata, config) !== 'ours') return;
      await client.delete(objectPath, { preconditions: { uid }, signal, maySend: leads });
    }),
  );
  for (const result of results) if (result.status === 'rejected' && !isNotFound(result.reason)) throw result.reason;
  return true;
}

/** Paths of all objects that are made for a ShardConfig; the StatefulSets first: with them go the pods. */
function ownedPaths({ namespace, name }: ConfigIdentity, shardIds: readonly string[]): readonly string[] {
  const roles = ['a', 'b', 'surge'] as const;
  const instance = { group: GROUP, version: VERSION, resource: SHARD_INSTANCE_PLURAL, namespace };
  return [
    ...roles.map((role) =>
      resourcePath({
        group: 'apps',
        version: 'v1',
        resource: 'statefulsets',
        namespace,
        name: statefulSetName(name, role),
      }),
    ),
    ...shardIds.map((shardId) => resourcePath({ ...instance, name: shardInstanceName(name, shardId) })),
    resourcePath({ group: '', version: 'v1', resource: 'services', namespace, name: metricsServiceName(name) }),
    resourcePath({ group: 'policy', version: 'v1', resource: 'poddisruptionbudgets', namespace, name }),
  ];
}
