import type { StreamResponse, ResourceVersion } from '@shard-controller/shared/kubernetes';
import { type Backoff, errorCode } from '@shard-controller/shared/runtime';
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
import { codecOf, type FrameCodec, isBehind, isNewer, type ObjectKind } from '../../wire/index.ts';
import {
  awaitsDeletions,
  completeEmpty,
  CountError,
  FeedScope,
  FeedState,
  letGoUnasked,
  narrowScope,
  neededSlots,
  reconcileSlots,
  type SlotSet,
  SlotState,
  type Subscription,
  widenScope,
} from '../books/index.ts';
import type { FeedContext, FeedSlots } from './context.ts';
import { FeedOpening } from './feed-opening.ts';
import { reportTraffic } from './feed-traffic.ts';
import { FeedUse } from './feed-use.ts';
import { FeedVerification } from './feed-verification.ts';
import { FeedLoader } from './loader.ts';
import { type Outage, FeedTrouble } from '../health/index.ts';
import { FeedPushdown } from './pushdown.ts';
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
  readonly trouble = new FeedTrouble();
  /** Since when its kind cannot be read while others can, and why; undefined while it can. */
  outage: Outage | undefined;
  /** The exporter that it was opened for was resumed. */
  readonly isResumed: boolean;
  readonly createdAt: number;
  readonly use: FeedUse;
  readonly verification: FeedVerification;
  readonly #context: FeedContext;
  readonly #slots: FeedSlots;
  readonly #upstream: TimedUpstream;
  readonly #backoff: Backoff;
  readonly #loader: FeedLoader;
  readonly #pushdown: FeedPushdown;
  readonly #watch: FeedWatch;
  readonly #opening = new FeedOpening();
  #resumeFrom: ResourceVersion | undefined;
  #initialSyncComplete: boolean;
  #hastenedAt = -Infinity;
  #plannedAt: number;
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
    this.use = new FeedUse(context.clock);
    this.verification = new FeedVerification(this, context);
    this.#loader = new FeedLoader(this, context);
    this.#pushdown = new FeedPushdown(this, slots, context);
    this.#watch = new FeedWatch(this, context, this.#loader, this.#pushdown, this.#backoff);
  }

  /** Why the API server refuses this feed, while it does and has never done otherwise. */
  get refusal(): UpstreamFailure | undefined {
    return this.#opening.refusal;
  }

  /** What keeps the feed from getting on right now. */
  get problem(): string | undefined {
    return this.trouble.problem ?? this.outage?.problem;
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
      await Promise.all([this.#watch.follow(this.require(), first, signal), this.#loader.run(signal)]);
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
    this.use.noteStart();
  }

  /** The exporter watches it, or waits for it. */
  get isUsed(): boolean {
    return this.use.isWaitedFor || (this.state?.subscriptions.length ?? 0) > 0;
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
    return this.#opening.done(() => this.state !== undefined, signal);
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
    if (!isNewer(version, this.require().highWatermark)) return true;
    return !isNewer(version, (await this.reader.position(signal)).version);
  }

  restored(): void {
    this.verification.forget();
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
          this.#watch.noteRestored();
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
        this.#opening.attempted();
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
    this.#watch.succeed();
    this.#opening.succeeded();
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
      this.#opening.failed(error);
      this.#context.onChange();
    }
  }

  /** Throws CountError while the feed is not open. */
  require(): FeedState {
    if (this.state === undefined) throw new CountError(`feed ${this.name} is not open`);
    return this.state;
  }

  /** Adds what went through since the last report to the counters. */
  report(): void {
    if (this.state !== undefined) reportTraffic(this.state, this.resource, this.#context.metrics);
  }
}
