import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Backoff, Semaphore, Wakeup } from '@shard-controller/shared/runtime';
import {
  causeOf,
  type CollectionReader,
  type FeedKey,
  headerOf,
  pauseAfter,
  upstreamBackoff,
  UpstreamFailure,
} from '../../upstream/index.ts';
import { codecOf, MAX_RESOURCE_VERSION, type FrameCodec, FrameView, readFrames } from '../../wire/index.ts';
import {
  abandonLoad,
  beginLoad,
  completeLoad,
  type FeedState,
  type LoadCoverage,
  loadingSlots,
  offerItem,
  SlotState,
} from '../books/index.ts';
import type { FeedContext } from './context.ts';
import { fetchEach, type KnownObject, MAX_SINGLE_GETS } from './relist.ts';
import type { FeedTrouble } from '../health/index.ts';

/** A stream of what is there that says nothing for so long is opened again. ms. */
const LOAD_SILENCE_MS = 15_000;

/** Pause before a list that nothing waits for is tried again; added to the back-off. ms. */
const LOOK_AGAIN_MS = 3_000;

/** A list of everything is taken rather than single reads of more than one object in so many. */
const LIST_SHARE = 3;
/** Objects of a list are passed on in pieces of this size: one write to the exporter each, not one per TLS record. Bytes. */
const PIECE_BYTES = 64 * 1024;

/** A streamed list ended before its last object. @remedy none: it is listed again. */
class TruncatedListError extends Error {
  override readonly name = 'TruncatedListError';
  readonly code = 'SC_TRUNCATED_LIST';
}

/** What a loader needs of its feed. */
export interface LoadedFeed {
  readonly key: FeedKey;
  readonly name: string;
  readonly resource: string;
  readonly reader: CollectionReader;
  readonly state: FeedState | undefined;
  readonly connected: boolean;
  /** A watch for other slots than those of the open one is being opened. */
  readonly isChanging: boolean;
  /** How often its watch was opened again. */
  readonly openings: number;
  /** Asks whether the API server was restored. */
  checkForRestore(): void;
  readonly trouble: FeedTrouble;
}

/**
 * Lists what was there before a slot was marked: one list for all slots and subscriptions that wait for it, whatever
 * their number. Start, move, exporter restart and worker restart all load this way.
 */
export class FeedLoader {
  readonly #feed: LoadedFeed;
  readonly #context: FeedContext;
  readonly #wakeup: Wakeup;
  readonly #turn = new Semaphore(1);
  readonly #backoff: Backoff;
  #abort = new AbortController();
  /** Ends a pause that is no longer needed. */
  #idle = new AbortController();
  /** The load in progress fills the index alone. */
  #servesNobody = false;

  constructor(feed: LoadedFeed, context: FeedContext) {
    this.#feed = feed;
    this.#context = context;
    this.#wakeup = new Wakeup(context.clock);
    this.#backoff = upstreamBackoff(context.random);
  }

