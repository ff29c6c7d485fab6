import { describe, expect, it } from 'vitest';
import { parseShardConfig, parseShardInstance } from './parse.ts';

const metadata = { name: 'demo', namespace: 'monitoring', uid: 'u-1', resourceVersion: '7' };
const config = (spec: unknown, more: Readonly<Record<string, unknown>> = {}) => ({
  apiVersion: 'shard.io/v1',
  kind: 'ShardConfig',
  metadata: { ...metadata, ...more },
  spec,
});

const problems = (raw: unknown): readonly string[] => {
  const parsed = parseShardConfig(raw);
  return parsed.ok ? [] : parsed.problems;
};

describe('parseShardConfig', () => {
  it('fills in the defaults', () => {
    expect(parseShardConfig(config({}))).toMatchObject({
      ok: true,
      value: {
        spec: {
          mode: 'Auto',
          minShards: 2,
          maxShards: 10,
          scaleUpThreshold: 0.8,
          scaleDownThreshold: 0.3,
          loadBalanceStrategy: 'consistent-hash',
          healthCheckInterval: '2s',
          slots: 256,
          shardBy: 'uid',
          handover: { scraperTTL: '5m', maxOverlap: '2m' },
          terminationGracePeriodSeconds: 180,
        },
      },
    });
  });

  it('takes the fields that a first ShardConfig would have', () => {
    const spec = {
      minShards: 2,
      maxShards: 10,
      scaleUpThreshold: 0.8,
      scaleDownThreshold: 0.3,
      loadBalanceStrategy: 'consistent-hash',
      healthCheckInterval: '30s',
      resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { cpu: '500m', memory: '512Mi' } },
    };
    expect(parseShardConfig(config(spec))).toMatchObject({ ok: true, value: { spec } });
  });

  it('keeps metadata that it does not know, and passes an affinity through as it is', () => {
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone' }] } };
    const parsed = parseShardConfig(config({ affinity }, { managedFields: [{ manager: 'kubectl' }] }));
    expect(parsed).toMatchObject({
      ok: true,
      value: { metadata: { managedFields: [{ manager: 'kubectl' }] }, spec: { affinity } },
    });
  });

  it('lists everything that is wrong, with the path', () => {
    const found = problems(config({ minShards: 0, loadBalanceStrategy: 'random', exporter: { resources: ['Pods'] } }));
    expect(found).toHaveLength(3);
    expect(found).toContainEqual(expect.stringMatching(/^spec\.minShards: /));
    expect(found).toContainEqual(expect.stringMatching(/^spec\.loadBalanceStrategy: .*consistent-hash/));
    expect(found).toContainEqual(expect.stringMatching(/^spec\.exporter\.resources\[0\]: /));
  });

  it.each([
    [{ minShards: 5, maxShards: 4 }, 'spec.minShards: minShards must not be above maxShards'],
    [
      { healthCheckInterval: '1h' },
      'spec.healthCheckInterval: must be a duration from 500ms to 5m, like 500ms, 30s or 5m',
    ],
    [{ slots: 100 }, 'spec.slots: must be a power of two'],
    [
      { exporter: { customResourceState: 'spec: [' } },
      expect.stringMatching(/^spec\.exporter\.customResourceState: is not YAML: /),
    ],
    [{ mode: 'Manual' }, 'spec.mode: mode Manual needs shards: set the number of shards'],
  ])('checks the rules again that the API server checks: %j', (spec, problem) => {
    expect(problems(config(spec))).toContainEqual(problem);
  });

  it.each([undefined, null, 7, 'text', [], {}, { spec: null }, { metadata: 1, spec: [] }])(
    'never throws, whatever comes in: %j',
    (raw) => {
      expect(problems(raw).length).toBeGreaterThan(0);
      expect(parseShardInstance(raw).ok).toBe(false);
    },
  );
});

describe('parseShardInstance', () => {
  it('takes missing ranges for empty ones', () => {
    const raw = {
      apiVersion: 'shard.io/v1',
      kind: 'ShardInstance',
      metadata: { ...metadata, name: 'demo-shard-000' },
      spec: {
        shardConfigRef: { name: 'demo', uid: 'u-1' },
        shardId: 'shard-000',
        generation: 1,
        epoch: 3,
        slotCount: 256,
        shardBy: 'uid',
      },
    };
    expect(parseShardInstance(raw)).toMatchObject({
      ok: true,
      value: { spec: { hashRanges: [], warmRanges: [], releaseRanges: [] } },
    });
  });
});
