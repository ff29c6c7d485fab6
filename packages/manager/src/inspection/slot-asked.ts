import type { InspectionQuery } from '@shard-controller/shared/contracts';
import { fnv1a64, slotOf } from '@shard-controller/shared/hashing';
import type { Settings } from '../aggregate/index.ts';

/** A question that cannot be answered as it was asked. @remedy correct the question as the message says. */
export class InspectionQueryError extends Error {
  readonly code = 'SC_INSPECT_QUERY';
  override readonly name = 'InspectionQueryError';
}

/** The slot that a `where` asks about. @throws InspectionQueryError */
export function slotAsked(
  { slotCount, shardBy }: Pick<Settings, 'slotCount' | 'shardBy'>,
  { uid, objectNamespace, hash, slot }: InspectionQuery<'where'>,
): number {
  if (slot !== undefined) {
    if (slot < slotCount) return slot;
    throw new InspectionQueryError(`slot ${slot} does not exist: there are ${slotCount}, numbered from 0`);
  }
  if (hash !== undefined) return slotOf(hash, slotCount);
  const key = shardBy === 'uid' ? uid : objectNamespace;
  if (key !== undefined) return slotOf(fnv1a64(key).high, slotCount);
  throw new InspectionQueryError(
    shardBy === 'uid'
      ? 'this ShardConfig shards by uid: give the `uid` of an object, or a `hash` or `slot`'
      : 'this ShardConfig shards by namespace: give the `objectNamespace` of an object ("" if it has none), or a `hash` or `slot`',
  );
}
