import type { Backoff, Clock } from '@shard-controller/shared/runtime';
import { type CollectionPosition, type CollectionReader, pauseAfter } from '../../upstream/index.ts';
import { isBehind } from '../../wire/index.ts';
import type { FeedState } from '../books/index.ts';

/** A feed as far as this file reads it. */
interface Follower {
  readonly reader: Pick<CollectionReader, 'position'>;
  readonly state: Pick<FeedState, 'highWatermark'> | undefined;
}

/** Where the collection stands, and whether the API server had shown something newer before. */
export interface PresentPosition extends CollectionPosition {
  readonly isRestored: boolean;
}

/**
 * Reads where the collection stands. That it is older than what was seen before proves that etcd was restored from a
 * backup: a list without resourceVersion is answered from a quorum of etcd, or from a cache that is at least as new as
 * that ("Most Recent" in kubernetes.io, API concepts, resource versions; KEP-2340). A replica that lags behind makes such
 * a read wait or fail, and never answers it with an older version; cached answers and watches may be older, and prove
 * nothing.
 */
export async function readPresent({ reader, state }: Follower, signal: AbortSignal): Promise<PresentPosition> {
  // Before the question: what comes meanwhile may be newer than the answer.
  const seen = state?.highWatermark;
  const present = await reader.position(signal);
  return { ...present, isRestored: seen !== undefined && isBehind(present.version, seen) };
}

/**
 * Where the collection stands, and whether the API server was restored. Asked whenever a watch is opened again: one from a version that is yet to come is
 * accepted by kube-apiserver, and says nothing until that version is there. Asks until there is an answer; undefined when `signal` aborts before.
 */
export async function askForPresent(
  feed: Follower,
  clock: Clock,
  backoff: Backoff,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<PresentPosition | undefined> {
  while (!signal.aborted) {
    try {
      return await readPresent(feed, signal);
    } catch (error) {
      if (!signal.aborted) onFailure(error);
      await clock.sleep(pauseAfter(error, backoff), signal);
    }
  }
  return undefined;
}

/**
 * Restores of a backup under the API server, which take it back to older data; shared by all feeds of a worker: the feed of a quiet kind could not find out by
 * itself once other kinds' events have brought the server past its position again.
 */
export class Restores {
  readonly #followers = new Set<() => void>();
  #restores = 0;

  get count(): number {
    return this.#restores;
  }

  /** Calls back each time; returns the way to stop that. */
  onRestore(follower: () => void): () => void {
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** Notes that the API server was restored, unless the finder, who knew of `known` restores, is not the first. */
  noteRestore(known: number): void {
    if (known !== this.#restores) return;
    this.#restores++;
    for (const follower of this.#followers) follower();
  }
}
