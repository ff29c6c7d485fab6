import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { layoutOf } from './layout.ts';
import { roundRobin } from './places.ts';
import { scaleOf } from './testing/scales.ts';

const layout = (spec: KsmScaleSpecInput, nodes: number, reached?: number) =>
  layoutOf(scaleOf(spec).spec, nodes, reached);

/** Pods of each shard when `pods` of them are dealt round-robin. */
const dealt = (pods: number, shards: number): readonly number[] =>
  Array.from(
    { length: shards },
    (_, shard) =>
      Array.from({ length: pods }, (_each, index) => roundRobin(index, shards)).filter((one) => one.shard === shard)
        .length,
  );

describe('without sharding', () => {
  it.each([
    [0, 15, 0],
    [1, 15, 1],
    [4, 15, 1],
    [10, 15, 1],
    [15, 15, 1],
    [16, 15, 2],
    [30, 15, 2],
    [31, 15, 3],
    [45, 15, 3],
    [46, 15, 4],
    [60, 15, 4],
    [75, 15, 5],
    [90, 15, 6],
    [300, 15, 20],
    [1000, 15, 67],
    [5000, 15, 334],
    [20, 30, 1],
    [9, 9, 1],
    [10, 9, 2],
    [100, 0, 7],
  ])('%i nodes, one pod for %i of them: %i pods', (nodes, nodesPerMonitor, pods) => {
    expect(layout({ nodesPerMonitor }, nodes)).toMatchObject({ desiredPods: pods, totalShards: undefined });
  });

  it('takes the wanted number instead of the nodes', () => {
    expect(layout({ replicas: 4 }, 300).desiredPods).toBe(4);
    expect(layout({ replicas: 0 }, 300).desiredPods).toBe(0);
  });
});

describe('mode Replicated', () => {
  it.each([
    [0, 15, 3, 1, 0, 0, 3, [1, 1, 1]],
    [4, 15, 3, 1, 0, 1, 3, [1, 1, 1]],
    [10, 15, 3, 1, 0, 1, 3, [1, 1, 1]],
    [15, 15, 3, 1, 0, 1, 3, [1, 1, 1]],
    [45, 15, 3, 1, 0, 3, 3, [1, 1, 1]],
    [60, 15, 3, 1, 0, 4, 4, [2, 1, 1]],
    [75, 15, 3, 1, 0, 5, 5, [2, 2, 1]],
    [90, 15, 3, 1, 0, 6, 6, [2, 2, 2]],
    [105, 15, 3, 1, 0, 7, 7, [3, 2, 2]],
    [75, 15, 3, 1, 4, 5, 5, [2, 2, 1]],
    [200, 15, 3, 1, 4, 14, 12, [4, 4, 4]],
    [300, 15, 5, 1, 5, 20, 20, [4, 4, 4, 4, 4]],
    [400, 15, 5, 1, 5, 27, 25, [5, 5, 5, 5, 5]],
    [10, 15, 3, 2, 0, 1, 6, [2, 2, 2]],
    [1000, 15, 10, 1, 0, 67, 67, [7, 7, 7, 7, 7, 7, 7, 6, 6, 6]],
    [10, 15, 3, 0, 0, 1, 3, [1, 1, 1]],
  ])(
    '%i nodes / %i, %i shards, %i to %i replicas: %i calculated, %i pods',
    (nodes, ratio, shards, min, max, calculated, pods, each) => {
      const sharding = { enabled: true, shardCount: shards, minReplicasPerShard: min, maxReplicasPerShard: max };
      const { calculatedPods, desiredPods } = layout({ nodesPerMonitor: ratio, sharding }, nodes);
      expect({ calculatedPods, desiredPods }).toEqual({ calculatedPods: calculated, desiredPods: pods });
      expect(dealt(desiredPods, shards)).toEqual(each);
    },
  );

  it('says which bound held', () => {
    const held = (nodes: number) =>
      layout({ sharding: { enabled: true, shardCount: 3, maxReplicasPerShard: 4 } }, nodes).held;
    expect([held(10), held(75), held(200)]).toEqual(['Minimum', undefined, 'Maximum']);
  });

  it('is refused with a maximum below the minimum', () => {
    const sharding = { enabled: true, shardCount: 3, minReplicasPerShard: 3, maxReplicasPerShard: 2 };
    expect(() => scaleOf({ sharding })).toThrow('maxReplicasPerShard must be 0, for no limit, or not below');
  });

  it('has 3 shards unless something else is said', () => {
    expect(layout({ sharding: { enabled: true } }, 10)).toMatchObject({ totalShards: 3, desiredPods: 3 });
  });
});

