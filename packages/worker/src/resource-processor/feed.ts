import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { SlotCensus, SlotRoles, VerifiableFeed } from '../migration-handler/index.ts';
import { Backoff } from './backoff.ts';
import { CollectionReader } from './collection-reader.ts';
import type { DataPlaneMetrics, Upstream } from './data-plane.ts';
import type { Diet } from './diet.ts';
import { type FeedKey, feedId, feedName, resourceName } from './feed-key.ts';
import { causeOf, codeOf, pauseAfter } from './failure-cause.ts';
import { hasGoneBack } from './feed-history.ts';
import { FeedLoader } from './feed-loader.ts';
import { proveFeed } from './feed-proof.ts';
import { FeedState, type Novelty } from './feed-state.ts';
import { FeedScope, neededSlots, type SlotSet } from './feed-scope.ts';
import { codecOf, type FrameCodec, type ObjectKind } from './frame-codec.ts';
import { readFrames } from './frame-stream.ts';
import { FrameView } from './frame-view.ts';
import { relist } from './feed-relist.ts';
import type { KindCatalog } from './kind-catalog.ts';
import type { Semaphore } from './semaphore.ts';
import type { SlotHash } from './slot-hash.ts';
import { SlotState, type Subscription } from './subscription.ts';
import { headerOf, UpstreamFailure } from './upstream-failure.ts';
import { isNewer, newerOf } from './version-order.ts';

/** What all feeds of a worker share. */
export interface FeedContext {
  readonly upstream: Upstream;
  readonly kinds: KindCatalog;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: Partial<DataPlaneMetrics> | undefined;
  /** Bounds relists that run at the same time. */
  readonly relists: Semaphore;
  readonly roles: () => SlotRoles | undefined;
  /** `auto`: the API server is asked for the objects of the needed slots only, where it narrows lists and watches. */
  readonly pushdown: 'auto' | 'off';
  /** Objects that are not to be sent although they should be (test fault `omit-one`). */
  readonly withholds: ((uid: string, slot: number) => boolean) | undefined;
  /** What is left out of a feed's objects; undefined for nothing. */
  readonly diet: (key: FeedKey, kind: ObjectKind, encoding: FrameCodec['encoding']) => Diet | undefined;
  /** A watch that says nothing for so long is opened again, ms; as frame-stream.ts has it when absent. */
  readonly silenceMs?: number | undefined;
  readonly onChange: () => void;
  /** A feed has found the API server's data to be older than before. */
  readonly onRewound?: () => void;
}

/** How a feed places its objects. */
export interface FeedSlots {
  readonly slotCount: number;
  readonly slotHash: SlotHash;
  /** What the hash is taken of; undefined where objects are not placed by hash. */
  readonly shardBy?: 'uid' | 'namespace';
  readonly quietSlot?: number;
  readonly unsharded?: boolean;
  readonly novelty?: (entry: object, view: FrameView) => Novelty;
}

/** A watch that lived for so long was no failed attempt. ms. */
const STEADY_MS = 1_000;
/** A collection below this size is read whole: its bytes are few, and an index that knows all of it moves slots cheaply. */
const PUSHDOWN_MIN_OBJECTS = 200;
/** Slots that are needed no more are left out after so long without a change: a decision rarely comes alone. ms. */
const NARROW_AFTER_MS = 5_000;

/**
 * One upstream watch and all that hangs on it. It never ends by itself: whatever happens to the connection, the
 * server or the resourceVersion, it goes on from where it was, and the exporter sees nothing but events.
 */
