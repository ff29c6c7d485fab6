import type { StreamResponse } from '@shard-controller/shared/kubernetes';
import type { FrameCodec } from './frame-codec.ts';
import { FrameSplitter } from './frame-splitter.ts';
import type { FrameView } from './frame-view.ts';
import { WireFormatError } from './protobuf-reader.ts';

/**
 * kube-apiserver sends a bookmark about every minute (cacher.go: defaultBookmarkFrequency); a watch that says nothing
 * for longer is stuck, and is open again within 90 s. ms.
 */
const SILENCE_MS = 85_000;
/** The parts of one event follow each other at once, however slow the line; one that stands still has lost its end. ms. */
const BEGUN_MS = 3_000;
const OPEN_BRACE = 0x7b;

/** A watch said nothing for so long that it cannot be alive. */
class SilentWatchError extends Error {
  override readonly name = 'SilentWatchError';
  readonly code = 'SC_SILENT_WATCH';
}

/** A watch ended or stands still in the middle of an event: something between the API server and this process cut it. */
class TruncatedWatchError extends Error {
  override readonly name = 'TruncatedWatchError';
  readonly code = 'SC_TRUNCATED_WATCH';
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

/** Reads a watch response to its end. Throws what the socket throws, WireFormatError, SilentWatchError, TruncatedWatchError. */
export async function readFrames(options: FrameStreamOptions): Promise<void> {
  const { response, codec, view, frame, chunk } = options;
  const silenceMs = options.silenceMs ?? SILENCE_MS;
  const splitter = new FrameSplitter(codec.encoding);
  const isJson = codec.encoding === 'json';
  let wanted = true;
  let isWaiting = false;
  const timer = setTimeout(() => {
    // Time spent waiting for a slow exporter is not silence of the server.
    if (isWaiting) timer.refresh();
    else
      response.body.destroy(new SilentWatchError(`a watch was silent for ${silenceMs / 1_000} s: it is opened again`));
  }, silenceMs);
  let begun: NodeJS.Timeout | undefined;
  try {
    for await (const bytes of response.body) {
      clearTimeout(begun);
      splitter.push(bytes as Buffer, (buffer, start, end, payloadStart, payloadEnd) => {
        if (!wanted) return;
        codec.readFrame(buffer, payloadStart, payloadEnd, view);
        if (isJson && buffer.subarray(view.objectEnd, payloadEnd).includes(OPEN_BRACE))
          throw new WireFormatError('two events are on one line');
        wanted = frame(start, end);
      });
      isWaiting = true;
      await chunk();
      isWaiting = false;
      timer.refresh();
      if (!wanted) return;
      if (splitter.begun) {
        begun = setTimeout(() => {
          response.body.destroy(new TruncatedWatchError('an event stands still half-way: the watch is opened again'));
        }, BEGUN_MS);
      }
    }
    if (splitter.begun) throw new TruncatedWatchError('a watch ended within an event: it is opened again');
  } finally {
    clearTimeout(timer);
    clearTimeout(begun);
    response.body.destroy();
  }
}
