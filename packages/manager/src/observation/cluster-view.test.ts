import { KubernetesClient, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { FakeApiServer } from '@shard-controller/shared/kubernetes/testing';
import { createLogger } from '@shard-controller/shared/observability';
import { systemClock } from '@shard-controller/shared/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClusterView } from './cluster-view.ts';

const CONFIGS = '/apis/shard.io/v1/namespaces/monitoring/shardconfigs';
const logger = createLogger({ name: 'test', level: 'silent' });

describe('a ShardConfig that never was valid', () => {
  let server: FakeApiServer;
  let client: KubernetesClient;
  let view: ClusterView;
  const told: string[] = [];
  const ended = new AbortController();

  beforeEach(async () => {
    server = await FakeApiServer.start();
    const { url, serving } = server;
    client = new KubernetesClient({
      endpoint: staticEndpoint({ server: url, ca: serving.certificate, token: 'token' }),
      logger,
      userAgent: 'test',
    });
    view = new ClusterView({
      client,
      namespace: 'monitoring',
      logger,
      clock: systemClock,
      handler: {
        configChanged: ({ metadata }) => void told.push(`changed ${metadata.name}`),
        configInvalid: ({ name }) => void told.push(`invalid ${name}`),
        configRemoved: (uid) => void told.push(`removed ${uid}`),
        objectsChanged: () => undefined,
      },
    });
    void view.run(ended.signal);
    await view.synced;
  });

  afterEach(async () => {
    ended.abort();
    await client.close();
    await server.stop();
  });

  it('is forgotten when it is deleted', async () => {
    const configs = server.store(CONFIGS);
    configs.put('bad', {
      apiVersion: 'shard.io/v1',
      kind: 'ShardConfig',
      metadata: { name: 'bad', namespace: 'monitoring', generation: 1 },
      spec: { exporter: { customResourceState: 'a: [b' } },
    });
    await expect.poll(() => told).toEqual(['invalid bad']);
    const [invalid] = view.invalidConfigs;
    configs.delete('bad');
    await expect.poll(() => told).toEqual(['invalid bad', `removed ${invalid?.uid}`]);
    expect(view.invalidConfigs).toEqual([]);
  });
});
