import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { allowedUnavailability, distributionOf, minAvailable } from './disruption.ts';
import { scaleOf } from './testing/scales.ts';

const shardingOf = (fields: NonNullable<NonNullable<KsmScaleSpecInput>['sharding']>) => {
  const { sharding } = scaleOf({ sharding: { enabled: true, ...fields } }).spec;
  if (sharding === undefined) throw new Error('no sharding');
  return sharding;
};

describe('allowed unavailability', () => {
  it.each([
    [undefined, 3, 1],
    [1, 3, 1],
    [2, 7, 2],
    [3, 3, 2],
    [5, 3, 2],
    [2, 2, 1],
    [1, 1, 1],
  ])('%s of %i shards: %i', (maxUnavailable, totalShards, allowed) => {
    expect(allowedUnavailability(maxUnavailable, totalShards)).toBe(allowed);
  });

  it('is none when 0 is said, and one when nothing is', () => {
    expect([allowedUnavailability(0, 3), allowedUnavailability(undefined, 3)]).toEqual([0, 1]);
  });
});

describe('pods that evictions must leave', () => {
  it.each([
    [{}, 3, 5, 4],
    [{ distribution: { maxUnavailable: 2 } }, 7, 20, 18],
    [{ distribution: { maxUnavailable: 0 } }, 3, 5, 5],
    [{ distribution: { maxUnavailable: 9 } }, 3, 5, 3],
    [{ advanced: { minAvailable: 2 } }, 3, 3, 2],
    [{ advanced: { minAvailable: 0 } }, 3, 3, 1],
    [{ advanced: { minAvailable: 9 } }, 3, 3, 3],
    [{ advanced: { minAvailable: 2 }, distribution: { maxUnavailable: 1 } }, 3, 5, 4],
    [{ advanced: { minAvailable: 2 }, distribution: { enablePDB: true } }, 3, 5, 2],
  ])('%j, %i shards, %i pods: %i', (fields, totalShards, pods, left) => {
    expect(minAvailable(shardingOf(fields), totalShards, pods)).toBe(left);
  });
});

describe('distribution', () => {
  it('is on without a word, and where only the older block speaks', () => {
    const all = { spreadAcrossNodes: true, spreadAcrossZones: true, enablePDB: true };
    expect(distributionOf(shardingOf({}))).toEqual(all);
    expect(distributionOf(shardingOf({ advanced: {} }))).toEqual(all);
    expect(distributionOf(shardingOf({ advanced: { enablePDB: false } })).enablePDB).toBe(false);
    const both = { advanced: { enablePDB: false, spreadAcrossNodes: false }, distribution: { enablePDB: true } };
    expect(distributionOf(shardingOf(both))).toEqual({ ...all, spreadAcrossNodes: false });
  });
});
