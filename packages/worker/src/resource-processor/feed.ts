import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { Clock } from '@shard-controller/shared/runtime';
import type { Logger } from '@shard-controller/shared/observability';
import type { SlotCensus, SlotRoles, VerifiableFeed } from '../migration-handler/index.ts';
import { Backoff } from './backoff.ts';
import { CollectionReader } from './collection-reader.ts';
import type { DataPlaneMetrics, Upstream } from './data-plane.ts';
import { type FeedKey, feedId, feedName, resourceName } from './feed-key.ts';
import { FeedLoader } from './feed-loader.ts';
import { proveFeed } from './feed-proof.ts';
import { FeedState } from './feed-state.ts';
import { codecOf, type FrameCodec, type ObjectKind } from './frame-codec.ts';
import { readFrames } from './frame-stream.ts';
import { FrameView } from './frame-view.ts';
import { relist } from './feed-relist.ts';
import type { KindCatalog } from './kind-catalog.ts';
import type { Semaphore } from './semaphore.ts';
import type { SlotHash } from './slot-hash.ts';
import { SlotState, type Subscription } from './subscription.ts';
import { headerOf, UpstreamFailure } from './upstream-failure.ts';

/** What all feeds of a worker share. */
export interface FeedContext {
  readonly upstream: Upstream;
  readonly kinds: KindCatalog;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: DataPlaneMetrics | undefined;
  /** Bounds relists that run at the same time. */
  readonly relists: Semaphore;
  readonly roles: () => SlotRoles | undefined;
  /** Objects that are not to be sent although they should be (test fault `omit-one`). */
  readonly withholds: ((uid: string, slot: number) => boolean) | undefined;
  readonly onChange: () => void;
}

/** How a feed places its objects. */
export interface FeedSlots {
  readonly slotCount: number;
  readonly slotHash: SlotHash;
  readonly quietSlot?: number;
  readonly unsharded?: boolean;
}

const MAX_RETRY_AFTER_MS = 10_000;

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
  /** When the last subscription went, while there is none; monotonic ms. */
  idleSince: number;
  readonly #context: FeedContext;
  readonly #slots: FeedSlots;
  readonly #backoff: Backoff;
  readonly #loader: FeedLoader;
  readonly #openWaiters = new Set<() => void>();
  #resumeFrom: string | undefined;
  #watchAbort = new AbortController();

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
    this.reader = new CollectionReader(context.upstream, key, context.random);
    this.createdAt = context.clock.monotonic();
    this.lastFrameAt = this.createdAt;
    this.idleSince = this.createdAt;
    this.#loader = new FeedLoader(this, context);
  }

  /** Keeps the feed alive until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const first = await this.#openFirst(signal);
    if (first === undefined) return;
    await Promise.all([this.#follow(first, signal), this.#loader.run(signal)]);
    for (const subscription of this.state?.subscriptions.slice() ?? []) subscription.close();
  }

  /** Works towards the present roles of the slots. */
  plan(): void {
    if (this.state === undefined) return;
    const load = this.state.plan(this.#context.roles());
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

  /** Newest sign that this feed hears the server, given the newest answered probe; monotonic ms. */
  proofAt(probedAt: number): number {
    return this.connected && !this.halted ? Math.max(this.lastFrameAt, probedAt) : this.lastFrameAt;
  }

  /** Stops the feed for good (test fault). */
  halt(): void {
    this.halted = true;
    this.connected = false;
    this.#watchAbort.abort();
  }

  async prove(signal: AbortSignal): Promise<string> {
    return proveFeed(this, this.#context.clock, signal);
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
        const position = this.#resumeFrom ?? (await this.reader.position(signal)).version;
        const response = await this.reader.watch(position, signal);
        this.#begin(kind, codecOf(headerOf(response, 'content-type')), position);
        return response;
      } catch (error) {
        if (signal.aborted) return undefined;
        // The exporter's resourceVersion is too old to be resumed: it will be told to list again.
        if (error instanceof UpstreamFailure && error.status === 410) this.#resumeFrom = undefined;
        this.#fail(error);
        for (const wake of this.#openWaiters) wake();
        await clock.sleep(this.#pause(error), signal);
      }
    }
    return undefined;
  }

  #begin(kind: ObjectKind, codec: FrameCodec, position: string): void {
    const { clock, onChange, withholds, logger } = this.#context;
    this.state = new FeedState({
      kind,
      codec,
      position,
      ...this.#slots,
      withholds,
      now: () => clock.monotonic(),
      onChange,
      onShed: () => logger.warn({ feed: this.name }, 'a watch of the exporter is ended: too much waited for it'),
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
      try {
        response ??= await this.#reopen(signal);
        await this.#consume(response, signal);
      } catch (error) {
        if (signal.aborted || this.halted) continue;
        await this.#recover(error, signal);
      } finally {
        response = undefined;
        this.connected = false;
      }
    }
  }

  async #reopen(signal: AbortSignal): Promise<StreamResponse> {
    const response = await this.reader.watch(this.#require().position, signal);
    this.#succeed();
    this.#context.onChange();
    return response;
  }

  async #consume(response: StreamResponse, signal: AbortSignal): Promise<void> {
    const state = this.#require();
    const view = new FrameView();
    const { clock } = this.#context;
    const openedAt = clock.monotonic();
    let frames = 0;
    this.#watchAbort = new AbortController();
    const stop = (): void => void response.body.destroy(new Error('stopped'));
    const stopSignal = AbortSignal.any([signal, this.#watchAbort.signal]);
    stopSignal.addEventListener('abort', stop, { once: true });
    try {
      await readFrames({
        response,
        codec: state.codec,
        view,
        frame: (start, end) => {
          frames++;
          this.#event(state, view, start, end);
          return true;
        },
        chunk: () => {
          this.lastFrameAt = clock.monotonic();
          this.#report(state);
          state.flush();
          return state.room();
        },
      });
    } finally {
      stopSignal.removeEventListener('abort', stop);
    }
    // A watch that ends at its time is opened again at once; one that ends right after its start must not spin.
    if (frames === 0 && clock.monotonic() - openedAt < 1_000) {
      this.#context.metrics?.reconnect(this.resource, 'short');
      await clock.sleep(this.#backoff.next(), signal);
    } else {
      this.#backoff.reset();
      this.#context.metrics?.reconnect(this.resource, 'end');
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
    if (isExpired) {
      metrics?.relist(this.resource, 'expired');
      await this.#relist(signal);
      return;
    }
    metrics?.reconnect(this.resource, causeOf(error));
    await clock.sleep(this.#pause(error), signal);
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
        await clock.sleep(this.#pause(error), signal);
      }
    }
  }

  #pause(error: unknown): number {
    const asked = error instanceof UpstreamFailure ? error.retryAfterMs : undefined;
    const jittered = this.#backoff.next();
    return asked === undefined ? jittered : Math.min(MAX_RETRY_AFTER_MS, asked + jittered);
  }

  #succeed(): void {
    this.connected = true;
    this.problem = undefined;
    this.lastFrameAt = this.#context.clock.monotonic();
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

  #report(state: FeedState): void {
    this.#context.metrics?.frames(this.resource, state.received, state.kept);
    state.received = 0;
    state.kept = 0;
  }
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** One word per cause, for the metric. */
function causeOf(error: unknown): string {
  if (error instanceof UpstreamFailure) return error.status === 0 ? error.reason : String(error.status);
  const code = codeOf(error);
  if (code === 'SC_WIRE_FORMAT') return 'format';
  if (code === 'SC_SILENT_WATCH') return 'silent';
  return 'connection';
}
