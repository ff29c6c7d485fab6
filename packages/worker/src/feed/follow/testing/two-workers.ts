import { PassThrough } from 'node:stream';
import type { StreamRequest, StreamResponse } from '@shard-controller/shared/kubernetes';
import { type Clock, systemClock } from '@shard-controller/shared/runtime';
import { slotHashOf } from '../../../slots/slot-hash.ts';
import { SlotRole } from '../../../slots/slot-plan.ts';
import type { ScriptedApiServer } from '../../../upstream/testing/scripted-api-server.ts';
import type { Upstream } from '../../../upstream/upstream.ts';
import { SlotState, type Subscription } from '../../books/subscription.ts';
import { WatchPeer } from '../../books/testing/watch-peer.ts';
import { Feed } from '../feed.ts';
import { PODS, testContext } from './feed-context.ts';
import { subscribe, until } from './feed-rig.ts';

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
    try {
      const at = await this.source.feed.prove(signal);
      await this.target.feed.prove(signal, at);
      const [given, taken] = [this.source, this.target].map(({ feed }) => feed.census(EVERY_SLOT, at));
      return given?.count === taken?.count && given?.digest === taken?.digest;
    } catch {
      return false;
    }
  }

  /** The target is responsible, and the source is told to let go. */
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
