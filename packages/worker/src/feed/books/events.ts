import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { type FrameView, isNewer } from '../../wire/index.ts';
import type { FeedState } from './state.ts';
import { SlotState } from './subscription.ts';

/** Live events: what the watch says, and which subscriptions get it. */

/** Applies one watch event; `wireStart` and `wireEnd` bound the whole frame in the view's buffer. */
export function applyEvent(state: FeedState, view: FrameView, wireStart: number, wireEnd: number): void {
  state.noteReceived(wireEnd - wireStart);
  const version = view.resourceVersion();
  if (view.type === 'BOOKMARK') {
    state.advance(version);
    for (const subscription of state.subscriptions) subscription.bookmark(version);
    return;
  }
  const uid = view.uid();
  if (uid === '') return;
  if (view.type === 'DELETED') remove(state, uid, version, view, wireStart, wireEnd);
  else upsert(state, uid, version, view, wireStart, wireEnd);
  state.advance(version);
}

function remove(
  state: FeedState,
  uid: string,
  version: ResourceVersion,
  view: FrameView,
  wireStart: number,
  wireEnd: number,
): void {
  const entry = state.index.get(uid);
  const slot = entry?.slot ?? state.slotOf(view);
  if (!state.scope.has(slot)) {
    state.noteUnsolicited();
    return;
  }
  state.noteDeleted(uid, version);
  state.ring.push({ uid, version, slot, namespace: entry?.namespace ?? view.namespace(), joined: false });
  let frame: Buffer | undefined;
  if (entry !== undefined && entry.sent !== 0) state.index.noteEvent(slot, wireEnd - wireStart);
  for (const subscription of state.subscriptions) {
    const isSent = entry !== undefined && state.index.isSent(entry, subscription.mark);
    // A resumed exporter may hold what was not sent by it.
    if (!isSent && isNewer(version, subscription.resumedUntil)) continue;
    if (state.isQuiet(subscription, slot)) continue;
    frame ??= state.pruner?.event('DELETED', view) ?? view.bytes.subarray(wireStart, wireEnd);
    subscription.remove(uid, frame);
    state.noteSent(frame.length);
  }
  state.index.remove(uid);
}

/** Applies a newer state of an object; one that is not newer than what is known is left out. */
export function upsert(
  state: FeedState,
  uid: string,
  version: ResourceVersion,
  view: FrameView,
  wireStart: number,
  wireEnd: number,
): void {
  let entry = state.index.get(uid);
  if (entry === undefined) {
    const slot = state.slotOf(view);
    if (!state.scope.has(slot)) {
      state.noteUnsolicited();
      return;
    }
    entry = state.index.add(uid, slot, view.namespace(), view.name(), version);
    // One that changes was there before: the load that is to bring it is in progress, and counts it.
    if (view.type === 'ADDED') state.ring.push({ uid, version, slot, namespace: entry.namespace, joined: true });
  } else if (isNewer(version, entry.version)) entry.version = version;
  else return;
  const decision = state.filter(entry, view);
  // I4, I5
  for (const subscription of state.subscriptions) {
    if ((subscription.slots[entry.slot] as number) < SlotState.Loading) continue;
    if (state.isQuiet(subscription, entry.slot)) continue;
    state.sendObject(subscription, uid, entry, decision, view, wireStart, wireEnd);
  }
  if (entry.sent !== 0) state.index.noteEvent(entry.slot, wireEnd - wireStart);
}
