import { type CollectionReader, UpstreamFailure } from '../../upstream/index.ts';
import type { FeedContext, FeedSlots } from './context.ts';

/** A collection below this size is read whole: its bytes are few, and an index that knows all of it moves slots cheaply. */
const PUSHDOWN_MIN_OBJECTS = 100;

/** Finds out whether the API server narrows what it sends of one collection to the needed slots, where that would pay. */
export class FeedPushdown {
  /** The API server has been seen to narrow what it sends. */
  narrows = false;
  readonly #feed: { readonly name: string; readonly resource: string; readonly reader: CollectionReader };
  readonly #slots: FeedSlots;
  readonly #context: FeedContext;

  constructor(
    feed: { readonly name: string; readonly resource: string; readonly reader: CollectionReader },
    slots: FeedSlots,
    context: FeedContext,
  ) {
    this.#feed = feed;
    this.#slots = slots;
    this.#context = context;
  }

  /** The present position. Finds out on the way whether the server narrows what it sends, where that would pay. */
  async present(signal: AbortSignal): Promise<string> {
    const { version, total } = await this.#feed.reader.position(signal);
    const isWorthwhile = total === undefined || total >= PUSHDOWN_MIN_OBJECTS;
    const { pushdown, metrics, logger } = this.#context;
    if (pushdown === 'off' || this.#slots.shardBy === undefined) return version;
    const narrows = isWorthwhile && (await this.#honoursSlots(signal));
    if (narrows !== this.narrows) {
      logger.info({ feed: this.#feed.name, narrows }, 'checked whether the API server can filter by slots');
    }
    this.narrows = narrows;
    metrics?.pushdown?.(this.#feed.resource, narrows);
    return version;
  }

  async #honoursSlots(signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#feed.reader.honoursSlots(signal, this.#slots.slotHash);
    } catch (error) {
      // A server that knows the parameter but not our use of it refuses it (500): it is asked for everything then.
      if (error instanceof UpstreamFailure && [400, 422, 500].includes(error.status)) return false;
      throw error;
    }
  }
}
