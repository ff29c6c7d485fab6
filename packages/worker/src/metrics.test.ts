import { createMetrics } from '@shard-controller/shared/observability';
import { expect, it } from 'vitest';
import { dataPlaneMetrics, workerMetrics } from './metrics.ts';
import { snapshotOver } from './testing/facts.ts';

it('shows state as it is at the scrape, and counts what happened', async () => {
  const metrics = createMetrics();
  let snapshot = snapshotOver();
  const counts = workerMetrics(metrics, {
    snapshot: () => snapshot,
    natsConnected: () => true,
    isolated: () => false,
  });
  const data = dataPlaneMetrics(metrics);
  counts.scrape('complete', 0.1);
  counts.scrape('not_open', 2);
  counts.offer('nats', 'refused');
  data.frames('pods', 5, 2);
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
    'shard_controller_worker_relists_total{resource="pods",cause="gone"} 1',
    'shard_controller_worker_exporter_requests_total{resource="pods"} 1',
  ]) {
    expect(before.split('\n')).toContain(line);
  }
  snapshot = snapshotOver({ gateway: { state: 'warming', reason: 'x', open: false }, assignment: undefined });
  const after = await metrics.text();
  expect(after).toContain('shard_controller_worker_gateway_open 0\n');
  expect(after).toContain('shard_controller_worker_assignment_epoch 0\n');
});
