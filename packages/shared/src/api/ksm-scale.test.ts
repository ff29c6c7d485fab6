import { describe, expect, it } from 'vitest';
import { parseKsmScale } from './index.ts';

const object = (spec: unknown) => ({
  apiVersion: 'monitor.example.com/v1alpha1',
  kind: 'KSMScale',
  metadata: { name: 'example', uid: 'u', resourceVersion: '1' },
  ...(spec === undefined ? {} : { spec }),
});

const specOf = (spec: unknown) => {
  const parsed = parseKsmScale(object(spec));
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.value.spec;
};

describe('parseKsmScale', () => {
  it('fills in the defaults, without a spec as well', () => {
    const defaults = {
      nodesPerMonitor: 15,
      monitorImage: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.10.1',
      namespace: 'monitoring',
    };
    expect(specOf(undefined)).toEqual(defaults);
    expect(specOf({})).toEqual(defaults);
    expect(specOf({ sharding: {} }).sharding).toEqual({
      enabled: false,
      mode: 'Replicated',
      strategy: 'manual',
      servicePerShard: false,
    });
  });

  it('reads a stored 0 or empty text as nothing said', () => {
    const stored = { nodesPerMonitor: 0, monitorImage: '', namespace: '' };
    const sharding = { enabled: true, shardCount: 0, minReplicasPerShard: 0, maxReplicasPerShard: 0, strategy: '' };
    expect(specOf({ ...stored, sharding: { ...sharding, advanced: { minAvailable: 0 } } })).toEqual(
      specOf({ sharding: { enabled: true, advanced: {} } }),
    );
  });

  it('keeps a 0 that says something', () => {
    const { replicas, sharding } = specOf({ replicas: 0, sharding: { distribution: { maxUnavailable: 0 } } });
    expect({ replicas, maxUnavailable: sharding?.distribution?.maxUnavailable }).toEqual({
      replicas: 0,
      maxUnavailable: 0,
    });
  });

  it('names the modes of a field that the mode at hand does not use', () => {
    expect(parseKsmScale(object({ sharding: { enabled: true, mode: 'Groups', shardCount: 3 } }))).toEqual({
      ok: false,
      problems: [
        'spec.sharding.shardCount: shardCount is a field of modes Replicated and Fixed: remove it, or set sharding.mode',
      ],
    });
  });

  it.each([undefined, null, 7, 'text', [], { spec: [] }, { spec: { sharding: 'x' } }])('never throws: %j', (raw) => {
    expect(parseKsmScale(raw).ok).toBe(false);
  });
});
