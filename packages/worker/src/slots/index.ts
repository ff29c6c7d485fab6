export { Exposure } from './exposure.ts';
export { shardSelector } from './shard-selector.ts';
export type { MigratingSlots, SlotAssignment } from './slot-assignment.ts';
export { type SlotHash, slotHashOf } from './slot-hash.ts';
export { isExposedRole, planSlots, SlotRole, type SlotRoles } from './slot-plan.ts';
