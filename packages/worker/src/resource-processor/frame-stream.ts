import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { FrameCodec } from './frame-codec.ts';
import { FrameSplitter } from './frame-splitter.ts';
import type { FrameView } from './frame-view.ts';

/**
 * kube-apiserver sends a bookmark about every minute (cacher.go: defaultBookmarkFrequency); a watch that says nothing
 * for longer is stuck, and is open again within 90 s. ms.
 */
const SILENCE_MS = 85_000;

/** A watch said nothing for so long that it cannot be alive. */
class SilentWatchError extends Error {
  override readonly name = 'SilentWatchError';
  readonly code = 'SC_SILENT_WATCH';
}

export interface FrameStreamOptions {
  readonly response: StreamResponse;
  readonly codec: FrameCodec;
  readonly view: FrameView;
  /** Called per frame, with the frame's bounds in `view.bytes`; return false to stop reading. */
  readonly frame: (wireStart: number, wireEnd: number) => boolean;
  /** Called after each chunk; reading goes on when it resolves. */
  readonly chunk: () => Promise<void>;
  readonly silenceMs?: number | undefined;
}

/** Reads a watch response to its end. Throws what the socket throws, WireFormatError and SilentWatchError. */
export async function readFrames(options: FrameStreamOptions): Promise<void> {
  const { response, codec, view, frame, chunk } = options;
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  const splitter = new FrameSplitter(codec.encoding);
  let wanted = true;
  let isWaiting = false;
  const timer = setTimeout(() => {
    // Time spent waiting for a slow exporter is not silence of the server.
    if (isWaiting) timer.refresh();
    else
      response.body.destroy(new SilentWatchError(`a watch was silent for ${silenceMs / 1_000} s: it is opened again`));
  }, silenceMs);
  try {
    for await (const bytes of response.body) {
      splitter.push(bytes as Buffer, (buffer, start, end, payloadStart, payloadEnd) => {
        if (!wanted) return;
        codec.readFrame(buffer, payloadStart, payloadEnd, view);
        wanted = frame(start, end);
      });
      isWaiting = true;
      await chunk();
      isWaiting = false;
      timer.refresh();
      if (!wanted) return;
    }
  } finally {
    clearTimeout(timer);
    response.body.destroy();
  }
}
