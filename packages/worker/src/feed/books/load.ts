import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { type FrameView, isNewer } from '../../wire/index.ts';
import { finishState } from './slots.ts';
import type { FeedState } from './state.ts';
import { SlotState, type Subscription } from './subscription.ts';

/**
 * Loads: lists of what was there before a slot was marked, for all slots that wait for one. `follow/loader.ts` reads them;
 * here is what their items mean beside the events of the watch.
 */

/**
 * A list showed an older state than the watch had already brought.
 * @remedy none: it is listed again. If it repeats, look for an API server that lags behind the others.
 */
class ListBehindError extends Error {
  override readonly name = 'ListBehindError';
  readonly code = 'SC_LIST_BEHIND';
}

/** Which slots of which subscriptions a load serves: the mark of each slot when the load began, 0 where it does not. */
export type LoadCoverage = ReadonlyMap<Subscription, Uint32Array>;

/** Begins a load of all slots that are marked for it. Tombstones are kept until it is completed or abandoned. */
export function beginLoad(state: FeedState): LoadCoverage {
  state.beginLoad();
  const coverage = new Map<Subscription, Uint32Array>();
  for (const subscription of state.subscriptions) {
    const marks = new Uint32Array(state.slotCount);
    let any = false;
    for (let slot = 0; slot < marks.length; slot++) {
      if (subscription.slots[slot] !== SlotState.Loading) continue;
      marks[slot] = subscription.marks[slot] as number;
      any = true;
    }
    if (any) coverage.set(subscription, marks);
  }
  return coverage;
}

/**
 * Applies one object of a load. It goes to a subscription that has not been sent it, unless it was deleted after the
 * load's snapshot. An item that is ahead of the watch goes to every subscription that shows its slot, or to none: the watch
 * will not bring it again once the index has it (I4, I5). Throws when the list is older than the watch.
 */
export function offerItem(
  state: FeedState,
  coverage: LoadCoverage,
  view: FrameView,
  wireStart: number,
  wireEnd: number,
): void {
  state.noteReceived(wireEnd - wireStart);
  const uid = view.uid();
  if (uid === '') return;
  const version = view.resourceVersion();
  const grave = state.tombstones?.get(uid);
  if (grave !== undefined && !isNewer(version, grave)) return;
  const known = state.index.get(uid);
  const slot = known?.slot ?? state.slotOf(view);
  // I2
  if (!state.scope.has(slot)) return;
  const isAhead = known === undefined || isNewer(version, known.version);
  const takers: Subscription[] = [];
  for (const [subscription, marks] of coverage) {
    const isSent = known !== undefined && state.index.isSent(known, subscription.mark);
    const has = isSent && !subscription.resend.has(slot);
    if (!has && covers(subscription, marks, slot)) takers.push(subscription);
  }
  if (takers.length === 0 && (state.filled || !isAhead)) return;
  if (known !== undefined && isNewer(known.version, version)) {
    throw new ListBehindError(`the list has ${uid} at ${version}, older than the watch at ${known.version}`);
  }
  const entry = known ?? state.index.add(uid, slot, view.namespace(), view.name(), version);
  entry.version = version;
  state.see(version);
  const decision = state.filter(entry, view);
  for (const subscription of isAhead ? state.subscriptions : takers) {
    if ((subscription.slots[slot] as number) < SlotState.Loading || state.isQuiet(subscription, slot)) continue;
    state.sendObject(subscription, uid, entry, decision, view, wireStart, wireEnd);
    state.keepResumePoint(subscription, version);
  }
}

/** The load has delivered everything as of `version`: its slots are sent, and acknowledged in due course. */
export function completeLoad(state: FeedState, coverage: LoadCoverage, version: ResourceVersion): void {
  state.fill(version);
  state.endLoad();
  for (const [subscription, marks] of coverage) {
    if (subscription.closed) continue;
    for (let slot = 0; slot < marks.length; slot++) {
      if (!covers(subscription, marks, slot)) continue;
      subscription.slots[slot] = SlotState.Sent;
      subscription.resend.delete(slot);
    }
    if (!state.unsharded) state.isOnPosition(subscription);
    finishState(state, subscription, marks);
  }
  state.flush();
  state.changed();
}

/** The load has failed: its slots wait for another one. */
export function abandonLoad(state: FeedState): void {
  state.endLoad();
}

/** A subscription that ended during the load is served no more: its mark may be another one's by now. */
function covers(subscription: Subscription, marks: Uint32Array, slot: number): boolean {
  return (
    !subscription.closed &&
    marks[slot] !== 0 &&
    subscription.marks[slot] === marks[slot] &&
    subscription.slots[slot] === SlotState.Loading
  );
}
