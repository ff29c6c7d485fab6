import type { ResourceVersion, StreamResponse } from '@shard-controller/shared/kubernetes';
import { UpstreamFailure } from '../../upstream/index.ts';
import { FrameView, isNewer, readFrames } from '../../wire/index.ts';
import { applyEvent, type FeedState } from '../books/index.ts';

export interface WatchReading {
  readonly state: FeedState;
  readonly response: StreamResponse;
  /** Path of the collection, for messages. */
  readonly path: string;
  readonly silenceMs: number | undefined;
  /** Events up to here have come by the watch before. */
  readonly coveredUntil: ResourceVersion | undefined;
  /** Called when the frames that came together are in the books; nothing is read until the promise resolves. */
  readonly chunk: () => Promise<void> | undefined;
}

/**
 * Brings the events of one watch into the books, until the watch ends or `signal` aborts; resolves with their number.
 * Throws UpstreamFailure for an ERROR event, and what the connection throws.
 */
export async function readWatch(reading: WatchReading, signal: AbortSignal): Promise<number> {
  const { state, response, path, silenceMs, chunk } = reading;
  let covered = reading.coveredUntil;
  const view = new FrameView();
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
        if (covered !== undefined) {
          const version = view.type === 'ERROR' ? '' : view.resourceVersion();
          if (version !== '' && !isNewer(version, covered)) return true;
          covered = undefined;
        }
        applyFrame(state, path, view, start, end);
        return true;
      },
      chunk,
    });
  } finally {
    signal.removeEventListener('abort', stop);
    // What came before a failure is good, and the next chunk may be a minute away.
    state.flush();
  }
  return frames;
}

function applyFrame(state: FeedState, path: string, view: FrameView, start: number, end: number): void {
  if (view.type === 'ERROR') throw new UpstreamFailure(path, state.codec.readStatus(view));
  if (view.type === 'UNKNOWN') {
    throw new UpstreamFailure(path, { code: 0, reason: 'UnknownEvent', message: 'unknown type of watch event' });
  }
  applyEvent(state, view, start, end);
}
