import {
  activeReplicaOf,
  type Assignment,
  type MigratingRange,
  type Replica,
} from '@shard-controller/shared/contracts';
import { rangesToSlots } from '@shard-controller/shared/hashing';
import type { MigratingSlots, SlotAssignment } from '../slots/index.ts';

/** An accepted assignment as it is for one replica: ranges turned into slots, migrations gathered by id. */
export function slotAssignment(assignment: Assignment, replica: Replica): SlotAssignment {
  const { generation, epoch, slotCount, shardBy } = assignment;
  return {
    generation,
    epoch,
    slotCount,
    shardBy,
    owned: rangesToSlots(assignment.hashRanges, slotCount),
    warm: byMigration(assignment.warmRanges, slotCount),
    release: byMigration(assignment.releaseRanges, slotCount),
    keep: rangesToSlots(assignment.keepRanges ?? [], slotCount),
    standby: activeReplicaOf(assignment) !== replica,
  };
}

function byMigration(ranges: readonly MigratingRange[], slotCount: number): MigratingSlots[] {
  const grouped = Map.groupBy(ranges, (range) => range.migration);
  return [...grouped].map(([migration, members]) => ({ migration, slots: rangesToSlots(members, slotCount) }));
}
