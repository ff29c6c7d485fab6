/** What `make up` leaves running, inside the namespace: the cluster, a fleet and something for it to export. */
import { setTimeout as sleep } from 'node:timers/promises';
import { resourcePath } from '@shard-controller/shared/kubernetes';
import { z } from 'zod';
import { type Cluster, startCluster } from '../cluster/index.ts';
import { install } from '../install/index.ts';
import { CUSTOM_GROUP, CUSTOM_RESOURCE_STATE, LABELS_ALLOWLIST, Workload } from '../workload/index.ts';
import { KUBECONFIG, LOGS, writeReady } from './folder.ts';
import { CONFIG, NAMESPACE } from './names.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const SHARDS = 2;

async function populate(cluster: Cluster): Promise<void> {
  const names = Array.from({ length: 6 }, (_, index) => `process-node-${index + 1}`);
  await Promise.all(
    names.map((name, index) =>
      cluster.addNode(name, { labels: { 'topology.kubernetes.io/zone': `zone-${index % 3}` } }),
    ),
  );
  const workload = new Workload({ client: cluster.admin, seed: 1, pods: 300, nodes: 5, namespaces: 3 });
  await workload.define();
  await install(cluster.admin, {
    namespace: NAMESPACE,
    nats: cluster.nats,
    customResources: [{ group: CUSTOM_GROUP, resources: ['widgets'] }],
    ksmScale: true,
  });
  await workload.populate();
  const object = {
    apiVersion: 'shard.io/v1',
    kind: 'ShardConfig',
    metadata: { name: CONFIG, namespace: NAMESPACE },
    spec: {
      mode: 'Manual',
      shards: SHARDS,
      minShards: 1,
      maxShards: 4,
      exporter: { labelsAllowlist: LABELS_ALLOWLIST, customResourceState: CUSTOM_RESOURCE_STATE },
    },
  };
  await cluster.admin.apply({ object, fieldManager: 'playground' });
}

const configSchema = z.looseObject({ status: z.looseObject({ readyShards: z.int().optional() }).optional() });

/** False if the fleet is not complete after a minute: the cluster is of use all the same. */
async function areShardsReady(cluster: Cluster): Promise<boolean> {
  const path = resourcePath({
    group: 'shard.io',
    version: 'v1',
    resource: 'shardconfigs',
    namespace: NAMESPACE,
    name: CONFIG,
  });
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const { status } = configSchema.parse(await cluster.admin.get(path));
    if (status?.readyShards === SHARDS) return true;
    await sleep(200);
  }
  return false;
}

const ending = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
});

const cluster = await startCluster({ logFolder: LOGS });
try {
  const { server } = await cluster.writeOutsideKubeconfig(KUBECONFIG);
  await populate(cluster);
  const metrics = await cluster.exposeMetrics({
    namespace: NAMESPACE,
    selector: `shard.io/config=${CONFIG}`,
    port: 8080,
  });
  writeReady({ server, metrics: metrics.url, shardsReady: await areShardsReady(cluster) });
  say('ready');
  // Nothing else may keep the process alive, and a pending promise does not.
  const alive = setInterval(() => undefined, 60_000);
  await ending;
  clearInterval(alive);
} finally {
  await cluster.stop();
}
