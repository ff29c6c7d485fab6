import { z } from 'zod';
import { MAX_SLOT_TEXT } from '../hashing/index.ts';

/** A kind's name never grows with the exporter's selectors. Characters. */
export const MAX_KIND_NAME = 120;
/** Kinds of one question or answer, and namespaces of one: what is more goes into further ones. */
export const MAX_KINDS_ASKED = 50;
export const MAX_NAMESPACES_ASKED = 400;
/** Version of the messages before this one. Who answers in it knows nothing of kinds. */
export const EARLIER_VERIFY = 'shard.verify.v1';

/** Printable ASCII without what JSON escapes: its length is its size. */
const kindName = z.string().regex(/^[!#-[\]-~]{1,120}$/);
const resourceVersion = z.string().regex(/^[0-9A-Za-z]{1,32}$/);
const namespace = z.string().regex(/^[0-9a-z-]{1,63}$/);
const namespaces = z.array(namespace).max(MAX_NAMESPACES_ASKED);
/** '' for all namespaces, else a hash of which: who gives the same exports the same objects of a kind. */
const scope = z.string().regex(/^([0-9a-f]{16})?$/);
const digest = z.string().regex(/^[0-9a-f]{16}$/);
const kindPositions = z.array(z.object({ kind: kindName, at: resourceVersion })).max(MAX_KINDS_ASKED);

/**
 * kinds: all kinds after `after` in the order of their names, each as of a position that it proves.
 * positions: these kinds as of exactly these positions; with `namespaces` only their objects. With `proven` also a watch
 * that has nothing in the slots has to get there, which it can say without a read otherwise.
 * scope: which namespaces `scope` stands for, after `after`.
 * shown: of a target, whether its exporter has rendered all objects of these kinds up to these positions.
 * late: of a source that releases, which kinds it still shows, because the target may not show them up to some position
 * yet. What it does show, as `shown` says, the source releases first.
 */
const question = z.discriminatedUnion('ask', [
  z.object({ ask: z.literal('kinds'), after: kindName.optional() }),
  z.object({
    ask: z.literal('positions'),
    kinds: kindPositions.min(1),
    namespaces: namespaces.optional(),
    proven: z.boolean(),
  }),
  z.object({ ask: z.literal('scope'), scope, after: namespace.optional() }),
  z.object({ ask: z.literal('shown'), kinds: kindPositions.min(1) }),
  z.object({ ask: z.literal('late'), shown: kindPositions }),
]);

export type VerifyQuestion = z.infer<typeof question>;

/**
 * Verification of a migration, kind by kind, at common positions. The manager asks both sides for all kinds: each kind
 * that holds objects of the moving slots proves its position by consistent reads and is answered as of there. Where two
 * positions differ, the side that is ahead is asked again as of the other's. Where the two sides export a kind of other
 * namespaces, they are asked for those that both export. Every message is bounded, whatever is exported.
 */
export const verifyRequestSchema = z.object({
  v: z.literal('shard.verify.v2'),
  /** uid of the ShardConfig. */
  uid: z.string().min(1).max(64),
  migration: z.string().min(1).max(63),
  /** The moving slots, as `slotsToText` writes them, of `slotCount`. */
  slots: z.string().min(1).max(MAX_SLOT_TEXT),
  slotCount: z.int().min(64).max(4096),
  question,
});

/** What a side's exporter was given of one kind, over all its watches of it. */
const counted = z.strictObject({
  /** Resource and group, `pods` or `widgets.example.com`; equal where the same is selected, on all workers. */
  kind: kindName,
  scope,
  /** resourceVersion that the answer is valid for; empty when there was nothing to count and none was proved. */
  at: z.union([resourceVersion, z.literal('')]),
  count: z.int().min(0),
  /** Sum mod 2^64 of FNV-1a 64 of the uids, 16 hex digits. */
  digest,
});

/** A kind that is exported, but cannot be counted now: no permission, a broken server, a deaf watch. */
const uncounted = z.strictObject({
  kind: kindName,
  scope,
  problem: z.string().min(1).max(120),
  /** For how long already, ms. */
  sinceMs: z.int().min(0),
  /** The worker has judged that waiting does not help: the API server does not serve this kind. */
  known: z.boolean().optional(),
});

export const verifyReplySchema = z.object({
  v: z.literal('shard.verify.v2'),
  migration: z.string().max(63),
  /** All kinds are known: the exporter is not about to open further watches. */
  settled: z.boolean(),
  kinds: z.array(z.union([counted, uncounted])).max(MAX_KINDS_ASKED),
  /** The answer to `scope`: all namespaces `except` these, or only these. */
  namespaces: z.object({ except: z.boolean(), names: namespaces }).optional(),
  /** The answer to `late`; to `shown` those of the asked kinds that it does not show yet. */
  late: kindPositions.optional(),
  /** There is more, after this. */
  next: z.union([kindName, namespace]).optional(),
  /** Why there is no answer at all. */
  error: z.string().max(500).optional(),
});

export type VerifyRequest = z.infer<typeof verifyRequestSchema>;
export type VerifyReply = z.infer<typeof verifyReplySchema>;
export type KindAnswer = VerifyReply['kinds'][number];
export type KindPosition = z.infer<typeof kindPositions>[number];

/** All namespaces except `names`, or only these; the names in order. */
export interface NamespaceScope {
  readonly except: boolean;
  readonly names: readonly string[];
}

/** Whether a kind's answer is a count. */
export function isCounted(answer: KindAnswer): answer is z.infer<typeof counted> {
  return 'count' in answer;
}
