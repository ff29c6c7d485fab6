import { isExposedRole, SlotRole, type SlotRoles } from '../../slots/index.ts';
import { MAX_RESOURCE_VERSION, isNewer, newerOf } from '../../wire/index.ts';
import { type LateObjects, lateObjects } from './late-objects.ts';
import { isAtRest, neededSlots } from './scope.ts';
import type { FeedState } from './state.ts';
import { SlotState, type Subscription } from './subscription.ts';

/** Handover of slots: how they come to an exporter and leave it, and which of them the API server is asked for. */

/** Brings each subscription's slots towards `roles`; returns whether something has to be loaded. */
export function reconcileSlots(state: FeedState, roles: SlotRoles | undefined): boolean {
  let load = false;
  for (const subscription of state.subscriptions) {
    if (reconcileSubscription(state, subscription, roles)) load = true;
  }
  return load;
}

function reconcileSubscription(feed: FeedState, subscription: Subscription, roles: SlotRoles | undefined): boolean {
  const { slots, marks, late, resend } = subscription;
  let load = false;
  let givesUp = false;
  const leaving: number[] = [];
  const overdue: number[] = [];
  for (let slot = 0; slot < slots.length; slot++) {
    const wanted = feed.unsharded || (roles !== undefined && isExposedRole(roles[slot] ?? 0));
    const state = slots[slot] as number;
    if (wanted && state < SlotState.Loading) {
      // Its late objects are there in the state of the release, and changes since then were not sent.
      if (late.delete(slot)) resend.add(slot);
      slots[slot] = SlotState.Loading;
      marks[slot] = feed.nextMark();
    } else if (!wanted && state >= SlotState.Loading) {
      if (state === SlotState.Loading) givesUp = true;
      resend.delete(slot);
      slots[slot] = SlotState.Leaving;
      marks[slot] = feed.nextMark();
      leaving.push(slot);
    } else if (late.has(slot) && roles?.[slot] !== SlotRole.Release) overdue.push(slot);
    if (slots[slot] === SlotState.Loading) load = true;
  }
  if (leaving.length > 0) sendDeletions(feed, subscription, leaving, lateObjects(feed, leaving, roles));
  // No shard waits for its release now.
  if (overdue.length > 0) sendDeletions(feed, subscription, overdue);
  // No load will complete the state that its exporter waits for.
  if (givesUp && !load) completeEmpty(feed, subscription);
  return load;
}

const NONE_LATE: ReadonlyMap<number, LateObjects> = new Map();

/** Deletes everything of the `leaving` slots but their `late` objects. */
function sendDeletions(
  state: FeedState,
  subscription: Subscription,
  leaving: readonly number[],
  late = NONE_LATE,
): void {
  const { index } = state;
  const { mark } = subscription;
  const isLeaving = new Set(leaving);
  for (const slot of leaving) subscription.late.delete(slot);
  // A resumed exporter may hold what has not been sent again yet.
  const mayHoldAny = subscription.resumedUntil === MAX_RESOURCE_VERSION;
  for (const [uid, entry] of index.entries()) {
    const { slot, namespace, name } = entry;
    if (!isLeaving.has(slot) || !(mayHoldAny || index.isSent(entry, mark))) continue;
    const kept = late.get(slot);
    if (kept !== undefined && kept.uids?.has(uid) !== false) {
      index.markSent(entry, mark);
      subscription.late.set(slot, kept.until);
      state.noteLateAsked();
      continue;
    }
    // I4
    index.clearSent(entry, mark);
    state.sendDeletion(subscription, { uid, namespace, name });
  }
  const through = leaving.filter((slot) => !subscription.late.has(slot));
  if (through.length > 0) hide(state, subscription, through);
}

/** The newest position up to which somebody else has to show `slots` before their late objects can go; undefined: none. */
export function lateUntil({ subscriptions }: FeedState, slots: ReadonlySet<number>): string | undefined {
  const positions = subscriptions
    .flatMap(({ late }) => [...late])
    .flatMap(([slot, at]) => (slots.has(slot) ? [at] : []));
  return positions.length === 0 ? undefined : positions.reduce(newerOf);
}

/** Deletes the late objects of `slots` that came up to `version`: somebody else shows them. */
export function letGo(state: FeedState, slots: ReadonlySet<number>, version: string): void {
  for (const subscription of state.subscriptions) {
    const due = [...subscription.late].flatMap(([slot, at]) =>
      slots.has(slot) && !isNewer(at, version) ? [slot] : [],
    );
    if (due.length > 0) sendDeletions(state, subscription, due);
  }
  state.flush();
}

