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
  /**
   * Proves by a consistent read that the feed misses nothing older than the returned resourceVersion. Throws when the
   * feed does not get there before `signal` aborts.
   */
  prove(signal: AbortSignal): Promise<string>;
  /** Objects of `slots` that the exporter was given, as of `version`. Throws when that is too long ago or ahead. */
  census(slots: ReadonlySet<number>, version: string): SlotCensus;
}

type FeedAnswer = VerifyReply['feeds'][number];

/**
 * Answers a verification request. Without positions (source) each feed proves one and answers as of there; with
 * positions (target) each answers as of exactly those. A feed that cannot answer makes the whole reply an error.
 */
export async function verifySlots(
  request: VerifyRequest,
  slots: ReadonlySet<number>,
  feeds: readonly VerifiableFeed[],
  signal: AbortSignal,
): Promise<VerifyReply> {
  const reply = (answers: readonly FeedAnswer[], problems: readonly string[]): VerifyReply => ({
    v: 'shard.verify.v1',
    migration: request.migration,
    feeds: [...answers],
    ...(problems.length === 0 ? {} : { error: problems.join('; ').slice(0, 500) }),
  });
  if (feeds.length === 0) return reply([], ['this worker has no feeds: its exporter has not asked for anything']);
  const wanted = new Map(request.at.map(({ feed, resourceVersion }) => [feed, resourceVersion]));
  const problems: string[] = [];
  if (wanted.size > 0) {
    const open = new Set(feeds.map(({ name }) => name));
    for (const name of wanted.keys()) if (!open.has(name)) problems.push(`feed ${name} is not open here`);
  }
  const answers = await Promise.all(
    feeds.map(async (feed): Promise<FeedAnswer | undefined> => {
      try {
        const proven = await feed.prove(signal);
        const at = wanted.size > 0 ? wanted.get(feed.name) : proven;
        if (at === undefined) throw new Error('the source has no such feed');
        const { count, digest } = feed.census(slots, at);
        return { feed: feed.name, at, count, digest: BigInt.asUintN(64, digest).toString(16).padStart(16, '0') };
      } catch (error) {
        problems.push(`feed ${feed.name}: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      }
    }),
  );
  return reply(
    answers.filter((answer) => answer !== undefined),
    problems,
  );
}
