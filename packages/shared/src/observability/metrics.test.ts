import { register } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createMetrics, MetricError } from './metrics.ts';

describe('createMetrics', () => {
  it('exposes counters, gauges and histograms of its own registry only', async () => {
    const metrics = createMetrics();
    metrics
      .counter({ name: 'shard_controller_frames_total', help: 'Frames.', labelNames: ['kind'] })
      .inc({ kind: 'a' });
    metrics.gauge({ name: 'shard_controller_shards_total', help: 'Shards.' }).set(3);
    metrics.histogram({ name: 'shard_controller_wait_seconds', help: 'Wait.', buckets: [1] }).observe(0.5);
    const text = await metrics.text();
    expect(text).toContain('shard_controller_frames_total{kind="a"} 1');
    expect(text).toContain('shard_controller_shards_total 3');
    expect(text).toContain('shard_controller_wait_seconds_bucket{le="1"} 1');
    expect(metrics.contentType).toContain('text/plain');
    expect(await register.metrics()).not.toContain('shard_controller');
    expect(await createMetrics().text()).not.toContain('shard_controller');
  });

  it.each([
    ['another prefix', 'worker_frames_total', 'Frames.'],
    ['a dash', 'shard_controller_frames-total', 'Frames.'],
    ['no help', 'shard_controller_frames_total', ' '],
  ])('refuses a metric with %s', (_what, name, help) => {
    expect(() => createMetrics().gauge({ name, help })).toThrow(MetricError);
    expect(() => createMetrics().histogram({ name, help })).toThrow(MetricError);
    expect(() => createMetrics().counter({ name, help })).toThrow(MetricError);
  });

  it('refuses a counter that does not say so', () => {
    expect(() => createMetrics().counter({ name: 'shard_controller_frames', help: 'Frames.' })).toThrow('_total');
  });

  it('refuses a name that is taken, and names it', () => {
    const metrics = createMetrics();
    metrics.gauge({ name: 'shard_controller_load', help: 'Load.' });
    expect(() => metrics.gauge({ name: 'shard_controller_load', help: 'Load.' })).toThrow('shard_controller_load');
  });

  it('adds figures of the process when asked', async () => {
    const metrics = createMetrics();
    expect(await metrics.text()).not.toContain('process_resident_memory_bytes');
    metrics.collectProcessMetrics();
    expect(await metrics.text()).toContain('process_resident_memory_bytes');
  });
});
