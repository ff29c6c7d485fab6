import type { SlotIndex } from '@shard-controller/shared/hashing';
import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { isExposedRole, type SlotRoles } from '../../slots/index.ts';
import { MAX_RESOURCE_VERSION, type FrameView, isNewer, MIN_RESOURCE_VERSION } from '../../wire/index.ts';
import { upsert } from './events.ts';
import type { FeedState } from './state.ts';
import { SlotState, type Subscription } from './subscription.ts';

/**
 * Takes on an exporter that holds unknown objects as of `version`: deletions since then and everything that is not
 * to be shown are deleted there; everything else is loaded by the caller's next plan. Undefined when it is no longer
 * known what it may hold.
 */
export function resumeExporter(
  state: FeedState,
  version: ResourceVersion,
  roles: SlotRoles | undefined,
): Subscription | undefined {
  // It may have got there before the API server was restored, and hold what no longer exists.
  if (!isNewer(version, state.lostUntil)) return undefined;
  const changes = state.ring.since(version);
  if (changes === undefined) return undefined;
  // What it may hold of slots that have left the scope since then is no longer known here.
  if (!state.scope.knows(version)) return undefined;
  const subscription = state.subscribe();
  subscription.resumed = true;
  subscription.resumedUntil = MAX_RESOURCE_VERSION;
  // They carry `version`: an exporter that is lost once more has to come back there, or it would miss the other ones.
  for (const { uid, slot, joined } of changes) {
    if (!joined && slot !== state.quietSlot)
      state.sendDeletion(subscription, { uid, namespace: '', name: '' }, version);
  }
  for (const [uid, entry] of state.index.entries()) {
    if (state.unsharded) {
      if (entry.slot === state.quietSlot || !isNewer(entry.version, version)) {
        state.index.markSent(entry, subscription.mark);
      }
    } else if (roles === undefined || !isExposedRole(roles[entry.slot] ?? 0)) {
      state.sendDeletion(subscription, { uid, namespace: entry.namespace, name: entry.name }, version);
    }
  }
  return subscription;
}

/** An item of a metadata list. */
export interface ListedObject {
  readonly version: ResourceVersion;
  readonly namespace: string;
  readonly name: string;
  readonly slot: SlotIndex;
}

/**
 * Compares the index with a complete metadata list as of `version`: deletes what is gone, and returns the uids whose
 * newer state has to be fetched because a subscription shows their slot.
 *
 * @param isRestored the API server was restored: no watch will tell what is gone.
 */
export function compareWithList(
  state: FeedState,
  seen: ReadonlyMap<string, ListedObject>,
  version: ResourceVersion,
  isRestored: boolean,
): Map<string, { readonly namespace: string; readonly name: string }> {
  for (const [uid, entry] of state.index.entries()) {
    if (seen.has(uid) || isNewer(entry.version, version)) continue;
    for (const subscription of state.subscriptions) {
      // What was deleted since the watch stalled concerns it, too, if that was before its first load.
      const mayHold = isNewer(subscription.resumedUntil, state.position) || (isRestored && subscription.resumed);
      if ((!mayHold && !state.index.isSent(entry, subscription.mark)) || state.isQuiet(subscription, entry.slot))
        continue;
      state.sendDeletion(subscription, { uid, namespace: entry.namespace, name: entry.name });
    }
    state.ring.push({ uid, version, slot: entry.slot, namespace: entry.namespace, joined: false });
    state.index.remove(uid);
  }
  const stale = new Map<string, { readonly namespace: string; readonly name: string }>();
  for (const [uid, object] of seen) {
    // I2
    if (!state.scope.has(object.slot)) continue;
    const entry = state.index.get(uid);
    if (entry !== undefined && (entry.version === object.version || isNewer(entry.version, version))) continue;
    const isShown = state.subscriptions.some(
      (subscription) =>
        (subscription.slots[object.slot] as number) >= SlotState.Loading && !state.isQuiet(subscription, object.slot),
    );
    if (isShown) {
      stale.set(uid, object);
      // The list is the truth, older or not: after a restored backup of etcd objects are what they were then.
      if (entry !== undefined && isNewer(entry.version, object.version)) entry.version = MIN_RESOURCE_VERSION;
    } else if (entry === undefined) state.index.add(uid, object.slot, object.namespace, object.name, object.version);
    else entry.version = object.version;
  }
  return stale;
}

/** Applies the body of an object that was fetched because it differed. */
export function applyFetched(state: FeedState, object: Uint8Array, view: FrameView): void {
  state.noteReceived(object.length);
  const frame = state.codec.event('MODIFIED', state.kind, object);
  state.codec.readWhole(frame, view);
  const version = view.resourceVersion();
  state.see(version);
  upsert(state, view.uid(), version, view, 0, frame.length);
  for (const subscription of state.subscriptions) state.keepResumePoint(subscription, version);
}

/** The difference is written: the watch continues from `version`. */
export function completeRelist(state: FeedState, version: ResourceVersion): void {
  if (!state.unsharded && isNewer(state.knownFrom, state.position)) startOver(state, version);
  state.continueFrom(version);
  for (const subscription of state.subscriptions) subscription.bookmark(version);
  state.flush();
}

/**
 * Objects may be gone in the gap that a resumed exporter holds and this feed has never seen: it has
 * to list again. What there was where the watch stopped would not tell, for a load may have been ahead of that.
 */
function startOver(state: FeedState, version: ResourceVersion): void {
  closeUnknown(state);
  state.forgetUntil(version);
}

/**
 * The API server's data is an older state than what was seen, because a backup of etcd was restored: what is newer than
 * `version` never happened, and each object may differ under a version that was seen before. A comparison follows.
 */
export function followRestore(state: FeedState, version: ResourceVersion): void {
  // What a resumed exporter holds cannot be learned from any list.
  closeUnknown(state);
  for (const subscription of state.subscriptions) {
    subscription.resumedUntil = '';
    for (const slot of subscription.late.keys()) subscription.late.set(slot, version);
  }
  for (const [, entry] of state.index.entries()) entry.version = MIN_RESOURCE_VERSION;
  state.restoreTo(version);
}

/** Ends the watches of exporters that may hold objects which this feed has never seen. */
function closeUnknown(state: FeedState): void {
  for (const subscription of state.subscriptions.slice()) {
    if (isNewer(subscription.resumedUntil, state.position)) subscription.close();
  }
}
