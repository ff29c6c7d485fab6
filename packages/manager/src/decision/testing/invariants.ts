import { assignmentProblem } from '@shard-controller/shared/contracts';
import { assignedSlots, type ShardConfigState } from '../../aggregate/index.ts';
import { desired } from '../desired.ts';

/** What is wrong with a state that no history may lead to; empty = nothing. */
export function brokenInvariants(state: ShardConfigState): string[] {
  return [
    ...ownerProblems(state),
    ...migrationProblems(state),
    ...releaseProblems(state),
    ...assignmentProblems(state),
  ];
}

function ownerProblems({ owners, shards, settings }: ShardConfigState): string[] {
  const problems = owners.flatMap((owner, slot) =>
    owner !== null && shards[owner] === undefined ? [`slot ${slot} is owned by ${owner}, which does not exist`] : [],
  );
  if (settings !== null && owners.length !== settings.slotCount) problems.push(`${owners.length} slots have owners`);
  return problems;
}

function migrationProblems({ migrations, owners }: ShardConfigState): string[] {
  const problems: string[] = [];
  const seen = new Map<number, string>();
  const pairs = new Set<string>();
  for (const { id, source, target, slots, committed } of Object.values(migrations)) {
    if (slots.length === 0) problems.push(`${id} moves nothing`);
    if (pairs.has(`${source}>${target}`)) problems.push(`${id} is a second migration from ${source} to ${target}`);
    if (!committed) pairs.add(`${source}>${target}`);
    for (const slot of slots) {
      const other = seen.get(slot);
      if (other !== undefined) problems.push(`slot ${slot} is in ${other} and in ${id}`);
      seen.set(slot, id);
      if (!committed && owners[slot] !== source)
        problems.push(`${id} moves slot ${slot}, which ${source} does not own`);
    }
  }
  return problems;
}

/** A slot is released only when another shard owns it by a commit, or it was lost by a failover. */
function releaseProblems(state: ShardConfigState): string[] {
  return [...assignedSlots(state)].flatMap(([shardId, { release }]) =>
    release.flatMap(({ migration, slots }) => {
      const moved = state.migrations[migration];
      const committed = moved?.committed === true && !moved.sourceLost;
      const lost = state.shards[shardId]?.stale?.id === migration;
      if (!committed && !lost) return [`${shardId} is to release ${migration}, which is not committed`];
      return slots
        .filter((slot) => state.owners[slot] === shardId || state.shards[shardId]?.stale?.kept.includes(slot))
        .map((slot) => `${shardId} releases its slot ${slot}`);
    }),
  );
}

function assignmentProblems(state: ShardConfigState): string[] {
  const problems = desired(state).assignments.flatMap((assignment) => {
    const problem = assignmentProblem(assignment);
    return problem === undefined ? [] : [`${assignment.shardId}: ${problem}`];
  });
  const owned = desired(state).assignments.flatMap(({ hashRanges }) => hashRanges);
  const covered = owned.reduce((sum, { start, end }) => sum + (end - start + 1), 0);
  const width = 2 ** 32 / (state.settings?.slotCount ?? 1);
  const expected = state.owners.filter((owner) => owner !== null).length;
  if (!state.deleted && covered !== expected * width) problems.push('assigned ranges are not exactly the owned slots');
  return problems;
}
