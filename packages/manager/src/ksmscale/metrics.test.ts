import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMetrics } from '@shard-controller/shared/observability';
import { expect, test } from 'vitest';
import { KsmScaleMetrics } from './metrics.ts';

test('the metrics of KSMScales are described, one by one, in docs/reference/metrics.md', () => {
  const metrics = createMetrics();
  const _registered = new KsmScaleMetrics(metrics);
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/reference/metrics.md'), 'utf8');
  expect(page.split('\n').filter((line) => line.startsWith('| `ksmscale_'))).toEqual(metrics.describe());
});

test('without sharding there are no series of shards', async () => {
  const metrics = createMetrics();
  const shown = new KsmScaleMetrics(metrics);
  const shardingStatus = {
    mode: 'Replicated',
    totalShards: 3,
    activeShards: 2,
    configuredShards: 3,
    coveragePercent: 66.7,
    missingShards: [2],
    shardDistribution: {},
    shardHealth: [],
    warning: '',
  };
  shown.show('a', { nodeCount: 75, desiredReplicas: 5, currentReplicas: 4, shardingStatus });
  expect(await metrics.text()).toContain('ksmscale_shards_active{ksmscale="a"} 2');
  shown.show('a', { nodeCount: 75, desiredReplicas: 5, currentReplicas: 5 });
  const text = await metrics.text();
  expect(text).toContain('ksmscale_current_replicas{ksmscale="a"} 5');
  expect(text).not.toContain('ksmscale_shards_active{');
});