export class Feed implements VerifiableFeed {
  readonly key: FeedKey;
  readonly id: string;
  readonly name: string;
  readonly resource: string;
  readonly isQuiet: boolean;
  readonly reader: CollectionReader;
  /** Set once the first watch is open. */
  state: FeedState | undefined;
  /** Why the API server refuses this feed, while it does and has never done otherwise. */
  refusal: UpstreamFailure | undefined;
  /** What keeps the feed from getting on right now. */
  problem: string | undefined;
  connected = false;
  /** Requests of the exporter that wait for the feed to open. */
  waiting = 0;
  /** The exporter that it was opened for had been there before this process. */
  readonly isResumed: boolean;
  /** Test fault: nothing is read any more, and the watch is never opened again. */
  halted = false;
  readonly createdAt: number;
  /** When the newest bytes of the watch came, or the feed was opened; monotonic ms. */
  lastFrameAt: number;
  /** When the newest watch ended; monotonic ms. */
  #disconnectedAt = -Infinity;
  /** When the last subscription went, while there is none; monotonic ms. */
  idleSince: number;
  /** When an exporter last asked for everything, and when before that; monotonic ms. */
  startedAt = -Infinity;
  startedBeforeAt = -Infinity;
  readonly #context: FeedContext;
  readonly #slots: FeedSlots;
  readonly #backoff: Backoff;
  readonly #loader: FeedLoader;
  readonly #openWaiters = new Set<() => void>();
  #resumeFrom: string | undefined;
  /** Ends the open watch, so that another one follows from the same position. */
  #watchAbort = new AbortController();
  /** The watch was interrupted, by whatever, and nobody has asked since whether the API server is still what it was. */
  #wasInterrupted = false;
  #historyCheck = new AbortController();
  /** The API server has gone back to before what was seen: the next step is a comparison. */
  #isRewound = false;
  /** The API server has been seen to narrow what it sends. */
  #narrows = false;
  #plannedAt: number;
  /** Newest position that a consistent read has proved. */
  #proven: string | undefined;

  constructor(key: FeedKey, slots: FeedSlots, context: FeedContext, resumeFrom?: string) {
    this.key = key;
    this.id = feedId(key);
    this.name = feedName(key);
    this.resource = resourceName(key);
    this.isQuiet = slots.unsharded === true;
    this.#slots = slots;
    this.#context = context;
    this.#resumeFrom = resumeFrom;
    this.isResumed = resumeFrom !== undefined;
    this.#backoff = new Backoff(context.random);
    const { shardBy, slotCount } = slots;
    this.reader = new CollectionReader(
      context.upstream,
      key,
      context.random,
      shardBy === undefined ? undefined : { shardBy, slotCount },
    );
    this.#plannedAt = context.clock.monotonic();
    this.createdAt = context.clock.monotonic();
    this.lastFrameAt = this.createdAt;
    this.idleSince = this.createdAt;
    this.#loader = new FeedLoader(this, context);
  }

  /** Keeps the feed alive until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const first = await this.#openFirst(signal);
    if (first === undefined) return;
    try {
      await Promise.all([this.#follow(first, signal), this.#loader.run(signal)]);
    } finally {
      for (const subscription of this.state?.subscriptions.slice() ?? []) subscription.close();
      this.report();
    }
  }

  /** An exporter asks for everything: it, or a part of it, has started. */
  noteStart(): void {
    this.startedBeforeAt = this.startedAt;
    this.startedAt = this.#context.clock.monotonic();
  }

