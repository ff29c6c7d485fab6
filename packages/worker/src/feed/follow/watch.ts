import { discard, type StreamResponse, type ResourceVersion } from '@shard-controller/shared/kubernetes';
import type { Backoff } from '@shard-controller/shared/runtime';
import { causeOf, type CollectionReader, type FeedKey, pauseAfter, UpstreamFailure } from '../../upstream/index.ts';
import type { FeedState } from '../books/index.ts';
import type { FeedContext } from './context.ts';
import { FeedFreshness, type Outage, type FeedTrouble, STEADY_MS } from '../health/index.ts';
import type { FeedLoader } from './loader.ts';
import type { FeedPushdown } from './pushdown.ts';
import { PositionCheck } from './position-check.ts';
import { relist } from './relist.ts';
import { SuccessorWatch } from './successor-watch.ts';
import { readWatch } from './watch-reading.ts';

/**
 * A watch is open and says nothing, although there is something to say.
 * @remedy none: the watch is opened again. If it repeats, check what stands before the API server.
 */
class DeafWatchError extends Error {
  override readonly name = 'DeafWatchError';
  readonly code = 'SC_DEAF_WATCH';
}

/** What a watch needs of its feed. */
export interface WatchedFeed {
  readonly key: FeedKey;
  readonly name: string;
  readonly resource: string;
  readonly reader: CollectionReader;
  readonly trouble: FeedTrouble;
  readonly outage: Outage | undefined;
  readonly state:
    | Pick<FeedState, 'highWatermark' | 'position' | 'scope' | 'index' | 'filled' | 'unsharded'>
    | undefined;
  /** Notes what keeps the feed from getting on. */
  fail(error: unknown): void;
  /** The API server was restored: what was proved no longer exists. */
  restored(): void;
}

/**
 * The one upstream watch of a feed: opened again from where it stood whenever it ends, and by way of a comparison with
 * the cluster when the server no longer knows that position.
 */
export class FeedWatch {
  connected = false;
  /** When the newest bytes of the watch came, or the feed was opened; monotonic ms. */
  lastFrameAt: number;
  /** How often it was opened again. */
  openings = 0;
  readonly #feed: WatchedFeed;
  readonly #context: FeedContext;
  readonly #loader: FeedLoader;
  readonly #pushdown: FeedPushdown;
  readonly #backoff: Backoff;
  readonly #freshness: FeedFreshness;
  readonly #check: PositionCheck;
  /** Ends the open watch, so that another one follows from the same position. */
  #abort = new AbortController();
  /** The next watch is to be a brief one. */
  #isBrief = false;
  /** The API server was restored, or so it seems: the next step is a comparison. */
  #isDoubtful = false;
  /** A consistent read has proved that it has: a list may be newer again than what is lost by the time it comes. */
  #isRestored = false;
  /** Restores that this feed has followed. */
  #restores: number;
  readonly #successor: SuccessorWatch;
  #followed: { readonly state: FeedState; readonly signal: AbortSignal } | undefined;

