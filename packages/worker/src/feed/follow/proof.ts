import type { Clock, Semaphore } from '@shard-controller/shared/runtime';
import type { CollectionReader } from '../../upstream/index.ts';
import { isNewer } from '../../wire/index.ts';
import type { FeedState } from '../books/index.ts';
import { type PresentPosition, readPresent } from './restores.ts';

const POLL_MS = 10;
/** How long a watch has to be quiet after a consistent read before it counts as drained. ms. */
const QUIET_MS = 100;

/**
 * A feed could not prove in time that it misses nothing, or its exporter has not rendered everything that it was sent.
 * @remedy none: the manager asks again. If a move waits for it, look at the feed's connection and at the CPU of the pod.
 */
export class ProofError extends Error {
  override readonly name = 'ProofError';
  readonly code = 'SC_PROOF';
}

/** The part of a Feed that this module reads. */
interface ProvableFeed {
  readonly reader: CollectionReader;
  readonly state: FeedState | undefined;
  readonly connected: boolean;
  /** Monotonic ms. */
  readonly lastFrameAt: number;
}

/**
 * Proves that a feed misses nothing older than a consistent read. Either its watch has passed that position, or it is
 * open, has been quiet since the read, and knows exactly as many objects as the server counted. Throws when neither
 * comes true before `signal` aborts.
 *
 * @param reads lets so many read at the same time: there may be hundreds of feeds to prove.
 */
export async function proveFeed(
  feed: ProvableFeed,
  clock: Clock,
  reads: Semaphore,
  signal: AbortSignal,
): Promise<string> {
  let read = await readNow(feed, reads, signal);
  let readAt = clock.monotonic();
  for (;;) {
    const { state } = feed;
    if (signal.aborted) {
      throw new ProofError(
        `its watch has not reached position ${read.version}${feed.connected ? '' : ': it is not connected'}`,
      );
    }
    if (state !== undefined && feed.connected && state.filled) {
      if (!isNewer(read.version, state.position)) return read.version;
      const quietSince = Math.max(readAt, feed.lastFrameAt);
      const isCountable = read.total !== undefined && state.scope.isEverything;
      const agrees = !isCountable || read.total === state.index.size;
      if (clock.monotonic() - quietSince >= QUIET_MS) {
        if (agrees) return read.version;
        // Out of time within the read: what is missing is said at once.
        read = await readNow(feed, reads, signal).catch((error: unknown) => {
          if (signal.aborted) return read;
          throw error;
        });
        readAt = clock.monotonic();
      }
    }
    await clock.sleep(POLL_MS, signal);
  }
}

async function readNow(feed: ProvableFeed, reads: Semaphore, signal: AbortSignal): Promise<PresentPosition> {
  const present = await reads.run(() => readPresent(feed, signal));
  if (present.isRestored)
    throw new ProofError(`it has yet to follow the API server back to position ${present.version}`);
  return present;
}
