import { fnv1a64, fnv1a64Bytes, slotOf, type SlotIndex } from '@shard-controller/shared/hashing';
import type { FrameView } from '../wire/index.ts';

/** Slot of an object, from the bytes of its uid or namespace where they lie. */
export type SlotHash = (view: FrameView) => SlotIndex;

export function slotHashOf(shardBy: 'uid' | 'namespace', slotCount: number): SlotHash {
  const byUid = shardBy === 'uid';
  return (view) => {
    if (view.escaped) return slotOf(fnv1a64(byUid ? view.uid() : view.namespace()).high, slotCount);
    const start = byUid ? view.uidStart : view.namespaceStart;
    const end = byUid ? view.uidEnd : view.namespaceEnd;
    return slotOf(fnv1a64Bytes(view.bytes, start, end).high, slotCount);
  };
}