  constructor(feed: WatchedFeed, context: FeedContext, loader: FeedLoader, pushdown: FeedPushdown, backoff: Backoff) {
    this.#feed = feed;
    this.#context = context;
    this.#loader = loader;
    this.#pushdown = pushdown;
    this.#backoff = backoff;
    this.#restores = context.restores.count;
    this.lastFrameAt = context.clock.monotonic();
    this.#freshness = new FeedFreshness(this.lastFrameAt);
    this.#check = new PositionCheck(feed, context, this.#freshness, () => {
      this.#isRestored = true;
      this.#doubt();
    });
    this.#successor = new SuccessorWatch(
      () => this.#followed && this.#open(this.#followed.state, this.#followed.signal),
    );
  }

  /** Follows the API server from `first` on, until `signal` aborts. */
  async follow(state: FeedState, first: StreamResponse, signal: AbortSignal): Promise<void> {
    this.#followed = { state, signal };
    let response: StreamResponse | undefined = first;
    const { restores } = this.#context;
    const lookBack = (): void => {
      if (this.#restores !== restores.count) this.#doubt();
    };
    signal.addEventListener('abort', restores.onRestore(lookBack), { once: true });
    lookBack();
    let coveredUntil: ResourceVersion | undefined;
    try {
      while (!signal.aborted) {
        if (this.#isDoubtful) {
          this.#isDoubtful = false;
          if (response !== undefined) discard(response);
          response = undefined;
          this.#dropSuccessor();
          this.#disconnect();
          await this.#relist(state, signal);
          continue;
        }
        if (response === undefined) this.#abort = new AbortController();
        const { signal: stop } = this.#abort;
        try {
          if (response === undefined) {
            response = await this.#takeSuccessor();
            coveredUntil = response === undefined ? undefined : state.position;
            // What the watch before brought of slots that were left out meanwhile had been asked for.
            if (response !== undefined) state.forgetUnsolicited();
          }
          response ??= await this.#reopen(state, signal);
          await this.#consume(state, response, AbortSignal.any([signal, stop]), coveredUntil);
        } catch (error) {
          // At once: what follows may take as long as the server likes.
          this.#disconnect();
          if (signal.aborted || stop.aborted) continue;
          await this.#recover(state, error, signal);
        } finally {
          response = undefined;
          this.#disconnect();
        }
      }
    } finally {
      this.#dropSuccessor();
    }
  }

  /** A watch for the present scope is being opened: only with it are events of new slots certain to come. */
  get isChanging(): boolean {
    return this.#successor.opening !== undefined;
  }

  /** Another watch is to follow, for the present scope. The open one is read until that one is open. */
  restart(): void {
    const old = this.#abort;
    this.#successor.begin(() => old.abort());
  }

  /** As `restart`, by a watch that brings a bookmark of the newest position within seconds. */
  hasten(): void {
    this.#isBrief = true;
    this.restart();
  }

  async #takeSuccessor(): Promise<StreamResponse | undefined> {
    const { opening } = this.#successor;
    if (opening === undefined) return undefined;
    const response = await opening;
    this.#successor.taken();
    if (response !== undefined) this.succeed();
    if (this.#successor.isOutdated) this.restart();
    this.#loader.wake();
    return response;
  }

  #dropSuccessor(): void {
    this.#successor.drop();
    // A load that waits for it no longer needs to.
    this.#loader.wake();
  }

  /** As of when everything is known to have come, given when the newest answered probe was sent; monotonic ms. */
  proofAt(probedAt: number): number {
    return this.#freshness.proofAt(this.#context.clock.monotonic(), probedAt);
  }

  /** When a consistent read was last asked for to compare the watch with, answered or not; monotonic ms. */
  get comparedAt(): number {
    return this.#check.askedAt;
  }

  /** Opens a deaf watch again: on a connection of its own, it may well meet another server. To be called now and then. */
  tend(): void {
    const { state } = this.#feed;
    if (state === undefined || !this.connected) return;
    this.#freshness.look(this.#context.clock.monotonic());
    if (!this.#freshness.isDeaf || this.isChanging) return;
    this.#feed.fail(new DeafWatchError(`the watch of ${this.#feed.name} does not bring what another one does`));
    this.#abort.abort();
  }

  async #reopen(state: FeedState, signal: AbortSignal): Promise<StreamResponse> {
    const response = await this.#open(state, signal);
    this.succeed();
    this.#context.onChange();
    return response;
  }

  async #open(state: FeedState, signal: AbortSignal): Promise<StreamResponse> {
    const { position, scope } = state;
    const isBrief = this.#isBrief;
    this.#isBrief = false;
    const response = await this.#feed.reader.watch(position, signal, scope.list(), isBrief);
    this.openings++;
    // Its consistent read also makes the server's cache of a quiet kind move on, and with it the bookmark of a brief watch.
    this.checkForRestore();
    return response;
  }

  /** Asks whether the API server was restored. A question that has no answer yet is asked again. */
  checkForRestore(): void {
    void this.#ask(false);
  }

  /** Asks that, and whether the watch brings what other watches bring. */
  compare(): void {
    void this.#ask(true);
  }

  async #ask(compares: boolean): Promise<void> {
    if (this.#followed !== undefined) await this.#check.ask(this.#followed.signal, () => compares && !this.isChanging);
  }

  #doubt(): void {
    this.#isDoubtful = true;
    this.#abort.abort();
  }

  /** Something that was seen of this collection no longer exists: the API server was restored. */
  noteRestored(): void {
    const { restores } = this.#context;
    const known = this.#restores;
    this.#restores = known === restores.count ? known + 1 : restores.count;
    restores.noteRestore(known);
  }

  /** @param coveredUntil events up to here have come by the watch before. */
  async #consume(
    state: FeedState,
    response: StreamResponse,
    signal: AbortSignal,
    coveredUntil: ResourceVersion | undefined,
  ): Promise<void> {
    const { clock, silenceMs } = this.#context;
    const openedAt = clock.monotonic();
    const chunk = (): Promise<void> | undefined => {
      this.lastFrameAt = clock.monotonic();
      this.#feed.trouble.worked('watch');
      this.#freshness.heard(this.lastFrameAt, state.position);
      state.flush();
      const room = state.room();
      if (room !== undefined) this.#freshness.paused(this.lastFrameAt);
      return room?.then(() => this.#freshness.resumed(clock.monotonic()));
    };
    let frames: number;
    try {
      const { path } = this.#feed.key;
      frames = await readWatch({ state, response, path, silenceMs, coveredUntil, chunk }, signal);
    } finally {
      if (clock.monotonic() - openedAt >= STEADY_MS) this.#backoff.reset();
    }
    if (signal.aborted) return;
    // A watch that ends at its time is opened again at once; one that ends right after its start must not spin.
    if (frames === 0 && clock.monotonic() - openedAt < STEADY_MS) {
      this.#context.metrics?.reconnect?.(this.#feed.resource, 'short-watch');
      await clock.sleep(this.#backoff.next(), signal);
    } else {
      this.#backoff.reset();
      this.#context.metrics?.reconnect?.(this.#feed.resource, 'end');
      if (!this.#pushdown.narrows || state.unsolicited > 0) await this.#pushdown.present(signal);
      state.forgetUnsolicited();
    }
  }

  async #recover(state: FeedState, error: unknown, signal: AbortSignal): Promise<void> {
    const { metrics, clock } = this.#context;
    const isExpired = error instanceof UpstreamFailure && error.status === 410;
    this.#feed.fail(error);
    if (isExpired) {
      metrics?.relist?.(this.#feed.resource, 'expired');
      await this.#relist(state, signal);
      // A server that keeps refusing what it has just listed must not be asked without a pause.
      await clock.sleep(this.#backoff.next(), signal);
      return;
    }
    metrics?.reconnect?.(this.#feed.resource, causeOf(error));
    await clock.sleep(pauseAfter(error, this.#backoff), signal);
  }

  async #relist(state: FeedState, signal: AbortSignal): Promise<void> {
    const { clock, restores } = this.#context;
    while (!signal.aborted) {
      try {
        const mayBeRestored = this.#isRestored || this.#restores !== restores.count;
        const compare = (): Promise<void> =>
          relist(state, this.#feed.reader, signal, {
            mayBeRestored,
            onRestored: (lost, version) => this.#restored(lost, version),
          });
        const { relists, brokenRelists } = this.#context;
        const turns = this.#feed.outage === undefined ? relists : brokenRelists;
        await turns.run(() => this.#loader.exclusively(compare));
        this.#feed.trouble.worked('watch');
        this.#context.logger.debug({ feed: this.#feed.name }, 'compared with the cluster');
        this.#loader.wake();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#feed.fail(error);
        this.#context.metrics?.loadFailure?.(this.#feed.resource, causeOf(error));
        await clock.sleep(pauseAfter(error, this.#backoff), signal);
      }
    }
  }

  #restored(lost: ResourceVersion, version: ResourceVersion): void {
    const { metrics, logger } = this.#context;
    metrics?.relist?.(this.#feed.resource, 'restored');
    logger.warn(
      { feed: this.#feed.name, lost, version },
      'the API server returned to an older state, as after the restore of an etcd backup: the exporter follows it',
    );
    this.#feed.restored();
    this.#isRestored = false;
    // They know nothing of the return: a watch from a lost position is accepted, and deaf until that position is there
    // again; and an answer to the question is the one that has just been found.
    this.#dropSuccessor();
    this.#check.stop();
    this.#feed.trouble.worked('question');
    this.noteRestored();
  }

  /** The watch is open. */
  succeed(): void {
    this.connected = true;
    this.lastFrameAt = this.#context.clock.monotonic();
    this.#feed.trouble.opened(this.lastFrameAt);
    this.#freshness.opened(this.lastFrameAt);
  }

  #disconnect(): void {
    if (this.connected) this.#freshness.closed(this.#context.clock.monotonic());
    this.connected = false;
  }
}
