import { rangesToSlots } from '@shard-controller/shared/hashing';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import { protobufCodec } from '../../../wire/frame-codec.ts';
import { FrameView } from '../../../wire/frame-view.ts';
import { POD, protobufFrame, protobufObject } from '../../../wire/testing/wire.ts';
import { applyEvent } from '../events.ts';
import { FeedState } from '../state.ts';
import type { FeedStateOptions } from '../state-options.ts';

/** What a feed of pods knows, driven event by event, without a server. */

const SLOTS = 64;
export const ALL = rangesToSlots([{ start: 0, end: 4294967295 }], SLOTS);
export const everything = roles(ALL);

/** Every event and item is read into this one. */
export const view = new FrameView();

export function roles(owned: readonly number[]): Uint8Array {
  const result = new Uint8Array(SLOTS);
  for (const slot of owned) result[slot] = SlotRole.Owned;
  return result;
}

export function newFeed(position = '100', eventFilter?: FeedStateOptions['eventFilter'], now = () => 0): FeedState {
  return new FeedState({
    kind: POD,
    codec: protobufCodec,
    slotCount: SLOTS,
    slotHash: slotHashOf('uid', SLOTS),
    position,
    eventFilter,
    now,
    onChange: () => {},
  });
}

export function read(type: string, uid: string, version: string, name = uid): number {
  const frame = protobufFrame(type, protobufObject({ uid, name, namespace: 'ns', version }));
  protobufCodec.readWhole(frame, view);
  return frame.length;
}

export function live(feed: FeedState, type: string, uid: string, version: string): void {
  applyEvent(feed, view, 0, read(type, uid, version));
}

/** The slot of a uid. */
export function slotOf(uid: string): number {
  read('ADDED', uid, '1');
  return slotHashOf('uid', SLOTS)(view);
}

/** A change in the cluster. */
export type PodEvent = readonly ['ADDED' | 'MODIFIED' | 'DELETED', uid: string, version: number];

/** What the API server holds after the first `count` events. */
export function stateAfter(history: readonly PodEvent[], count: number): Map<string, number> {
  const state = new Map<string, number>();
  for (const [type, uid, version] of history.slice(0, count)) {
    if (type === 'DELETED') state.delete(uid);
    else state.set(uid, version);
  }
  return state;
}
