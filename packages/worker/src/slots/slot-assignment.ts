import type { SlotIndex } from '@shard-controller/shared/hashing';
/** Slots that take part in one migration. */
export interface MigratingSlots {
  readonly migration: string;
  readonly slots: readonly SlotIndex[];
}

/** An accepted assignment as the data plane needs it: slots instead of ranges. */
export interface SlotAssignment {
  readonly generation: number;
  readonly epoch: number;
  readonly slotCount: number;
  readonly shardBy: 'uid' | 'namespace';
  readonly owned: readonly SlotIndex[];
  readonly warm: readonly MigratingSlots[];
  readonly release: readonly MigratingSlots[];
  /** Slots of another shard that are to be exposed until that one shows them. */
  readonly keep?: readonly SlotIndex[];
  /** Another replica of the shard serves: nothing is lost when this one lets go of a slot. */
  readonly standby?: boolean;
}
