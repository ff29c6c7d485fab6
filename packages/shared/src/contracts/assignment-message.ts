import { z } from 'zod';
import {
  HashRangeError,
  MAX_SLOT_TEXT,
  rangesToSlots,
  slotsToRanges,
  slotsToText,
  textToSlots,
} from '../hashing/index.ts';
import { type Assignment, assignmentSchema, type MigratingRange } from './assignment.ts';

/**
 * An assignment as it is sent on NATS. Ranges over the hash take up to 80 bytes a slot, so where slots are scattered they
 * are written as slots instead (`slotsToText`), which is bounded; what has too many migrations even then is not sent at
 * all: the worker has it from its ShardInstance, where it stands in any case.
 */
const slots = z.string().max(MAX_SLOT_TEXT);
const migrating = z.array(z.strictObject({ migration: z.string().min(1).max(63), slots })).max(2048);

const shortAssignmentSchema = assignmentSchema
  .omit({ v: true, hashRanges: true, warmRanges: true, releaseRanges: true, keepRanges: true })
  .extend({
    v: z.literal('shard.assignment.v2'),
    hash: slots,
    warm: migrating,
    release: migrating,
    keep: slots.optional(),
  });

type ShortAssignment = z.infer<typeof shortAssignmentSchema>;

/** Ranges beyond which an assignment is sent in its short form. */
const MANY_RANGES = 256;

/** Either form, read as the assignment that it says. */
export const assignmentMessageSchema = z.union([
  assignmentSchema,
  shortAssignmentSchema.transform((short, context): Assignment => {
    try {
      return expanded(short);
    } catch (error) {
      if (!(error instanceof HashRangeError)) throw error;
      context.addIssue(error.message);
      return z.NEVER;
    }
  }),
]);

/** The form in which an assignment is sent. */
export function assignmentMessage(assignment: Assignment): Assignment | ShortAssignment {
  const { hashRanges, warmRanges, releaseRanges, keepRanges, ...header } = assignment;
  const lists = [hashRanges, warmRanges, releaseRanges, keepRanges ?? []];
  if (lists.reduce((sum, { length }) => sum + length, 0) <= MANY_RANGES) return assignment;
  const { slotCount } = assignment;
  return {
    ...header,
    v: 'shard.assignment.v2',
    hash: slotsToText(rangesToSlots(hashRanges, slotCount)),
    warm: migratingSlots(warmRanges, slotCount),
    release: migratingSlots(releaseRanges, slotCount),
    ...(keepRanges === undefined ? {} : { keep: slotsToText(rangesToSlots(keepRanges, slotCount)) }),
  };
}

function expanded({ hash, warm, release, keep, ...header }: ShortAssignment): Assignment {
  const { slotCount } = header;
  const ranges = (text: string): { start: number; end: number }[] =>
    slotsToRanges(textToSlots(text, slotCount), slotCount);
  const migratingRanges = (list: ShortAssignment['warm']): MigratingRange[] =>
    list.flatMap(({ migration, slots: text }) => ranges(text).map((range) => ({ ...range, migration })));
  return {
    ...header,
    v: 'shard.assignment.v1',
    hashRanges: ranges(hash),
    warmRanges: migratingRanges(warm),
    releaseRanges: migratingRanges(release),
    ...(keep === undefined ? {} : { keepRanges: ranges(keep) }),
  };
}

function migratingSlots(ranges: readonly MigratingRange[], slotCount: number): ShortAssignment['warm'] {
  const byMigration = Map.groupBy(ranges, ({ migration }) => migration);
  return Array.from(byMigration, ([migration, of]) => ({
    migration,
    slots: slotsToText(rangesToSlots(of, slotCount)),
  }));
}
