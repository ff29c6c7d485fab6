import { fnv1a64Bytes, slotOf } from '@shard-controller/shared/hashing';
import type { FrameView } from './frame-view.ts';

/** Slot of an object, from the bytes of its uid or namespace where they lie. */
export type SlotHash = (view: FrameView) => number;

export function slotHashOf(shardBy: 'uid' | 'namespace', slotCount: number): SlotHash {
  if (shardBy === 'uid') {
    return (view) => slotOf(fnv1a64Bytes(view.bytes, view.uidStart, view.uidEnd).high, slotCount);
  }
  return (view) => slotOf(fnv1a64Bytes(view.bytes, view.namespaceStart, view.namespaceEnd).high, slotCount);
}
