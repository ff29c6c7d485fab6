import { isExposedRole, type SlotRoles } from '../migration-handler/index.ts';
import { upsert } from './feed-events.ts';
import type { FeedState } from './feed-state.ts';
import type { FrameView } from './frame-view.ts';
import { SlotState, type Subscription } from './subscription.ts';
import { FAR_VERSION, isNewer, newerOf } from './version-order.ts';

/**
 * Takes on an exporter that holds unknown objects as of `version`: deletions since then and everything that is not
 * to be shown are deleted there; everything else is loaded by the caller's next plan. Undefined when it is no longer
 * known what it may hold.
 */
export function resumeExporter(
  state: FeedState,
  version: string,
  roles: SlotRoles | undefined,
): Subscription | undefined {
  const changes = state.ring.since(version);
  if (changes === undefined) return undefined;
  // What it may hold of slots that have left the scope since then is not known here any more.
  if (!state.scope.knows(version)) return undefined;
  const subscription = state.subscribe();
  subscription.resumed = true;
  subscription.resumedUntil = FAR_VERSION;
  for (const { uid, slot, joined } of changes) {
    if (!joined && slot !== state.quietSlot) state.sendDeletion(subscription, { uid, namespace: '', name: '' });
  }
  for (const [uid, entry] of state.index.entries()) {
    if (state.unsharded) {
      if (entry.slot === state.quietSlot || !isNewer(entry.version, version)) {
        state.index.markSent(entry, subscription.bit);
      }
    } else if (roles === undefined || !isExposedRole(roles[entry.slot] ?? 0)) {
      state.sendDeletion(subscription, { uid, namespace: entry.namespace, name: entry.name });
    }
  }
  return subscription;
}

/**
 * Compares the index with a complete metadata list as of `version`: deletes what is gone, and returns the uids whose
 * newer state has to be fetched because a subscription shows their slot.
 */
export function compareWithList(
  state: FeedState,
  seen: ReadonlyMap<
    string,
    { readonly version: string; readonly namespace: string; readonly name: string; readonly slot: number }
  >,
  version: string,
): Map<string, { readonly namespace: string; readonly name: string }> {
  for (const [uid, entry] of state.index.entries()) {
    if (seen.has(uid) || isNewer(entry.version, version)) continue;
    for (const subscription of state.subscriptions) {
      // What was deleted since the watch stood still concerns it, too, if that was before its first load.
      const mayHold = (entry.sent & subscription.bit) !== 0 || isNewer(subscription.resumedUntil, state.position);
      if (!mayHold || state.isQuiet(subscription, entry.slot)) continue;
      state.sendDeletion(subscription, { uid, namespace: entry.namespace, name: entry.name });
    }
    state.ring.push({ uid, version, slot: entry.slot, joined: false });
    state.index.remove(uid);
  }
  const stale = new Map<string, { readonly namespace: string; readonly name: string }>();
  for (const [uid, object] of seen) {
    if (!state.scope.has(object.slot)) continue;
    const entry = state.index.get(uid);
    if (entry !== undefined && !isNewer(object.version, entry.version)) continue;
    const isShown = state.subscriptions.some(
      (subscription) =>
        (subscription.slots[object.slot] as number) >= SlotState.Loading && !state.isQuiet(subscription, object.slot),
    );
    if (isShown) stale.set(uid, object);
    else if (entry === undefined) state.index.add(uid, object.slot, object.namespace, object.name, object.version);
    else entry.version = object.version;
  }
  return stale;
}

/** Applies the body of an object that was fetched because it differed. */
export function applyFetched(state: FeedState, object: Uint8Array, view: FrameView): void {
  state.received++;
  state.receivedBytes += object.length;
  const frame = state.codec.event('MODIFIED', state.kind, object);
  state.codec.readWhole(frame, view);
  const version = view.resourceVersion();
  upsert(state, view.uid(), version, view, 0, frame.length);
  for (const subscription of state.subscriptions) state.keepResumePoint(subscription, version);
}

/** The difference is written: the watch goes on from `version`. */
export function completeRelist(state: FeedState, version: string): void {
  if (!state.unsharded && isNewer(state.knownFrom, state.position)) startOver(state, version);
  state.position = version;
  state.horizon = newerOf(version, state.horizon);
  state.offPosition.clear();
  for (const subscription of state.subscriptions) subscription.bookmark(version);
  state.flush();
}

/**
 * Objects may be gone in the gap that an exporter from before this process holds and this feed has never seen: it has
 * to list anew.
 */
function startOver(state: FeedState, version: string): void {
  state.ring.reset(version);
  for (const subscription of state.subscriptions.slice()) {
    if (isNewer(subscription.resumedUntil, state.position)) subscription.close();
  }
  if (state.filled) state.knownFrom = version;
}
