import type { SlotIndex } from '@shard-controller/shared/hashing';
import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { isExposedRole, type SlotRoles } from '../../slots/index.ts';
import { isNewer } from '../../wire/index.ts';
import { SlotState, type Subscription } from './subscription.ts';

/** Membership per slot: 1 where objects of the slot are wanted. */
export type SlotSet = Uint8Array;

/**
 * Slots of which the API server is asked for objects. Whether it listens or not, everything else is left out: the index
 * of a feed holds the objects of its scope and no others.
 */
export class FeedScope {
  /** Undefined: all. */
  #slots: SlotSet | undefined;
  /** Where the watch stood when the scope was last made smaller. */
  #narrowedAt: string | undefined;

  constructor(slots: SlotSet | undefined, position: ResourceVersion) {
    this.#slots = slots;
    if (slots !== undefined) this.#narrowedAt = position;
  }

  get isEverything(): boolean {
    return this.#slots === undefined;
  }

  has(slot: SlotIndex): boolean {
    return this.#slots === undefined || this.#slots[slot] === 1;
  }

  /** Ascending; undefined: all. */
  list(): readonly SlotIndex[] | undefined {
    return this.#slots === undefined ? undefined : slotList(this.#slots);
  }

  /** Takes slots in; true when the scope grew. */
  widen(needed: SlotSet): boolean {
    const slots = this.#slots;
    if (slots === undefined || !needed.some((isNeeded, slot) => isNeeded > (slots[slot] as number))) return false;
    this.#slots = slots.map((isMember, slot) => isMember | (needed[slot] as number));
    return true;
  }

  /** Leaves out what is not needed, as of `position`; true when the scope shrank. */
  narrow(needed: SlotSet, position: ResourceVersion): boolean {
    const slots = this.#slots;
    if (needed.every((isNeeded, slot) => isNeeded === (slots?.[slot] ?? 1))) return false;
    this.#slots = needed;
    this.#narrowedAt = position;
    return true;
  }

  /**
   * Whether it is known what an exporter may hold that has seen everything up to `version`. Whoever left at the very
   * position where the scope became smaller may have done so before that.
   */
  knows(version: ResourceVersion): boolean {
    return this.#narrowedAt === undefined || isNewer(version, this.#narrowedAt);
  }
}

/** Slots of which a feed needs the objects: exposed by role, or still shown to some subscription. */
export function neededSlots(
  slotCount: number,
  roles: SlotRoles | undefined,
  subscriptions: readonly Subscription[],
): SlotSet {
  const needed = new Uint8Array(slotCount);
  for (let slot = 0; slot < slotCount; slot++) {
    const isShown = subscriptions.some(({ slots }) => slots[slot] !== SlotState.Hidden);
    if (isShown || isExposedRole(roles?.[slot] ?? 0)) needed[slot] = 1;
  }
  return needed;
}

/** Slots that some subscription waits for. */
export function loadingSlots(subscriptions: readonly Subscription[]): ReadonlySet<number> {
  const loading = new Set<number>();
  for (const { slots } of subscriptions) {
    for (let slot = 0; slot < slots.length; slot++) if (slots[slot] === SlotState.Loading) loading.add(slot);
  }
  return loading;
}

/** Whether no slot of any subscription is on its way from one state to another. */
export function isAtRest(subscriptions: readonly Subscription[]): boolean {
  return subscriptions.every(({ slots }) =>
    slots.every((state) => state === SlotState.Hidden || state === SlotState.Shown),
  );
}

function slotList(set: SlotSet): number[] {
  const slots: number[] = [];
  for (const [slot, isMember] of set.entries()) if (isMember === 1) slots.push(slot);
  return slots;
}
