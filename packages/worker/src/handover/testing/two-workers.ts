import { PassThrough } from 'node:stream';
import { isCounted, type VerifyQuestion, type VerifyReply } from '@shard-controller/shared/contracts';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { until } from '@shard-controller/shared/testing';
import { SlotState, type Subscription } from '../../feed/books/subscription.ts';
import { WatchPeer } from '../../feed/books/testing/watch-peer.ts';
import { Feed } from '../../feed/follow/feed.ts';
import { PODS, testContext } from '../../feed/follow/testing/feed-context.ts';
import { subscribe } from '../../feed/follow/testing/feed-rig.ts';
import { slotHashOf } from '../../slots/slot-hash.ts';
import { SlotRole } from '../../slots/slot-plan.ts';
import type { ScriptedApiServer } from '../../upstream/testing/scripted-api-server.ts';
import type { Upstream } from '../../upstream/upstream.ts';
import { Verifier } from '../verification.ts';

const SLOTS = 64;
const EVERY_SLOT = new Set(Array.from({ length: SLOTS }, (_, slot) => slot));

/** The API server as one worker hears it: what its watches bring may be behind. */
class LaggingUpstream implements Upstream {
  readonly #api: ScriptedApiServer;
  #held: (() => void)[] | undefined;

  constructor(api: ScriptedApiServer) {
    this.#api = api;
  }

  lag(): void {
    this.#held ??= [];
  }

  catchUp(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const pass of held) pass();
  }

  async stream(request: StreamRequest): Promise<StreamResponse> {
    const response = await this.#api.stream(request);
    const query = new Map(Object.entries(request.query ?? {}));
    if (String(query.get('watch')) !== 'true') return response;
    const body = new PassThrough();
    body.on('error', () => undefined);
    const pass = (act: () => void): void => void (this.#held === undefined ? act() : this.#held.push(act));
    response.body.on('data', (chunk: Buffer) => pass(() => void body.write(chunk)));
    response.body.on('end', () => pass(() => void body.end()));
    response.body.on('close', () => body.destroy());
    body.on('close', () => response.body.destroy());
    return { ...response, body };
  }
}

/** A worker with an exporter that watches pods. */
class Side {
  readonly upstream: LaggingUpstream;
  readonly feed: Feed;
  readonly peer = new WatchPeer();
  readonly verifier = new Verifier(systemClock);
  #roles = new Uint8Array(SLOTS);
  #subscription: Subscription | undefined;

  constructor(api: ScriptedApiServer, clock: Clock, signal: AbortSignal) {
    this.upstream = new LaggingUpstream(api);
    this.feed = new Feed(
      PODS,
      { slotCount: SLOTS, slotHash: slotHashOf('uid', SLOTS) },
      testContext(this.upstream, { clock, roles: () => this.#roles }),
    );
    void this.feed.run(signal).catch(() => undefined);
  }

  async start(): Promise<void> {
    await until(() => this.feed.state !== undefined);
    this.#subscription = subscribe(this.feed, this.peer);
  }

  knows(uid: string): boolean {
    return this.feed.state?.index.get(uid) !== undefined;
  }

  /** It is responsible for everything. */
  own(): void {
    this.assign(SlotRole.Owned);
  }

  /** It has to let go of everything. */
  lose(): void {
    this.assign(SlotRole.None);
  }

  /** Every slot gets this role. */
  assign(role: number): void {
    this.#roles = new Uint8Array(SLOTS).fill(role);
    this.feed.plan();
  }

  all(state: number): boolean {
    return this.#subscription?.slots.every((slot) => slot === state) === true;
  }

  async settled(state: number): Promise<void> {
    await until(() => this.all(state));
  }
}

/** Two workers, of which the first shows all pods and hands them over to the second. */
export class TwoWorkers {
  readonly source: Side;
  readonly target: Side;
  readonly #api: ScriptedApiServer;
  readonly #stop = new AbortController();
  #ahead = 0;

  constructor(api: ScriptedApiServer) {
    this.#api = api;
    const clock: Clock = {
      ...systemClock,
      monotonic: () => systemClock.monotonic() + this.#ahead,
      sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 2), signal),
    };
    this.source = new Side(api, clock, this.#stop.signal);
    this.target = new Side(api, clock, this.#stop.signal);
  }

  /** Until the source shows everything, and the target is warm. */
  async warm(): Promise<void> {
    await Promise.all([this.source.start(), this.target.start()]);
    this.source.assign(SlotRole.Owned);
    await this.source.settled(SlotState.Shown);
    this.target.assign(SlotRole.Warm);
    await this.target.settled(SlotState.Shown);
  }

  /** Time passes for both, and each looks after its feed. */
  pass(ms: number): void {
    this.#ahead += ms;
    for (const { feed } of [this.source, this.target]) feed.tidy();
  }

  /** As the manager verifies: both hold the same as of a position that the source proves. */
  async verified(patienceMs = 500): Promise<boolean> {
    const signal = AbortSignal.timeout(patienceMs);
    const [source] = (await this.#ask(this.source, { ask: 'kinds' }, signal)).kinds;
    if (source === undefined || !isCounted(source)) return false;
    if (source.at === '') return true;
    const kinds = [{ kind: source.kind, at: source.at }];
    const [target] = (await this.#ask(this.target, { ask: 'positions', kinds, proven: true }, signal)).kinds;
    return (
      target !== undefined && isCounted(target) && target.count === source.count && target.digest === source.digest
    );
  }

  /** As the manager proves a release: the source is told what the target shows. True when nothing waits now. */
  async proved(patienceMs = 100): Promise<boolean> {
    const signal = AbortSignal.timeout(patienceMs);
    const { late: kinds = [] } = await this.#ask(this.source, { ask: 'late', shown: [] }, signal);
    if (kinds.length === 0) return true;
    const { late = kinds } = await this.#ask(this.target, { ask: 'shown', kinds }, signal);
    if (late.length > 0) return false;
    const { late: left = kinds } = await this.#ask(this.source, { ask: 'late', shown: kinds }, signal);
    return left.length === 0;
  }

  #ask({ feed, verifier }: Side, question: VerifyQuestion, signal: AbortSignal): Promise<VerifyReply> {
    const request = {
      v: 'shard.verify.v2' as const,
      uid: 'u',
      migration: 'm',
      slots: `0-${SLOTS - 1}`,
      slotCount: SLOTS,
    };
    return verifier.answer({ ...request, question }, EVERY_SLOT, { feeds: [feed.verification], settled: true }, signal);
  }

  /** The target is responsible, and the source has to let go. */
  commit(): void {
    this.target.assign(SlotRole.Owned);
    this.source.assign(SlotRole.Release);
  }

  /** What a scrape of both shows. */
  shown(): ReadonlySet<string> {
    return new Set([...this.source.peer.store.keys(), ...this.target.peer.store.keys()]);
  }

  get there(): readonly string[] {
    return [...this.#api.objects.keys()];
  }

  stop(): void {
    this.#stop.abort();
  }
}
