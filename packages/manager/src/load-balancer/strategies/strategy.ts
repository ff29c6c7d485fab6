import type { ShardId, SlotIndex } from '../../aggregate/index.ts';

/** A shard that may own slots. */
export interface PlanTarget {
  readonly shardId: ShardId;
  /** Objects that it reports; undefined = unknown. */
  readonly objects: number | undefined;
}

/** A shard that gets slots. */
export interface Receiver extends PlanTarget {
  /** How many it gets at most; the rooms of all receivers add up to at least the number of slots. */
  readonly room: number;
  /** What it keeps. */
  readonly owned: ReadonlySet<SlotIndex>;
}

export interface Placement {
  readonly slot: SlotIndex;
  readonly to: ShardId;
}

/**
 * Chooses which slots move, and where to. *How many* each shard gives and gets is the planner's matter, so every
 * strategy moves the minimum and ends balanced. Both functions are deterministic.
 */
export interface Strategy {
  readonly name: string;
  /** Order of preference for a place that counts alone do not give to anybody: negative when `a` comes first. */
  prefer(a: PlanTarget, b: PlanTarget): number;
  /** `count` of the giver's `slots` (ascending). */
  pickSlotsToMove(giver: ShardId, slots: readonly SlotIndex[], count: number): readonly SlotIndex[];
  /** A receiver with room for each of `slots` (ascending). */
  place(slots: readonly SlotIndex[], receivers: readonly Receiver[]): readonly Placement[];
}

/** By shard id: an order without meaning that is always the same. */
export const byShardId = (a: PlanTarget, b: PlanTarget): number => (a.shardId < b.shardId ? -1 : 1);

/** Consecutive slots. */
export interface Run {
  readonly first: SlotIndex;
  readonly length: number;
}

/** The maximal runs of `slots` (ascending), in order. */
export function runsOf(slots: readonly SlotIndex[]): Run[] {
  const runs: { first: SlotIndex; length: number }[] = [];
  for (const slot of slots) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.length === slot) last.length++;
    else runs.push({ first: slot, length: 1 });
  }
  return runs;
}

/** `length` slots from `first` on. */
export const slotsFrom = (first: SlotIndex, length: number): SlotIndex[] => Array.from({ length }, (_, i) => first + i);
