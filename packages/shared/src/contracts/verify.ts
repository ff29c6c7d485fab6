import { z } from 'zod';
import { hashRangeSchema } from './assignment.ts';

/**
 * Verification of a migration at a common position. The manager asks the source without `at`: the source proves each
 * feed's position by a consistent read and answers as of there. Then it asks the target with these positions; the
 * target answers as of exactly them, once its own feeds have passed them.
 */
export const verifyRequestSchema = z.object({
  v: z.literal('shard.verify.v1'),
  /** uid of the ShardConfig. */
  uid: z.string().min(1).max(64),
  migration: z.string().min(1).max(63),
  ranges: z.array(hashRangeSchema).min(1).max(2048),
  at: z.array(z.object({ feed: z.string().max(500), resourceVersion: z.string().max(64) })).max(500),
});

export const verifyReplySchema = z.object({
  v: z.literal('shard.verify.v1'),
  migration: z.string(),
  feeds: z
    .array(
      z.object({
        /** Feed key: group, version, resource, namespace and selectors; equal on all workers of a ShardConfig. */
        feed: z.string().max(500),
        /** resourceVersion that the answer is valid for. */
        at: z.string().max(64),
        count: z.int().min(0),
        /** Sum mod 2^64 of FNV-1a 64 of the uids, 16 hex digits. */
        digest: z.string().regex(/^[0-9a-f]{16}$/),
      }),
    )
    .max(500),
  /** Why there is no answer for some or all feeds; then the verification has failed. */
  error: z.string().max(500).optional(),
});

export type VerifyRequest = z.infer<typeof verifyRequestSchema>;
export type VerifyReply = z.infer<typeof verifyReplySchema>;
