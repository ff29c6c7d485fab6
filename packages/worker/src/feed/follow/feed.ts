import type { StreamResponse, ResourceVersion } from '@shard-controller/shared/kubernetes';
import { type Backoff, errorCode } from '@shard-controller/shared/runtime';
import { SlotRole } from '../../slots/index.ts';
import {
  causeOf,
  CollectionReader,
  feedId,
  type FeedKey,
  feedName,
  headerOf,
  pauseAfter,
  resourceName,
  type Selection,
  selectionOf,
  upstreamBackoff,
  UpstreamFailure,
  type AnswerTimes,
  TimedUpstream,
} from '../../upstream/index.ts';
import { codecOf, type FrameCodec, isBehind, isNewer, newerOf, type ObjectKind } from '../../wire/index.ts';
import {
  awaitsDeletions,
  completeEmpty,
  CountError,
  FeedScope,
  FeedState,
  lateUntil,
  letGo,
  letGoUnasked,
  narrowScope,
  neededSlots,
  reconcileSlots,
  type SlotDigest,
  type SlotSet,
  SlotState,
  type Subscription,
  widenScope,
} from '../books/index.ts';
import type { FeedContext, FeedSlots } from './context.ts';
import { FeedLoader } from './loader.ts';
import type { Outage } from './outage.ts';
import { ProofError, proveFeed } from './proof.ts';
import { FeedPushdown } from './pushdown.ts';
import { FeedTrouble } from './trouble.ts';
import { FeedWatch } from './watch.ts';

/** Slots that are needed no more are left out after so long without a change: a decision rarely comes alone. ms. */
const NARROW_AFTER_MS = 5_000;
/** Pause between two brief watches; longer than one of them. ms. */
const HASTEN_EVERY_MS = 12_000;

/**
 * One collection as the API server tells it, and all who watch it here. It never ends by itself: whatever happens to the
 * connection, the server or the resourceVersion, it continues from where it was, and the exporter sees nothing but events.
 */
export class Feed {
  readonly key: FeedKey;
  readonly id: string;
  readonly name: string;
  readonly resource: string;
  readonly selection: Selection;
  readonly isQuiet: boolean;
  readonly reader: CollectionReader;
  /** Set once the first watch is open. */
  state: FeedState | undefined;
  /** Why the API server refuses this feed, while it does and has never done otherwise. */
  refusal: UpstreamFailure | undefined;
  readonly trouble = new FeedTrouble();
  /** Since when its kind cannot be read while others can, and why; undefined while it can. */
  outage: Outage | undefined;
  /** The exporter that it was opened for was resumed. */
  readonly isResumed: boolean;
  readonly createdAt: number;
  readonly #context: FeedContext;
  readonly #slots: FeedSlots;
  readonly #upstream: TimedUpstream;
  readonly #backoff: Backoff;
  readonly #loader: FeedLoader;
  readonly #pushdown: FeedPushdown;
  readonly #watch: FeedWatch;
  readonly #openWaiters = new Set<() => void>();
  /** Requests of the exporter that wait for the feed. */
  #waiting = 0;
  #idleSince: number;
  #startedAt = -Infinity;
  #startedBeforeAt = -Infinity;
  #leftAt = -Infinity;
  #resumeFrom: ResourceVersion | undefined;
  #initialSyncComplete: boolean;
  #hastenedAt = -Infinity;
  #plannedAt: number;
  /** Newest position that a consistent read has proved. */
  #proven: string | undefined;

  /**
   * @param resumeFrom where a resumed exporter stands.
   * @param initialSyncComplete whether it had shown everything.
   */
  constructor(
    key: FeedKey,
    slots: FeedSlots,
    context: FeedContext,
    resumeFrom?: ResourceVersion,
    initialSyncComplete = resumeFrom !== undefined,
  ) {
    this.key = key;
    this.id = feedId(key);
    this.name = feedName(key);
    this.resource = resourceName(key);
    this.selection = selectionOf(key);
    this.isQuiet = slots.unsharded === true;
    this.#slots = slots;
    this.#context = context;
    this.#resumeFrom = resumeFrom;
    this.isResumed = resumeFrom !== undefined;
    this.#initialSyncComplete = initialSyncComplete;
    this.#backoff = upstreamBackoff(context.random);
    const { shardBy, slotCount } = slots;
    this.#upstream = new TimedUpstream(context.upstream, context.clock);
    this.reader = new CollectionReader(
      this.#upstream,
      key,
      context.random,
      shardBy === undefined ? undefined : { shardBy, slotCount },
    );
    this.#plannedAt = context.clock.monotonic();
    this.createdAt = context.clock.monotonic();
    this.#idleSince = this.createdAt;
    this.#loader = new FeedLoader(this, context);
    this.#pushdown = new FeedPushdown(this, slots, context);
    this.#watch = new FeedWatch(this, context, this.#loader, this.#pushdown, this.#backoff);
  }

