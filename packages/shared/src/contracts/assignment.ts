import { z } from 'zod';
import { type HashRange, HashRangeError, rangesToSlots } from '../hashing/index.ts';

/** Most ranges that one list of an assignment may hold: every second slot of 4096. */
const MAX_RANGES = 2048;

export const hashRangeSchema = z.strictObject({
  start: z.int().min(0).max(4294967295),
  end: z.int().min(0).max(4294967295),
});

/** A range that takes part in a migration. */
export const migratingRangeSchema = hashRangeSchema.extend({ migration: z.string().min(1).max(63) });

export type MigratingRange = z.infer<typeof migratingRangeSchema>;

/** `shard-` and the StatefulSet ordinal, three digits or more. */
export const shardIdSchema = z.string().regex(/^shard-[0-9]{3,5}$/);

/**
 * What one shard has to do. The same content stands in `ShardInstance.spec` and in the last message on the shard's
 * assignment subject; a worker takes whichever has the larger (generation, epoch).
 *
 * - `hashRanges`: responsibility. Not all of them need to be exposed yet, and more may be.
 * - `warmRanges`: slots to load and expose while another shard is still responsible.
 * - `releaseRanges`: slots to stop exposing; another shard is responsible and has been scraped.
 * - `keepRanges`: slots to keep exposing although another shard is responsible, because it does not show them yet: this
 *   one was believed lost.
 */
export const assignmentSchema = z.strictObject({
  v: z.literal('shard.assignment.v1'),
  shardConfig: z.strictObject({
    namespace: z.string().min(1).max(63),
    name: z.string().min(1).max(40),
    uid: z.string().min(1).max(64),
  }),
  shardId: shardIdSchema,
  /** Incarnation of the event log; raised when the log was lost or found behind. */
  generation: z.int().min(1),
  /** JetStream sequence of the event that caused this assignment. */
  epoch: z.int().min(0),
  /**
   * The replica that serves; the other one holds the same and serves nothing. Absent where a shard has one worker: then
   * it is `a`.
   */
  activeReplica: z.enum(['a', 'b']).optional(),
  slotCount: z.int().min(64).max(4096),
  shardBy: z.enum(['uid', 'namespace']),
  hashRanges: z.array(hashRangeSchema).max(MAX_RANGES),
  warmRanges: z.array(migratingRangeSchema).max(MAX_RANGES),
  releaseRanges: z.array(migratingRangeSchema).max(MAX_RANGES),
  keepRanges: z.array(hashRangeSchema).max(MAX_RANGES).optional(),
});

export type Assignment = z.infer<typeof assignmentSchema>;

/** The replica that serves under an assignment. */
export const activeReplicaOf = ({ activeReplica }: Pick<Assignment, 'activeReplica'>): 'a' | 'b' =>
  activeReplica ?? 'a';

/** Order of two assignments of the same ShardConfig: positive when `a` is newer. */
export function compareEpoch(
  a: Pick<Assignment, 'generation' | 'epoch'>,
  b: Pick<Assignment, 'generation' | 'epoch'>,
): number {
  return a.generation - b.generation || a.epoch - b.epoch;
}

/**
 * Why an assignment that has the right form still makes no sense, or undefined: ranges off the slot borders, overlaps
 * within a list, or a slot in two lists.
 */
export function assignmentProblem(a: Assignment): string | undefined {
  try {
    const seen = new Map<number, string>();
    for (const list of ['hashRanges', 'warmRanges', 'releaseRanges', 'keepRanges'] as const) {
      const ranges: readonly HashRange[] = a[list] ?? [];
      for (const slot of rangesToSlots(ranges, a.slotCount)) {
        const other = seen.get(slot);
        if (other !== undefined) return `slot ${slot} is in ${other} and in ${list}`;
        seen.set(slot, list);
      }
    }
    return undefined;
  } catch (error) {
    if (error instanceof HashRangeError) return error.message;
    throw error;
  }
}
