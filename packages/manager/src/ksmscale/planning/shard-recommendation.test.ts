import { describe, expect, it } from 'vitest';
import { coveragePercent, recommendedShards, shardingEfficiency } from './shard-recommendation.ts';

describe('recommended shards', () => {
  it.each([
    [0, 1],
    [29, 1],
    [30, 2],
    [59, 2],
    [60, 3],
    [119, 3],
    [120, 5],
    [199, 5],
    [200, 7],
    [399, 7],
    [400, 10],
    [999, 10],
    [1000, 10],
    [5000, 10],
  ])('%i nodes: %i', (nodes, shards) => {
    expect(recommendedShards(nodes)).toBe(shards);
  });
});

describe('efficiency', () => {
  it.each([
    [30, 5, '6.0', 2],
    [49, 5, '9.8', 2],
    [37, 4, '9.3', 2],
  ])('%i nodes, %i shards: too many', (nodes, shards, quotient, recommended) => {
    expect(shardingEfficiency(nodes, shards)).toEqual({
      kind: 'OverSharded',
      recommended,
      warning: `Over-sharded: ${shards} shards for ${nodes} nodes (${quotient} nodes/shard). Consider reducing to ${recommended} shards.`,
    });
  });

  it.each([
    [29, 3, '9.7'],
    [0, 3, '0.0'],
  ])('%i nodes, %i shards: better none', (nodes, shards, quotient) => {
    const { warning } = { warning: '', ...shardingEfficiency(nodes, shards) };
    expect(warning).toContain(`Over-sharded: ${shards} shards for ${nodes} nodes (${quotient} nodes/shard).`);
    expect(warning).toContain('disable sharding');
    expect(warning).not.toContain('1 shards');
  });

  it.each([
    [101, 2, '50.5', 3],
    [199, 2, '99.5', 5],
    [200, 2, '100.0', 7],
    [251, 5, '50.2', 7],
    [400, 7, '57.1', 10],
  ])('%i nodes, %i shards: too few', (nodes, shards, quotient, recommended) => {
    expect(shardingEfficiency(nodes, shards)).toEqual({
      kind: 'UnderSharded',
      recommended,
      warning: `Under-sharded: ${shards} shards for ${nodes} nodes (${quotient} nodes/shard). Consider increasing to ${recommended} shards.`,
    });
  });

  it.each([
    [20, 2, 1],
    [30, 3, 2],
    [75, 5, 3],
    [100, 2, 3],
    [250, 5, 7],
  ])('%i nodes, %i shards: not the recommended %i, and tolerable', (nodes, shards, recommended) => {
    expect(shardingEfficiency(nodes, shards)).toEqual({ kind: 'Differs', recommended });
  });

  it.each([
    [75, 3],
    [300, 7],
    [399, 7],
    [999, 10],
    [1000, 10],
  ])('%i nodes, %i shards: as recommended', (nodes, shards) => {
    expect(shardingEfficiency(nodes, shards)).toEqual({ kind: 'Fits' });
  });
});

describe('coverage', () => {
  it.each([
    [1, 3, 33.3],
    [2, 3, 66.7],
    [3, 3, 100],
    [0, 3, 0],
    [6, 7, 85.7],
    [4, 5, 80],
  ])('%i of %i shards: %d %%', (active, configured, percent) => {
    expect(coveragePercent(active, configured)).toBe(percent);
  });
});
