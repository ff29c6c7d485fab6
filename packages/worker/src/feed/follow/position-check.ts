import { type CollectionReader, upstreamBackoff } from '../../upstream/index.ts';
import type { FeedState } from '../books/index.ts';
import type { FeedContext } from './context.ts';
import type { FeedFreshness, FeedTrouble } from '../health/index.ts';
import { peekAfter } from './peek.ts';
import { askForPresent } from './restores.ts';

/** What a check needs of its feed. */
interface CheckedFeed {
  readonly reader: CollectionReader;
  readonly trouble: FeedTrouble;
  readonly state: Pick<FeedState, 'highWatermark' | 'position' | 'scope' | 'unsharded'> | undefined;
}

/**
 * Compares a watch with what the API server says beside it: whether the server was restored to older data, and whether
 * the watch brings what other watches bring. One question at a time: a new one takes the place of an open one.
 */
export class PositionCheck {
  readonly #feed: CheckedFeed;
  readonly #context: Pick<FeedContext, 'clock' | 'random'>;
  readonly #freshness: FeedFreshness;
  readonly #onRestored: () => void;
  #question = new AbortController();
  #askedAt = -Infinity;

  constructor(
    feed: CheckedFeed,
    context: Pick<FeedContext, 'clock' | 'random'>,
    freshness: FeedFreshness,
    onRestored: () => void,
  ) {
    this.#feed = feed;
    this.#context = context;
    this.#freshness = freshness;
    this.#onRestored = onRestored;
  }

  /** When a consistent read was last asked for, answered or not; monotonic ms. */
  get askedAt(): number {
    return this.#askedAt;
  }

  /** Ends an open question. */
  stop(): void {
    this.#question.abort();
  }

  /**
   * Asks once, until there is an answer: `onRestored` is called, or the freshness learns the answer and what a brief
   * watch brings, where `mayPeek` holds by then.
   */
  async ask(signal: AbortSignal, mayPeek: () => boolean): Promise<void> {
    const { clock, random } = this.#context;
    this.#question.abort();
    this.#question = new AbortController();
    const either = AbortSignal.any([signal, this.#question.signal]);
    const askedAt = clock.monotonic();
    this.#askedAt = askedAt;
    const present = await askForPresent(this.#feed, clock, upstreamBackoff(random), either, (error) =>
      this.#feed.trouble.refused(error, clock.monotonic()),
    );
    const { state, trouble } = this.#feed;
    if (present === undefined || either.aborted || state === undefined) return;
    trouble.worked('question');
    if (present.isRestored) {
      this.#onRestored();
      return;
    }
    // News of CRDs may be held back on purpose: what is missing of them proves nothing.
    const news = !state.unsharded && mayPeek() ? await this.#peek(state, either) : undefined;
    if (either.aborted) return;
    const said = { version: news ?? present.version, isNews: news !== undefined };
    this.#freshness.read(askedAt, clock.monotonic(), said, state.position);
  }

  async #peek(
    { position, scope }: Pick<FeedState, 'position' | 'scope'>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    try {
      return await peekAfter(this.#feed.reader, position, scope.list(), signal);
    } catch {
      // It may have met the very server that has frozen: the next one meets another.
      return undefined;
    }
  }
}
