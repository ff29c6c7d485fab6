import { z } from 'zod';
import { hashRangeSchema } from './assignment.ts';

/**
 * Verification of a migration at a common position. The manager asks both sides at once without `at`: each feed that
 * holds objects of the moving slots proves its position by a consistent read and is answered as of there. Where the two
 * positions differ, the side that is ahead is asked again as of the other's.
 */
export const verifyRequestSchema = z.object({
  v: z.literal('shard.verify.v1'),
  /** uid of the ShardConfig. */
  uid: z.string().min(1).max(64),
  migration: z.string().min(1).max(63),
  ranges: z.array(hashRangeSchema).min(1).max(2048),
  /** Empty: all feeds, each as of the position that it proves. Else: these feeds, as of exactly these positions. */
  at: z.array(z.object({ feed: z.string().max(500), resourceVersion: z.string().min(1).max(64) })).max(500),
});

export const verifyReplySchema = z.object({
  v: z.literal('shard.verify.v1'),
  migration: z.string(),
  feeds: z
    .array(
      z.object({
        /** Feed key: group, version, resource, namespace and selectors; equal on all workers of a ShardConfig. */
        feed: z.string().max(500),
        /** resourceVersion that the answer is valid for; empty when there was nothing to count and none was proved. */
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