describe('pod index to shard and replica', () => {
  it('goes round the shards', () => {
    const places = Array.from({ length: 7 }, (_, index) => roundRobin(index, 3));
    expect(places.map(({ shard, replica }) => `${shard}/${replica}`)).toEqual([
      '0/0',
      '1/0',
      '2/0',
      '0/1',
      '1/1',
      '2/1',
      '0/2',
    ]);
    expect(Object.fromEntries(Array.from({ length: 5 }, (_, index) => [index, roundRobin(index, 3).shard]))).toEqual({
      0: 0,
      1: 1,
      2: 2,
      3: 0,
      4: 1,
    });
  });
});

describe('mode Fixed', () => {
  it.each([
    [10, 3, 3],
    [75, 3, 3],
    [300, 7, 7],
  ])('%i nodes, %i shards: %i pods', (nodes, shardCount, pods) => {
    expect(layout({ sharding: { enabled: true, mode: 'Fixed', shardCount } }, nodes)).toMatchObject({
      totalShards: pods,
      desiredPods: pods,
    });
  });

  it('keeps minimumShards', () => {
    expect(
      layout({ sharding: { enabled: true, mode: 'Fixed', shardCount: 2, minimumShards: 4 } }, 10).desiredPods,
    ).toBe(4);
  });
});

describe('mode Expandable', () => {
  it.each([
    [10, 15, 3, true, 3],
    [45, 15, 3, true, 3],
    [60, 15, 3, true, 4],
    [60, 15, 3, false, 3],
    [60, 15, 0, true, 4],
    [300, 15, 5, true, 20],
    [100, 0, 3, true, 7],
  ])('%i nodes / %i, base %i, expansion %s: %i shards and pods', (nodes, nodesPerMonitor, base, expand, pods) => {
    const sharding = {
      enabled: true,
      mode: 'Expandable',
      baseShardCount: base,
      allowDynamicExpansion: expand,
    } as const;
    expect(layout({ nodesPerMonitor, sharding }, nodes)).toMatchObject({ totalShards: pods, desiredPods: pods });
  });

  it.each([
    [true, 6],
    [false, 4],
  ])('preventContraction %s: 6 shards reached, 4 asked for, %i kept', (preventContraction, pods) => {
    const sharding = { enabled: true, mode: 'Expandable', allowDynamicExpansion: true, preventContraction } as const;
    expect(layout({ sharding }, 60, 6).desiredPods).toBe(pods);
  });
});

describe('mode Groups', () => {
  const groups = (fields: object) =>
    ({ sharding: { enabled: true, mode: 'Groups', shardGroups: 3, ...fields } }) as const;

  it('fixed: the same number of pods in each group', () => {
    expect(layout(groups({ minReplicasPerGroup: 2 }), 300)).toMatchObject({ totalShards: 3, desiredPods: 6 });
    expect(layout(groups({}), 300).desiredPods).toBe(3);
  });

  it('dynamic: pods by nodes, dealt over the groups, never fewer than the minimum', () => {
    const dynamic = groups({ scalingStrategy: 'dynamic', nodesPerReplica: 15 });
    expect(layout(dynamic, 75).desiredPods).toBe(5);
    expect(dealt(5, 3)).toEqual([2, 2, 1]);
    expect(layout(groups({ scalingStrategy: 'dynamic', minReplicasPerGroup: 2 }), 75).desiredPods).toBe(6);
  });
});

describe('mode Partial', () => {
  const partial = (fields: object) =>
    ({ sharding: { enabled: true, mode: 'Partial', maxShards: 3, ...fields } }) as const;

  it.each([
    [{}, 10, 3],
    [{ acceptIncompleteBelowNodes: 30 }, 10, 1],
    [{ acceptIncompleteBelowNodes: 30 }, 29, 2],
    [{ acceptIncompleteBelowNodes: 30 }, 30, 3],
    [{ acceptIncompleteBelowNodes: 30, minCoveragePercent: 60 }, 10, 2],
    [{ acceptIncompleteBelowNodes: 30, minCoveragePercent: 67 }, 10, 3],
  ])('%j, %i nodes: %i of 3 shards have a pod', (fields, nodes, served) => {
    expect(layout(partial(fields), nodes)).toMatchObject({ totalShards: 3, servedShards: served, desiredPods: served });
  });
});