  wake(): void {
    // A first list that began before any slot was wanted would be followed by another one: that one is begun at once.
    if (this.#servesNobody && this.#isWaitedFor()) this.#abort.abort();
    this.#wakeup.wake();
    this.#idle.abort();
  }

  /** Runs `work` while no load is in progress; one that is gets stopped and starts over afterwards. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#abort.abort();
    return this.#turn.run(work);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wakeup.wait(undefined, signal);
      this.#wakeup.reset();
      // Requests that waited for the feed to open subscribe in this turn: a load before them would serve none of them.
      await nextTurn();
      while (!signal.aborted && (this.#isNeeded() || this.#feed.trouble.has('load'))) {
        await this.#turn.run(() => (this.#isNeeded() ? this.#attempt(signal) : this.#lookAgain(signal)));
      }
    }
  }

  /** Nothing is left to list, but the last list failed: whether another one would is worth to know. */
  async #lookAgain(signal: AbortSignal): Promise<void> {
    const { clock, onChange } = this.#context;
    this.#abort = new AbortController();
    this.#idle = new AbortController();
    const either = AbortSignal.any([signal, this.#abort.signal]);
    const startedAt = clock.monotonic();
    try {
      await this.#feed.reader.position(either);
      this.#backoff.reset();
      this.#feed.trouble.worked('load');
      onChange();
    } catch (error) {
      if (either.aborted) return;
      this.#note(error, startedAt);
      const pause = LOOK_AGAIN_MS + pauseAfter(error, this.#backoff);
      await clock.sleep(pause, AbortSignal.any([either, this.#idle.signal]));
    }
  }

  #isNeeded(): boolean {
    const { state } = this.#feed;
    // What happens to objects of new slots after they are listed has to come by the watch.
    if (state === undefined || this.#feed.isChanging) return false;
    return !state.filled || this.#isWaitedFor();
  }

  #isWaitedFor(): boolean {
    return this.#feed.state?.subscriptions.some(({ slots }) => slots.includes(SlotState.Loading)) === true;
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { state } = this.#feed;
    if (state === undefined || !this.#isNeeded()) return;
    this.#abort = new AbortController();
    const either = AbortSignal.any([signal, this.#abort.signal]);
    const coverage = beginLoad(state);
    const { openings, trouble } = this.#feed;
    const startedAt = this.#context.clock.monotonic();
    const isFirst = !state.filled;
    this.#servesNobody = coverage.size === 0;
    try {
      const known = this.#singles(state);
      const version =
        known === undefined
          ? await this.#load(state, coverage, either)
          : await this.#loadEach(state, coverage, known, either);
      completeLoad(state, coverage, version);
      // No caller has asked about the first watch; and a caller that asked about a later one did not know what was loading.
      if (isFirst || this.#feed.openings !== openings) this.#feed.checkForRestore();
      this.#backoff.reset();
      trouble.worked('load');
    } catch (error) {
      this.#servesNobody = false;
      abandonLoad(state);
      state.flush();
      if (either.aborted) return;
      this.#note(error, startedAt);
      this.#context.metrics?.loadFailure?.(this.#feed.resource, causeOf(error));
      await this.#context.clock.sleep(pauseAfter(error, this.#backoff), either);
    } finally {
      this.#servesNobody = false;
    }
  }

  /**
   * The objects to fetch one by one, when that reads less than a list: an index that knows every object says which ones
   * there are, and mostly there are none. Undefined when it has to be a list.
   */
  #singles(state: FeedState): readonly KnownObject[] | undefined {
    const { connected, key, reader } = this.#feed;
    if (!state.filled || !state.scope.isEverything || !connected || !reader.readsSingles) return undefined;
    // A single read brings an object that has left the selection, too.
    if (key.fieldSelector !== '' || key.labelSelector !== '') return undefined;
    // A list says as of when an object is gone that a resumed exporter may hold; a single read does not.
    if (state.subscriptions.some(({ resumedUntil }) => resumedUntil === MAX_RESOURCE_VERSION)) return undefined;
    const loading = loadingSlots(state.subscriptions);
    const known: KnownObject[] = [];
    for (const [uid, { slot, namespace, name }] of state.index.entries()) {
      if (loading.has(slot)) known.push({ uid, namespace, name });
    }
    const isCheaper = known.length <= MAX_SINGLE_GETS && known.length * LIST_SHARE <= state.index.size;
    return isCheaper ? known : undefined;
  }

  /** What is created meanwhile comes by the watch, and so do deletions. */
  async #loadEach(
    state: FeedState,
    coverage: LoadCoverage,
    known: readonly KnownObject[],
    signal: AbortSignal,
  ): Promise<string> {
    const framed = new FrameView();
    const missing = await fetchEach(this.#feed.reader, known, signal, (object) => {
      const frame = state.codec.event('ADDED', state.kind, object);
      state.codec.readWhole(frame, framed);
      // A single read knows no selector: the object may be there still, and have left the collection.
      if (state.index.get(framed.uid()) === undefined) return undefined;
      this.#offer(state, coverage, framed, 0, frame.length);
      state.flush();
      return state.room();
    });
    // A deletion that a read has seen before the watch: until the watch is there, the count is short of it.
    return missing === 0 ? state.position : (await this.#feed.reader.position(signal)).version;
  }

  async #load(state: FeedState, coverage: LoadCoverage, signal: AbortSignal): Promise<string> {
    try {
      return await this.#loadByWatchList(state, coverage, signal);
    } catch (error) {
      // Asked again each time: replicas of an API server that is being upgraded differ.
      const isUnknown = error instanceof UpstreamFailure && (error.status === 422 || error.status === 400);
      if (!isUnknown) throw error;
      this.#context.logger.debug({ feed: this.#feed.name }, 'the API server has no WatchList here: lists are paged');
    }
    return this.#loadByPages(state, coverage, signal);
  }

  async #loadByWatchList(state: FeedState, coverage: LoadCoverage, signal: AbortSignal): Promise<string> {
    const view = new FrameView();
    const response = await this.#feed.reader.watchList(state.highWatermark, signal, slotsToList(state));
    const codec = codecOf(headerOf(response, 'content-type'));
    let version: ResourceVersion | undefined;
    let piece = 0;
    const stop = (): void => void response.body.destroy(new Error('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      await readFrames({
        response,
        codec,
        view,
        silenceMs: LOAD_SILENCE_MS,
        frame: (start, end) => {
          if (view.type === 'ERROR') throw new UpstreamFailure(this.#feed.key.path, codec.readStatus(view));
          if (view.type === 'BOOKMARK') {
            if (view.initialEventsEnd) version = view.resourceVersion();
            return version === undefined;
          }
          // A deletion here comes by the watch as well, which alone says when.
          if (view.type === 'ADDED' || view.type === 'MODIFIED') {
            this.#offer(state, coverage, view, start, end);
            piece += end - start;
          }
          return true;
        },
        chunk: () => {
          if (piece < PIECE_BYTES) return undefined;
          piece = 0;
          state.flush();
          return state.room();
        },
      });
    } finally {
      signal.removeEventListener('abort', stop);
    }
    if (version === undefined) throw new TruncatedListError('the list ended before it was complete');
    return version;
  }

  async #loadByPages(state: FeedState, coverage: LoadCoverage, signal: AbortSignal): Promise<string> {
    const framed = new FrameView();
    const offer = (codec: FrameCodec, view: FrameView): Promise<void> | undefined => {
      const object = view.bytes.subarray(view.objectStart, view.objectEnd);
      const frame = codec.event('ADDED', state.kind, object);
      codec.readWhole(frame, framed);
      this.#offer(state, coverage, framed, 0, frame.length);
      state.flush();
      return state.room();
    };
    return this.#feed.reader.objects(signal, offer, slotsToList(state));
  }

  #offer(state: FeedState, coverage: LoadCoverage, view: FrameView, wireStart: number, wireEnd: number): void {
    offerItem(state, coverage, view, wireStart, wireEnd);
    this.#feed.trouble.gotOn(this.#context.clock.monotonic());
  }

  #note(error: unknown, startedAt: number): void {
    const { name, trouble } = this.#feed;
    const before = trouble.problem;
    trouble.failed('load', error, this.#context.clock.monotonic(), startedAt);
    if (trouble.problem !== before) {
      this.#context.logger.warn({ feed: name, problem: trouble.problem }, 'a list failed; retrying');
    }
    this.#context.onChange();
  }
}

/** What has to be listed where the server narrows lists; undefined: everything. */
function slotsToList(state: FeedState): readonly number[] | undefined {
  const scope = state.scope.list();
  if (scope === undefined || !state.filled) return scope;
  return [...loadingSlots(state.subscriptions)].sort((a, b) => a - b);
}
