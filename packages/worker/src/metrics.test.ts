import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reflectorMetrics } from '@shard-controller/shared/kubernetes';
import { createMetrics } from '@shard-controller/shared/observability';
import { expect, it } from 'vitest';
import { dataPlaneMetrics, workerMetrics } from './metrics.ts';
import { dataPlaneStatus, feedReport, snapshotOver, unavailableKind } from './testing/fixtures.ts';

it('shows state as it is at the scrape, and counts what happened', async () => {
  const metrics = createMetrics();
  let snapshot = snapshotOver();
  let feeds = [
    feedReport(),
    feedReport({ feed: '/api/v1/namespaces/x/pods', proofAgeMs: 30_000, queuedBytes: 7, queuedFrames: 1 }),
    feedReport({ feed: '/api/v1/nodes', resource: 'nodes' }),
  ];
  const counts = workerMetrics(metrics, {
    snapshot: () => snapshot,
    feeds: () => feeds,
    totals: () => ({ churn: 12.5 }),
    mismatches: () => new Map([['pods', -1]]),
    natsConnected: () => true,
    isolated: () => false,
  });
  const data = dataPlaneMetrics(metrics);
  counts.scrape('complete', 0.1);
  counts.scrape('not_open', 2);
  counts.offer('nats', 'refused');
  data.frames('pods', 5, 2);
  data.bytes?.('pods', 5000, 2000);
  data.relist('pods', 'gone');
  data.exporterRequest?.('pods');
  const before = await metrics.text();
  for (const line of [
    'shard_controller_worker_objects{resource="pods"} 20',
    'shard_controller_worker_assignment_epoch 10',
    'shard_controller_worker_gateway_open 1',
    'shard_controller_worker_nats_connected 1',
    'shard_controller_worker_isolated 0',
    'shard_controller_worker_scrapes_total{outcome="complete"} 1',
    'shard_controller_worker_scrapes_total{outcome="not_open"} 1',
    'shard_controller_worker_assignments_total{source="nats",verdict="refused"} 1',
    'shard_controller_worker_frames_total{resource="pods",direction="kept"} 2',
    'shard_controller_worker_bytes_total{resource="pods",direction="received"} 5000',
    'shard_controller_worker_feed_proof_age_seconds{resource="pods"} 30',
    'shard_controller_worker_feed_silence_seconds{resource="nodes"} 1.5',
    'shard_controller_worker_objects_known{resource="pods"} 120',
    'shard_controller_worker_object_bytes{resource="pods"} 40000',
    'shard_controller_worker_feed_queue_frames{resource="pods"} 1',
    'shard_controller_worker_feed_queue_bytes{resource="pods"} 7',
    'shard_controller_worker_feeds_stale 0',
    'shard_controller_worker_churn_bytes_per_second 12.5',
    'shard_controller_worker_exposition_mismatch{resource="pods"} -1',
    'shard_controller_worker_relists_total{resource="pods",cause="gone"} 1',
    'shard_controller_worker_exporter_requests_total{resource="pods"} 1',
  ]) {
    expect(before.split('\n')).toContain(line);
  }
  snapshot = snapshotOver({
    gateway: { state: 'warming', reason: 'x', open: false },
    assignment: undefined,
    dataPlane: dataPlaneStatus({
      staleFeeds: ['/api/v1/pods', '/api/v1/nodes'],
      unavailable: [unavailableKind('secrets', 'secrets is forbidden')],
    }),
  });
  feeds = [];
  const after = await metrics.text();
  expect(after).toContain('shard_controller_worker_gateway_open 0\n');
  expect(after).toContain('shard_controller_worker_assignment_epoch 0\n');
  expect(after).toContain('shard_controller_worker_feeds_stale 2\n');
  expect(after).toContain('shard_controller_worker_kind_unavailable{resource="secrets"} 1\n');
  expect(before).not.toContain('kind_unavailable{');
  expect(after).not.toContain('feed_proof_age_seconds{');
});

it('has no more than 200 values of the label resource, whatever paths the exporter asks for', async () => {
  const metrics = createMetrics();
  const data = dataPlaneMetrics(metrics);
  for (let i = 0; i < 500; i++) {
    data.relist('pods', `cause ${i}`);
    data.bytes?.(`kind${i}`, 1, 1);
  }
  const text = await metrics.text();
  const labels = (pattern: RegExp): number => new Set([...text.matchAll(pattern)].map(([, value]) => value)).size;
  expect(labels(/bytes_total\{resource="([^"]+)"/g)).toBe(200);
  expect(text).toContain('bytes_total{resource="other",direction="kept"} 301');
  expect(labels(/relists_total\{resource="pods",cause="([^"]+)"/g)).toBe(41);
});

it('is described, metric by metric, in docs/reference/metrics.md', () => {
  const metrics = createMetrics();
  const unread = (): never => expect.unreachable('only a scrape reads values');
  workerMetrics(metrics, {
    snapshot: unread,
    feeds: unread,
    totals: unread,
    mismatches: unread,
    natsConnected: unread,
    isolated: unread,
  });
  dataPlaneMetrics(metrics);
  reflectorMetrics(metrics.registry, 'shardinstances.shard.io');
  const page = readFileSync(join(import.meta.dirname, '../../../docs/reference/metrics.md'), 'utf8');
  const rows = page.split('\n').filter((line) => /^\| `shard_controller_(worker|reflector)_/.test(line));
  expect(rows.filter((row) => row.split('|').length === 6)).toEqual(metrics.describe());
});
