import type { VerifyReply, VerifyRequest } from '@shard-controller/shared/contracts';

/** Count and digest of a feed's objects in some slots. */
export interface SlotCensus {
  readonly count: number;
  /** Sum mod 2^64 of FNV-1a 64 of the uids. */
  readonly digest: bigint;
}

/** A feed as verification sees it. */
export interface VerifiableFeed {
  /** Equal on all workers of a ShardConfig. */
  readonly name: string;
  /** Objects of `slots` that are there right now. Throws when the feed does not follow the API server. */
  count(slots: ReadonlySet<number>): number;
  /**
   * Resolves with a resourceVersion below which the feed misses nothing: `version` where that is known already, else
   * the position of a consistent read. Throws when the feed does not get there before `signal` aborts.
   */
  prove(signal: AbortSignal, version?: string): Promise<string>;
  /** Objects of `slots` that the exporter was given, as of `version`. Throws when that is too long ago or ahead. */
  census(slots: ReadonlySet<number>, version: string): SlotCensus;
}

type FeedAnswer = VerifyReply['feeds'][number];

/**
 * Answers a verification request. Without positions each feed answers as of one that it proves; a feed that has nothing
 * in the slots says so without proof. With positions the named feeds answer as of exactly those. A feed that cannot
 * answer makes the whole reply an error.
 */
export async function verifySlots(
  request: VerifyRequest,
  slots: ReadonlySet<number>,
  feeds: readonly VerifiableFeed[],
  signal: AbortSignal,
): Promise<VerifyReply> {
  const wanted = new Map(request.at.map(({ feed, resourceVersion }) => [feed, resourceVersion]));
  const asked = wanted.size === 0 ? feeds : feeds.filter(({ name }) => wanted.has(name));
  const problems: string[] = [];
  if (feeds.length === 0) problems.push('this worker has no feeds: its exporter has not asked for anything');
  const open = new Set(asked.map(({ name }) => name));
  for (const name of wanted.keys()) if (!open.has(name)) problems.push(`feed ${name} is not open here`);
  const answers = await Promise.all(
    asked.map(async (feed): Promise<FeedAnswer | undefined> => {
      try {
        return await answerFor(feed, slots, wanted.get(feed.name), signal);
      } catch (error) {
        problems.push(`feed ${feed.name}: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      }
    }),
  );
  return {
    v: 'shard.verify.v1',
    migration: request.migration,
    feeds: answers.filter((answer) => answer !== undefined),
    ...(problems.length === 0 ? {} : { error: problems.join('; ').slice(0, 500) }),
  };
}

async function answerFor(
  feed: VerifiableFeed,
  slots: ReadonlySet<number>,
  version: string | undefined,
  signal: AbortSignal,
): Promise<FeedAnswer> {
  if (version === undefined && feed.count(slots) === 0) {
    return { feed: feed.name, at: '', count: 0, digest: hex(0n) };
  }
  const proven = await feed.prove(signal, version);
  const at = version ?? proven;
  const { count, digest } = feed.census(slots, at);
  return { feed: feed.name, at, count, digest: hex(digest) };
}

function hex(digest: bigint): string {
  return BigInt.asUintN(64, digest).toString(16).padStart(16, '0');
}