  /** What keeps the feed from getting on right now. */
  get problem(): string | undefined {
    return this.trouble.problem ?? this.outage?.problem;
  }

  /** Why its kind cannot be counted now, and is not to be waited for. */
  get unavailable(): string | undefined {
    return this.outage?.problem;
  }

  /** Since when its kind is broken; monotonic ms. Undefined while it is not, though it may have a problem for a moment. */
  get problemSince(): number | undefined {
    return this.outage?.since;
  }

  /** When the API server last answered a read of it. */
  get answers(): AnswerTimes {
    return this.#upstream.answers;
  }

  get connected(): boolean {
    return this.#watch.connected;
  }

  /** A watch for other slots than those of the open one is being opened. */
  get isChanging(): boolean {
    return this.#watch.isChanging;
  }

  get openings(): number {
    return this.#watch.openings;
  }

  checkForRestore(): void {
    this.#watch.checkForRestore();
  }

  /** Compares the watch with what the API server says now. */
  compare(): void {
    this.#watch.compare();
  }

  /** When the newest bytes of the watch came, or the feed was opened; monotonic ms. */
  get lastFrameAt(): number {
    return this.#watch.lastFrameAt;
  }

  /** Keeps the feed alive until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const first = await this.#openFirst(signal);
    if (first === undefined) return;
    try {
      await Promise.all([this.#watch.follow(this.#require(), first, signal), this.#loader.run(signal)]);
    } finally {
      for (const subscription of this.state?.subscriptions.slice() ?? []) subscription.close();
      this.report();
    }
  }

  /** The exporter has shown all of it since it last asked for it from nothing, here or before this process. */
  get initialSyncComplete(): boolean {
    return this.state?.initialSyncComplete ?? this.#initialSyncComplete;
  }

  /** An exporter asks for everything: it, or a part of it, has started. `fromNothing`: it holds nothing meanwhile. */
  noteStart(fromNothing: boolean): void {
    if (fromNothing) {
      this.#initialSyncComplete = false;
      this.state?.noteStart();
    }
    this.#startedBeforeAt = this.#startedAt;
    this.#startedAt = this.#context.clock.monotonic();
  }

  /** When an exporter last asked for everything; monotonic ms. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** When it did so the time before that; monotonic ms. */
  get startedBeforeAt(): number {
    return this.#startedBeforeAt;
  }

  /** The exporter has left a watch that was kept silent; to be reported to the feed of the CRDs. */
  noteLeft(): void {
    if (this.#leftAt <= this.#startedAt) this.#leftAt = this.#context.clock.monotonic();
  }

  /** When the exporter first left a watch of its newest start that had been kept silent; monotonic ms. */
  get leftAt(): number {
    return this.#leftAt;
  }

  /** The feed is not idle although it has no watch: the exporter is about to open one. */
  noteUse(): void {
    this.#idleSince = this.#context.clock.monotonic();
  }

  /** When it was last in use; monotonic ms. */
  get idleSince(): number {
    return this.#idleSince;
  }

  /** The exporter watches it, or waits for it. */
  get isUsed(): boolean {
    return this.#waiting > 0 || (this.state?.subscriptions.length ?? 0) > 0;
  }

  /** The exporter waits for the feed while `work` runs. */
  async whileWaiting<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    try {
      return await work();
    } finally {
      this.#waiting--;
      // One that was refused at once has been seen by nobody.
      this.noteUse();
    }
  }

