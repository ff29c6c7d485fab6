import { expect, test } from 'vitest';
import { minimumMoves, minimumRolloutMoves } from './minimum-moves.ts';

const owned = (...counts: number[]): string[] =>
  counts.flatMap((count, i) => Array.from({ length: count }, () => `s${i}`));

test('growing moves only what the new shards need', () => {
  expect(minimumMoves(owned(128, 128), ['s0', 's1', 's2', 's3'])).toBe(128);
  expect(minimumMoves(owned(256), ['s0', 's1', 's2'])).toBe(170);
});

test('shrinking moves only what the leaving shard has', () => {
  expect(minimumMoves(owned(64, 64, 64, 64), ['s0', 's1', 's2'])).toBe(64);
});

test('nothing moves when it is balanced', () => {
  expect(minimumMoves(owned(86, 85, 85), ['s0', 's1', 's2'])).toBe(0);
  expect(minimumMoves(owned(85, 85, 86), ['s0', 's1', 's2'])).toBe(0);
});

test('a rolling update moves every slot once and the smallest shard twice', () => {
  expect(minimumRolloutMoves(owned(86, 85, 85), ['s0', 's1', 's2'])).toBe(256 + 85);
  expect(minimumRolloutMoves(owned(256), ['s0'])).toBe(512);
});
