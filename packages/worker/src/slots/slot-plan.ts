import type { SlotAssignment } from './slot-assignment.ts';

/** What a slot is to this worker. */
export const SlotRole = {
  /** Another shard's. */
  None: 0,
  Owned: 1,
  /** Loaded and exposed for a migration; another shard is still responsible. */
  Warm: 2,
  /** Was owned, and no assignment asked for its release yet: exposed until it does, because duplicates are better than loss. */
  Kept: 3,
  /** To be released. */
  Release: 4,
} as const;

export type SlotRoles = Uint8Array;

/** Whether objects of a slot with this role have to be in the exporter. */
export function isExposedRole(role: number): boolean {
  return role === SlotRole.Owned || role === SlotRole.Warm || role === SlotRole.Kept;
}

/**
 * An assignment whose shape contradicts the one in force; slots and hashes cannot change under a feed.
 * @remedy this is a defect: report it with the log of the process.
 */
class SlotPlanError extends Error {
  override readonly name = 'SlotPlanError';
  readonly code = 'SC_SLOT_PLAN';
}

/**
 * The role of each slot under `assignment`, given the roles before. A warm slot that is no longer named was rolled back
 * and is released; an owned one that is no longer named is kept as if it were named so, except by a standby: nobody
 * scrapes it, and it may have missed the release.
 */
export function planSlots(previous: SlotRoles | undefined, assignment: SlotAssignment): SlotRoles {
  const { slotCount } = assignment;
  if (previous !== undefined && previous.length !== slotCount) {
    throw new SlotPlanError(
      `the assignment counts ${slotCount} slots, the one in force ${previous.length}: spec.slots is immutable; recreate the ShardConfig instead`,
    );
  }
  const roles = new Uint8Array(slotCount);
  for (const slot of assignment.owned) roles[slot] = SlotRole.Owned;
  for (const slot of assignment.keep ?? []) roles[slot] = SlotRole.Kept;
  for (const { slots } of assignment.warm) for (const slot of slots) roles[slot] = SlotRole.Warm;
  for (const { slots } of assignment.release) for (const slot of slots) roles[slot] = SlotRole.Release;
  if (previous === undefined || assignment.standby === true) return roles;
  for (let slot = 0; slot < slotCount; slot++) {
    const was = previous[slot];
    if (roles[slot] === SlotRole.None && (was === SlotRole.Owned || was === SlotRole.Kept)) roles[slot] = SlotRole.Kept;
  }
  return roles;
}