  /** Works towards the present roles of the slots. */
  plan(): void {
    this.#plannedAt = this.#context.clock.monotonic();
    if (this.state === undefined) return;
    const load = reconcileSlots(this.state, this.#context.roles());
    if (widenScope(this.state, this.#context.roles())) this.#watch.restart();
    this.state.flush();
    if (load || !this.state.filled) this.#loader.wake();
  }

  /** Takes a new subscription in: loads what it has to show, or completes it at once when that is nothing. */
  adopt(subscription: Subscription): void {
    this.plan();
    const isLoading = subscription.slots.includes(SlotState.Loading);
    if (this.state !== undefined && !isLoading) completeEmpty(this.state, subscription);
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

  /**
   * Asks for a bookmark where a resumed exporter waits for the watch to pass its load. Leaves out what
   * is no longer needed, where the API server does that, once things have settled.
   */
  tidy(): void {
    if (this.state === undefined) return;
    letGoUnasked(this.state);
    if (!this.connected) return;
    this.#watch.tend();
    this.#hasten(this.state);
    const isSettled = this.#context.clock.monotonic() - this.#plannedAt >= NARROW_AFTER_MS;
    if (!this.#pushdown.narrows || !isSettled) return;
    if (narrowScope(this.state, this.#context.roles())) this.#watch.restart();
  }

  /**
   * Until the watch has passed the load of such an exporter, a gap in the watch would hide deletions from it, and it would
   * have to list again. On a quiet kind that takes up to a minute: a brief watch ends it within seconds.
   */
  #hasten(state: FeedState): void {
    const now = this.#context.clock.monotonic();
    if (!awaitsDeletions(state) || now - this.#hastenedAt < HASTEN_EVERY_MS) return;
    this.#hastenedAt = now;
    this.#watch.hasten();
  }

  /** When the watch was last compared with a consistent read; monotonic ms. */
  get comparedAt(): number {
    return this.#watch.comparedAt;
  }

  /** As of when everything is known to have come, given when the newest answered probe was sent; monotonic ms. */
  proofAt(probedAt: number): number {
    return this.#watch.proofAt(probedAt);
  }

  /** Whether the API server has got as far as `version` now: an exporter that claims more holds objects that no longer exist. */
  async reaches(version: ResourceVersion, signal: AbortSignal): Promise<boolean> {
    if (!isNewer(version, this.#require().highWatermark)) return true;
    return !isNewer(version, (await this.reader.position(signal)).version);
  }

  restored(): void {
    this.#proven = undefined;
  }

  hasReached(version: ResourceVersion): boolean {
    const { position } = this.#require();
    return !isNewer(version, this.#proven === undefined ? position : newerOf(this.#proven, position));
  }

  async prove(signal: AbortSignal, version?: ResourceVersion): Promise<ResourceVersion> {
    const position = await this.#prove(signal, version);
    // Only for slots that come: what it is yet to render of them, nobody may show when the other shard lets go.
    if (this.#context.roles()?.includes(SlotRole.Warm) === true) await this.#rendered(signal);
    return position;
  }

  async shows(slots: ReadonlySet<number>, version: ResourceVersion, signal: AbortSignal): Promise<boolean> {
    await this.#prove(signal, version);
    if (!this.hasReached(version)) return false;
    await this.#rendered(signal);
    const watches = this.#require().subscriptions.filter(({ attached }) => attached);
    return (
      watches.length > 0 && watches.every((watch) => [...slots].every((slot) => watch.slots[slot] === SlotState.Shown))
    );
  }

  lateUntil(slots: ReadonlySet<number>): string | undefined {
    this.state?.noteLateAsked();
    return this.state === undefined ? undefined : lateUntil(this.state, slots);
  }

  letGo(slots: ReadonlySet<number>, version: ResourceVersion): void {
    if (this.state !== undefined) letGo(this.state, slots, version);
  }

  async #prove(signal: AbortSignal, version?: ResourceVersion): Promise<ResourceVersion> {
    if (version !== undefined && this.hasReached(version)) return version;
    const { clock, proofs } = this.#context;
    try {
      this.#proven = await proveFeed(this, clock, proofs, signal);
    } catch (error) {
      // Asked until there is an answer: whether it stays so decides whether moves wait for it.
      if (error instanceof UpstreamFailure && !this.trouble.has('question')) this.checkForRestore();
      throw error;
    }
    return this.#proven;
  }

  /**
   * Resolves once the exporter has rendered everything that it was sent until now. Throws when that is not so before
   * `signal` aborts.
   */
  async #rendered(signal: AbortSignal): Promise<void> {
    const state = this.#require();
    const open = state.subscriptions.filter(({ attached, isRendered }) => attached && !isRendered);
    if (open.length === 0) return;
    const { promise, resolve } = Promise.withResolvers<false>();
    const abort = (): void => resolve(false);
    signal.addEventListener('abort', abort, { once: true });
    const all = Promise.all(open.map((subscription) => subscription.acknowledge(state.position)));
    const isRendered = await Promise.race([all.then((each) => each.every(Boolean)), promise]);
    signal.removeEventListener('abort', abort);
    if (!isRendered) throw new ProofError('its exporter has not rendered everything yet');
  }

  count(slots: ReadonlySet<number>): number {
    const state = this.#require();
    if (!this.connected || !state.filled) throw new CountError('it does not follow the API server');
    let count = 0;
    for (const slot of slots) count += state.index.sentInSlot(slot);
    return count;
  }

  digest(slots: ReadonlySet<number>, version: ResourceVersion, namespaces?: ReadonlySet<string>): SlotDigest {
    return this.#require().digest(slots, version, namespaces);
  }

  compared(slots: ReadonlySet<number>, migration: string, version: ResourceVersion): void {
    this.#require().verified.compared(slots, migration, version);
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
        const present = await this.#pushdown.present(signal);
        // An exporter that is ahead of what there is now saw what a restored backup of etcd has undone.
        if (this.#resumeFrom !== undefined && isBehind(present, this.#resumeFrom)) {
          this.#resumeFrom = undefined;
          this.#watch.noteReturn();
        }
        const position = this.#resumeFrom ?? present;
        // A resumed exporter may hold anything: its first state is compared with all there is.
        const scope = this.#pushdown.narrows && this.#resumeFrom === undefined ? this.#neededNow() : undefined;
        const response = await this.reader.watch(position, signal, new FeedScope(scope, position).list());
        this.#begin(kind, codecOf(headerOf(response, 'content-type')), position, scope);
        return response;
      } catch (error) {
        if (signal.aborted) return undefined;
        // The exporter's resourceVersion is too old to be resumed: it will be answered 410 and lists again.
        if (error instanceof UpstreamFailure && error.status === 410) this.#resumeFrom = undefined;
        this.fail(error);
        this.#context.metrics?.reconnect?.(this.resource, causeOf(error));
        for (const wake of this.#openWaiters) wake();
        await clock.sleep(pauseAfter(error, this.#backoff), signal);
      }
    }
    return undefined;
  }

  #neededNow(): SlotSet {
    return neededSlots(this.#slots.slotCount, this.#context.roles(), []);
  }

  #begin(kind: ObjectKind, codec: FrameCodec, position: ResourceVersion, scope: SlotSet | undefined): void {
    const { clock, onChange, pruner, logger } = this.#context;
    this.state = new FeedState({
      kind,
      codec,
      position,
      scope,
      ...this.#slots,
      pruner: pruner(this.key, kind, codec.encoding),
      now: () => clock.monotonic(),
      onChange,
      initialSyncComplete: this.#initialSyncComplete,
      onShed: () => logger.warn({ feed: this.name }, 'ending a watch of the exporter: too many events wait for it'),
    });
    this.refusal = undefined;
    this.#watch.succeed();
    for (const wake of this.#openWaiters) wake();
    this.#loader.wake();
    onChange();
  }

  /** Notes what keeps the feed from getting on. */
  fail(error: unknown): void {
    const before = this.problem;
    this.trouble.failed('watch', error, this.#context.clock.monotonic());
    const { problem } = this;
    // A refusal concerns this feed alone and needs a person; an interruption mostly concerns all, who report it as one.
    const isRefusal = error instanceof UpstreamFailure && [401, 403, 404, 405, 406].includes(error.status);
    if (problem !== undefined && problem !== before) {
      this.#context.logger[isRefusal ? 'warn' : 'debug']({ feed: this.name, code: errorCode(error) }, problem);
    }
    if (this.state === undefined) {
      this.refusal = error instanceof UpstreamFailure && error.status < 500 && error.status !== 429 ? error : undefined;
      this.#context.onChange();
    }
  }

  #require(): FeedState {
    if (this.state === undefined) throw new CountError(`feed ${this.name} is not open`);
    return this.state;
  }

  /** Adds what went through since the last report to the counters. */
  report(): void {
    const { state } = this;
    if (state === undefined) return;
    const { metrics } = this.#context;
    const { received, kept, receivedBytes, keptBytes } = state.takeTraffic();
    if (received === 0 && kept === 0) return;
    metrics?.frames?.(this.resource, received, kept);
    metrics?.bytes?.(this.resource, receivedBytes, keptBytes);
    if (state.pruner === undefined) return;
    metrics?.cut?.(this.resource, state.pruner.prunedBytes);
    state.pruner.prunedBytes = 0;
  }
}