/**
 * Late objects that no manager asks about: there is none, or it cannot be heard. They are not shown twice for ever. ms.
 */
const UNASKED_MS = 30_000;

/** Deletes the late objects that nobody has asked about for so long that nobody will. */
export function letGoUnasked(state: FeedState): void {
  if (state.now - state.lateAskedAt < UNASKED_MS) return;
  for (const subscription of state.subscriptions) {
    if (subscription.late.size > 0) sendDeletions(state, subscription, [...subscription.late.keys()]);
  }
  state.flush();
}

/** Counts released slots as hidden once the exporter has taken all that was sent. */
function hide(state: FeedState, subscription: Subscription, leaving: readonly number[]): void {
  const { slots, marks } = subscription;
  const taken = leaving.map((slot) => marks[slot]);
  void subscription.acknowledge(state.position).then((acknowledged) => {
    if (!acknowledged) return;
    for (const [i, slot] of leaving.entries()) {
      if (marks[slot] === taken[i] && slots[slot] === SlotState.Leaving) slots[slot] = SlotState.Hidden;
    }
    state.changed();
  });
}

/**
 * Closes what the subscription waits for, and asks for its acknowledgement.
 * @param marks of the slots that are complete with it, 0 for the others.
 */
export function finishState(state: FeedState, subscription: Subscription, marks: Uint32Array): void {
  // What it held before is sent again or gone; deletions that the watch has yet to bring are older than the load.
  if (subscription.resumedUntil === MAX_RESOURCE_VERSION) subscription.resumedUntil = state.highWatermark;
  if (subscription.collecting) subscription.finishCollecting(state.position);
  else if (subscription.closesInitialEvents) {
    subscription.closesInitialEvents = false;
    subscription.bookmark(state.position, true);
  }
  subscription.flush();
  if (state.unsharded) {
    showSlots(state, subscription, marks);
    return;
  }
  void subscription.acknowledge(state.position).then((acknowledged) => {
    if (acknowledged) showSlots(state, subscription, marks);
  });
}

function showSlots(state: FeedState, subscription: Subscription, marks: Uint32Array): void {
  const { slots } = subscription;
  for (let slot = 0; slot < marks.length; slot++) {
    const isSame = marks[slot] !== 0 && subscription.marks[slot] === marks[slot];
    if (isSame && slots[slot] === SlotState.Sent) slots[slot] = SlotState.Shown;
  }
  if (!slots.includes(SlotState.Loading)) {
    subscription.initialPending = false;
    state.noteSynced();
  }
  state.changed();
}

/** Acknowledges a subscription that has nothing to load: its empty state is complete. */
export function completeEmpty(state: FeedState, subscription: Subscription): void {
  finishState(state, subscription, new Uint32Array(state.slotCount));
}

/** Whether the watch has yet to pass what a resumed exporter was sent again. */
export function awaitsDeletions(state: FeedState): boolean {
  return state.subscriptions.some(
    ({ resumedUntil }) => resumedUntil !== MAX_RESOURCE_VERSION && isNewer(resumedUntil, state.position),
  );
}

/** Takes the slots that are needed now into the scope; true when it grew and the watch has to be opened again. */
export function widenScope(state: FeedState, roles: SlotRoles | undefined): boolean {
  return state.scope.widen(neededSlots(state.slotCount, roles, state.subscriptions));
}

/**
 * Leaves out and forgets everything that is no longer needed; true when the watch has to be opened again. Nothing
 * happens while a slot is on its way.
 */
export function narrowScope(state: FeedState, roles: SlotRoles | undefined): boolean {
  const { subscriptions } = state;
  // Without a subscription an exporter may be on its way back, with objects that only this index knows.
  if (state.unsharded || !state.filled || subscriptions.length === 0 || !isAtRest(subscriptions)) return false;
  // A resumed one may still need a deletion in any slot.
  if (subscriptions.some(({ resumedUntil }) => isNewer(resumedUntil, state.position))) return false;
  if (!state.scope.narrow(neededSlots(state.slotCount, roles, subscriptions), state.position)) return false;
  // I2
  for (const [uid, entry] of state.index.entries()) if (!state.scope.has(entry.slot)) state.index.remove(uid);
  for (const subscription of subscriptions) subscription.bookmark(state.position);
  state.flush();
  return true;
}
