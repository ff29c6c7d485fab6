import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { SlotRole } from '../../slots/index.ts';
import { type CollectionReader, type Selection, UpstreamFailure } from '../../upstream/index.ts';
import { isNewer, newerOf } from '../../wire/index.ts';
import { CountError, type FeedState, lateUntil, letGo, type SlotDigest, SlotState } from '../books/index.ts';
import type { FeedContext } from './context.ts';
import type { Outage, FeedTrouble } from '../health/index.ts';
import { ProofError, proveFeed } from './proof.ts';

/** What verification needs of its feed. */
interface VerifiedFeed {
  readonly name: string;
  readonly selection: Selection;
  readonly reader: CollectionReader;
  readonly trouble: FeedTrouble;
  readonly outage: Outage | undefined;
  readonly problem: string | undefined;
  readonly state: FeedState | undefined;
  readonly connected: boolean;
  /** Monotonic ms. */
  readonly lastFrameAt: number;
  checkForRestore(): void;
  require(): FeedState;
}

/** What a feed answers when both sides of a move are compared: `VerifiableFeed` of `handover` says what each means. */
export class FeedVerification {
  readonly #feed: VerifiedFeed;
  readonly #context: Pick<FeedContext, 'clock' | 'proofs' | 'roles'>;
  /** Newest position that a consistent read has proved. */
  #proven: string | undefined;

  constructor(feed: VerifiedFeed, context: Pick<FeedContext, 'clock' | 'proofs' | 'roles'>) {
    this.#feed = feed;
    this.#context = context;
  }

  get name(): string {
    return this.#feed.name;
  }

  get selection(): Selection {
    return this.#feed.selection;
  }

  get problem(): string | undefined {
    return this.#feed.problem;
  }

  /** Why its kind cannot be counted now, and is not to be waited for. */
  get unavailable(): string | undefined {
    return this.#feed.outage?.problem;
  }

  /** Since when its kind is broken; monotonic ms. Undefined while it is not, though it may have a problem for a moment. */
  get problemSince(): number | undefined {
    return this.#feed.outage?.since;
  }

  /** The API server was restored: what was proved no longer exists. */
  forget(): void {
    this.#proven = undefined;
  }

  hasReached(version: ResourceVersion): boolean {
    const { position } = this.#feed.require();
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
    const watches = this.#feed.require().subscriptions.filter(({ attached }) => attached);
    return (
      watches.length > 0 && watches.every((watch) => [...slots].every((slot) => watch.slots[slot] === SlotState.Shown))
    );
  }

  lateUntil(slots: ReadonlySet<number>): string | undefined {
    const { state } = this.#feed;
    state?.noteLateAsked();
    return state === undefined ? undefined : lateUntil(state, slots);
  }

  letGo(slots: ReadonlySet<number>, version: ResourceVersion): void {
    const { state } = this.#feed;
    if (state !== undefined) letGo(state, slots, version);
  }

  count(slots: ReadonlySet<number>): number {
    const state = this.#feed.require();
    if (!this.#feed.connected || !state.filled) throw new CountError('it does not follow the API server');
    let count = 0;
    for (const slot of slots) count += state.index.sentInSlot(slot);
    return count;
  }

  digest(slots: ReadonlySet<number>, version: ResourceVersion, namespaces?: ReadonlySet<string>): SlotDigest {
    return this.#feed.require().digest(slots, version, namespaces);
  }

  compared(slots: ReadonlySet<number>, migration: string, version: ResourceVersion): void {
    this.#feed.require().verified.compared(slots, migration, version);
  }

  async #prove(signal: AbortSignal, version?: ResourceVersion): Promise<ResourceVersion> {
    if (version !== undefined && this.hasReached(version)) return version;
    const { clock, proofs } = this.#context;
    try {
      this.#proven = await proveFeed(this.#feed, clock, proofs, signal);
    } catch (error) {
      // Asked until there is an answer: whether it stays so decides whether moves wait for it.
      if (error instanceof UpstreamFailure && !this.#feed.trouble.has('question')) this.#feed.checkForRestore();
      throw error;
    }
    return this.#proven;
  }

  /**
   * Resolves once the exporter has rendered everything that it was sent until now. Throws when that is not so before
   * `signal` aborts.
   */
  async #rendered(signal: AbortSignal): Promise<void> {
    const state = this.#feed.require();
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
}
