import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { isNewer } from '../../wire/index.ts';
import { STEADY_MS } from './trouble.ts';

/** How long a watch has to be quiet after a consistent read before it counts as drained: caches lag behind. ms. */
const QUIET_MS = 3_000;
/** kube-apiserver sends a bookmark about every minute: what is quiet for longer is no longer heard. ms. */
const BOOKMARK_MS = 75_000;

/** What the API server said beside the watch. */
interface Read {
  /** Position of a consistent read, or of a change that another watch brings. */
  readonly version: ResourceVersion;
  /** It is such a change: this watch has to bring it, too. */
  readonly isNews: boolean;
}

/**
 * How fresh a feed is: the newest moment as of which its watch is known to have brought everything. The watch itself
 * says so with each event and bookmark. Between these, and that may be a minute, an answered probe counts for a watch
 * that is open and read; but an opening proves nothing, nor does a probe while a consistent read has shown what the
 * watch has not brought: another server than the watch's may have answered it. All times are monotonic ms.
 */
export class FeedFreshness {
  #provenAt: number;
  #openedAt: number | undefined;
  /** When the newest steady watch ended. */
  #steadyUntil = -Infinity;
  #heardAt = -Infinity;
  /** Since when the exporter takes nothing, so that nothing is read. */
  #pausedAt: number | undefined;
  /** The newest consistent read, while the watch has not reached it. */
  #unreached: (Read & { readonly answeredAt: number }) | undefined;
  /** When the oldest of the reads since then was asked for. */
  #behindSince = Infinity;
  /** When the newest read was asked for that the watch has reached. */
  #reachedAt: number;
  #askedAt = -Infinity;
  #isDeaf = false;

  constructor(now: number) {
    this.#provenAt = now;
    this.#reachedAt = now;
  }

  /** There is a change that an open and quiet watch does not bring. */
  get isDeaf(): boolean {
    return this.#isDeaf;
  }

  /** The watch is open: from now on it may prove something. */
  opened(now: number): void {
    this.#openedAt = now;
    this.#pausedAt = undefined;
    this.#isDeaf = false;
  }

  closed(now: number): void {
    if (this.#openedAt !== undefined && now - this.#openedAt >= STEADY_MS) this.#steadyUntil = this.#pausedAt ?? now;
    this.#openedAt = undefined;
    this.#pausedAt = undefined;
  }

  /** Events, or a bookmark, have brought the feed to `position`. */
  heard(now: number, position: ResourceVersion): void {
    this.#heardAt = now;
    this.#pausedAt = undefined;
    this.#isDeaf = false;
    if (this.#unreached !== undefined && !isNewer(this.#unreached.version, position)) this.#reach();
    if (this.#unreached === undefined) this.#provenAt = now;
  }

  /** Nothing is read until the exporter has taken more. */
  paused(now: number): void {
    this.#pausedAt ??= now;
  }

  /** It is read again; whatever waited comes now. */
  resumed(now: number): void {
    this.#pausedAt = undefined;
    this.#heardAt = now;
  }

  /** A consistent read that was asked for at `askedAt` has been answered. */
  read(askedAt: number, now: number, said: Read, position: ResourceVersion): void {
    this.#askedAt = askedAt;
    this.#behindSince = Math.min(this.#behindSince, askedAt);
    this.#unreached = { ...said, answeredAt: now };
    if (!isNewer(said.version, position)) this.#reach();
  }

  /** To be called now and then: a quiet watch reaches a read by bringing nothing, unless there is something to bring. */
  look(now: number): void {
    const { isNews = false, answeredAt = 0 } = this.#unreached ?? {};
    if (this.#unreached === undefined || this.#openedAt === undefined || this.#pausedAt !== undefined) return;
    if (now - Math.max(answeredAt, this.#openedAt, this.#heardAt) < QUIET_MS) return;
    if (!isNews) this.#reach();
    // An event that came after the read no longer says anything about it: the next read does.
    else if (this.#heardAt < answeredAt) this.#isDeaf = true;
  }

  /** @param probedAt when the newest answered probe was sent. */
  proofAt(now: number, probedAt: number): number {
    return Math.max(this.#provenAt, Math.min(probedAt, this.#trustedUntil(now)));
  }

  /** Up to when probes count. */
  #trustedUntil(now: number): number {
    if (this.#isDeaf) return this.#reachedAt;
    const isSteady = this.#openedAt !== undefined && now - this.#openedAt >= STEADY_MS;
    const heardAt = Math.max(this.#heardAt, this.#openedAt ?? -Infinity);
    const watched = isSteady ? Math.min(this.#pausedAt ?? now, heardAt + BOOKMARK_MS) : this.#steadyUntil;
    return Math.min(watched, this.#behindSince);
  }

  #reach(): void {
    this.#reachedAt = this.#askedAt;
    this.#unreached = undefined;
    this.#behindSince = Infinity;
    this.#isDeaf = false;
  }
}
