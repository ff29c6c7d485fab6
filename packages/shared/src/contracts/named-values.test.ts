import { expect, test } from 'vitest';
import type { SlotIndex } from '../hashing/index.ts';
import type { ShardId } from './subjects.ts';

test('a value with a name of its own does not pass for another one; the compiler checks it', () => {
  const shard: ShardId = 'shard-000';
  const slot: SlotIndex = 7;
  // @ts-expect-error: a slot is no count of something else that has a name
  const other: number & { readonly is?: 'epoch' } = slot;
  // @ts-expect-error: nor is a shard's id any other id
  const id: string & { readonly is?: 'resourceVersion' } = shard;
  expect([other, id]).toEqual([7, 'shard-000']);
});