  /** Works towards the present roles of the slots. */
  plan(): void {
    this.#plannedAt = this.#context.clock.monotonic();
    if (this.state === undefined) return;
    const load = this.state.plan(this.#context.roles());
    if (this.state.widen(this.#context.roles())) this.#watchAbort.abort();
    this.state.flush();
    if (load || !this.state.filled) this.#loader.wake();
  }

  /** Takes a new subscription in: loads what it has to show, or completes it at once when that is nothing. */
  adopt(subscription: Subscription): void {
    this.plan();
    if (!subscription.slots.includes(SlotState.Loading)) this.state?.completeEmpty(subscription);
    this.#context.onChange();
  }

  /** Resolves true when the first watch is open, false when the server refuses it for good or `signal` aborts. */
  async opened(signal: AbortSignal): Promise<boolean> {
    while (this.state === undefined && !signal.aborted) {
      if (this.#isFinal(this.refusal)) return false;
      await this.#nextAttempt(signal);
    }
    return this.state !== undefined;
  }

  /** Leaves out what is not needed any more, where the API server does that, once things have settled. */
  tidy(): void {
    const isSettled = this.#context.clock.monotonic() - this.#plannedAt >= NARROW_AFTER_MS;
    if (!this.#narrows || !isSettled || !this.connected) return;
    if (this.state?.narrow(this.#context.roles()) === true) this.#watchAbort.abort();
  }

  /**
   * Newest sign that this feed hears the server, given the newest answered probe; monotonic ms. Probes count until the
   * watch ends: a quiet one that is opened again as usual was not deaf before.
   */
  proofAt(probedAt: number): number {
    return Math.max(this.lastFrameAt, this.connected ? probedAt : Math.min(probedAt, this.#disconnectedAt));
  }

  /** Stops the feed for good (test fault). */
  halt(): void {
    this.halted = true;
    this.#disconnect();
    this.#watchAbort.abort();
  }

  /** Whether the API server has got as far as `version` now: whoever claims more holds what is not there any more. */
  async reaches(version: string, signal: AbortSignal): Promise<boolean> {
    if (!isNewer(version, this.#require().horizon)) return true;
    return !isNewer(version, (await this.reader.position(signal)).version);
  }

  async prove(signal: AbortSignal, version?: string): Promise<string> {
    const known =
      this.#proven === undefined ? this.#require().position : newerOf(this.#proven, this.#require().position);
    if (version !== undefined && !isNewer(version, known)) return version;
    this.#proven = await proveFeed(this, this.#context.clock, signal);
    return this.#proven;
  }

  count(slots: ReadonlySet<number>): number {
    const state = this.#require();
    if (!this.connected || !state.filled) throw new Error('it does not follow the API server');
    let count = 0;
    for (const slot of slots) count += state.index.sentInSlot(slot);
    return count;
  }

  census(slots: ReadonlySet<number>, version: string): SlotCensus {
    if (this.state === undefined) throw new Error('the feed is not open');
    return this.state.census(slots, version);
  }

  /** A missing kind is final for this request; a missing right is not, because RBAC caches fill late. */
  #isFinal(refusal: UpstreamFailure | undefined): boolean {
    if (refusal === undefined) return false;
    return refusal.status === 404 || refusal.status === 405 || refusal.status === 406;
  }

  #nextAttempt(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#openWaiters.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#openWaiters.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  async #openFirst(signal: AbortSignal): Promise<StreamResponse | undefined> {
    const { kinds, clock } = this.#context;
    while (!signal.aborted) {
      try {
        const kind = await kinds.find(this.key.group, this.key.version, this.key.resource, signal);
        const present = await this.#present(signal);
        // An exporter that is ahead of what there is now saw what a restored backup of etcd has undone.
        if (this.#resumeFrom !== undefined && isNewer(this.#resumeFrom, present)) this.#resumeFrom = undefined;
        const position = this.#resumeFrom ?? present;
        // An exporter from before this process may hold anything: its first state is compared with all there is.
        const scope = this.#narrows && this.#resumeFrom === undefined ? this.#neededNow() : undefined;
        const response = await this.reader.watch(position, signal, new FeedScope(scope, position).list());
        this.#begin(kind, codecOf(headerOf(response, 'content-type')), position, scope);
        return response;
      } catch (error) {
        if (signal.aborted) return undefined;
        // The exporter's resourceVersion is too old to be resumed: it will be told to list again.
        if (error instanceof UpstreamFailure && error.status === 410) this.#resumeFrom = undefined;
        this.#fail(error);
        this.#context.metrics?.reconnect?.(this.resource, causeOf(error));
        for (const wake of this.#openWaiters) wake();
        await clock.sleep(pauseAfter(error, this.#backoff), signal);
      }
    }
    return undefined;
  }

  /** The present position. Finds out on the way whether the server narrows what it sends, where that would pay. */
  async #present(signal: AbortSignal): Promise<string> {
    const { version, total } = await this.reader.position(signal);
    const isWorthwhile = total === undefined || total >= PUSHDOWN_MIN_OBJECTS;
    const { pushdown, metrics, logger } = this.#context;
    if (pushdown === 'off' || this.#slots.shardBy === undefined) return version;
    const narrows = isWorthwhile && (await this.#honoursSlots(signal));
    if (narrows !== this.#narrows) {
      logger.info({ feed: this.name, narrows }, 'whether the API server is asked for the needed slots only');
    }
    this.#narrows = narrows;
    metrics?.pushdown?.(this.resource, narrows);
    return version;
  }

  async #honoursSlots(signal: AbortSignal): Promise<boolean> {
    try {
      return await this.reader.honoursSlots(signal, this.#slots.slotHash);
    } catch (error) {
      // A server that knows the parameter but not our use of it refuses it (500): it is asked for everything then.
      if (error instanceof UpstreamFailure && [400, 422, 500].includes(error.status)) return false;
      throw error;
    }
  }

  #neededNow(): SlotSet {
    return neededSlots(this.#slots.slotCount, this.#context.roles(), []);
  }

  #begin(kind: ObjectKind, codec: FrameCodec, position: string, scope: SlotSet | undefined): void {
    const { clock, onChange, withholds, diet, logger } = this.#context;
    this.state = new FeedState({
      kind,
      codec,
      position,
      scope,
      ...this.#slots,
      withholds,
      diet: diet(this.key, kind, codec.encoding),
      now: () => clock.monotonic(),
      onChange,
      onShed: () => logger.warn({ feed: this.name }, 'a watch of the exporter is ended: too much waited for it'),
      onRewound: (lost, version) => this.#rewound(lost, version),
    });
    this.refusal = undefined;
    this.#succeed();
    for (const wake of this.#openWaiters) wake();
    this.#loader.wake();
    onChange();
  }

  async #follow(first: StreamResponse, signal: AbortSignal): Promise<void> {
    let response: StreamResponse | undefined = first;
    while (!signal.aborted) {
      if (this.halted) {
        await this.#nextAttempt(signal);
        continue;
      }
      if (this.#isRewound) {
        this.#isRewound = false;
        await this.#relist(signal);
        continue;
      }
      if (response === undefined) this.#watchAbort = new AbortController();
      const { signal: stop } = this.#watchAbort;
      try {
        response ??= await this.#reopen(signal);
        await this.#consume(response, AbortSignal.any([signal, stop]));
      } catch (error) {
        // At once: what follows may take as long as the server likes.
        this.#disconnect();
        if (signal.aborted || this.halted || stop.aborted) continue;
        await this.#recover(error, signal);
      } finally {
        response = undefined;
        this.#disconnect();
      }
    }
  }

  async #reopen(signal: AbortSignal): Promise<StreamResponse> {
    const { position, scope } = this.#require();
    const response = await this.reader.watch(position, signal, scope.list());
    this.#succeed();
    this.#context.onChange();
    if (this.#wasInterrupted) void this.#checkHistory(signal);
    return response;
  }

  async #checkHistory(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#context;
    this.#historyCheck.abort();
    this.#historyCheck = new AbortController();
    this.#wasInterrupted = false;
    const either = AbortSignal.any([signal, this.#historyCheck.signal]);
    if (!(await hasGoneBack(this, clock, new Backoff(random), either))) return;
    this.#isRewound = true;
    this.#watchAbort.abort();
  }

  #rewound(lost: string, version: string): void {
    const { metrics, logger, onRewound } = this.#context;
    this.#proven = undefined;
    metrics?.relist?.(this.resource, 'restored');
    logger.warn(
      { feed: this.name, lost, version },
      'the API server went back to an older state, as after the restore of an etcd backup: the exporter follows it',
    );
    onRewound?.();
  }

  async #consume(response: StreamResponse, signal: AbortSignal): Promise<void> {
    const state = this.#require();
    const view = new FrameView();
    const { clock, silenceMs } = this.#context;
    const openedAt = clock.monotonic();
    let frames = 0;
    const stop = (): void => void response.body.destroy(new Error('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      await readFrames({
        response,
        codec: state.codec,
        view,
        silenceMs,
        frame: (start, end) => {
          // What a watch of another scope still brings would move the position past events that it does not bring.
          if (signal.aborted) return false;
          frames++;
          this.#event(state, view, start, end);
          return true;
        },
        chunk: () => {
          this.lastFrameAt = clock.monotonic();
          state.flush();
          return state.room();
        },
      });
    } finally {
      signal.removeEventListener('abort', stop);
      // What came before a failure is good, and the next chunk may be a minute away.
      state.flush();
      if (clock.monotonic() - openedAt >= STEADY_MS) this.#backoff.reset();
    }
    if (signal.aborted) return;
    this.#wasInterrupted = true;
    // A watch that ends at its time is opened again at once; one that ends right after its start must not spin.
    if (frames === 0 && clock.monotonic() - openedAt < STEADY_MS) {
      this.#context.metrics?.reconnect?.(this.resource, 'short');
      await clock.sleep(this.#backoff.next(), signal);
    } else {
      this.#backoff.reset();
      this.#context.metrics?.reconnect?.(this.resource, 'end');
      if (!this.#narrows || state.unsolicited > 0) await this.#present(signal);
      state.unsolicited = 0;
    }
  }

  #event(state: FeedState, view: FrameView, start: number, end: number): void {
    if (view.type === 'ERROR') throw new UpstreamFailure(this.key.path, state.codec.readStatus(view));
    if (view.type === 'UNKNOWN') {
      throw new UpstreamFailure(this.key.path, {
        code: 0,
        reason: 'UnknownEvent',
        message: 'unknown type of watch event',
      });
    }
    state.live(view, start, end);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { metrics, clock } = this.#context;
    const isExpired = error instanceof UpstreamFailure && error.status === 410;
    this.#fail(error);
    this.#wasInterrupted = true;
    if (isExpired) {
      metrics?.relist?.(this.resource, 'expired');
      await this.#relist(signal);
      // A server that goes on to refuse what it has just listed must not be asked without a pause.
      await clock.sleep(this.#backoff.next(), signal);
      return;
    }
    metrics?.reconnect?.(this.resource, causeOf(error));
    await clock.sleep(pauseAfter(error, this.#backoff), signal);
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { clock, relists } = this.#context;
    while (!signal.aborted && !this.halted) {
      try {
        await relists.run(() => this.#loader.exclusively(() => relist(this.#require(), this.reader, signal)));
        this.#context.logger.debug({ feed: this.name }, 'the watch could not be resumed: compared with the cluster');
        this.#loader.wake();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#fail(error);
        this.#context.metrics?.loadFailure?.(this.resource, causeOf(error));
        await clock.sleep(pauseAfter(error, this.#backoff), signal);
      }
    }
  }

  #succeed(): void {
    this.connected = true;
    this.problem = undefined;
    this.lastFrameAt = this.#context.clock.monotonic();
  }

  #disconnect(): void {
    if (this.connected) this.#disconnectedAt = this.#context.clock.monotonic();
    this.connected = false;
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    // A refusal concerns this feed alone and needs a person; an interruption mostly concerns all, who report it as one.
    const isRefusal = error instanceof UpstreamFailure && [401, 403, 404, 405, 406].includes(error.status);
    if (message !== this.problem) {
      this.#context.logger[isRefusal ? 'warn' : 'debug']({ feed: this.name, code: codeOf(error) }, message);
    }
    this.problem = message;
    if (this.state === undefined) {
      this.refusal = error instanceof UpstreamFailure && error.status < 500 && error.status !== 429 ? error : undefined;
      this.#context.onChange();
    }
  }

  #require(): FeedState {
    if (this.state === undefined) throw new Error(`feed ${this.name} is not open`);
    return this.state;
  }

  /** Adds what went through since the last report to the counters. */
  report(): void {
    const { state } = this;
    if (state === undefined || (state.received === 0 && state.kept === 0)) return;
    this.#context.metrics?.frames?.(this.resource, state.received, state.kept);
    this.#context.metrics?.bytes?.(this.resource, state.receivedBytes, state.keptBytes);
    state.received = 0;
    state.kept = 0;
    state.receivedBytes = 0;
    state.keptBytes = 0;
    if (state.diet === undefined) return;
    this.#context.metrics?.cut?.(this.resource, state.diet.cutBytes);
    state.diet.cutBytes = 0;
  }
}
