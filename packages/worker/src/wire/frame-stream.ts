import { discard, type StreamResponse } from '@shard-controller/shared/kubernetes';
import type { FrameCodec } from './frame-codec.ts';
import { FrameSplitter } from './frame-splitter.ts';
import type { FrameView } from './frame-view.ts';
import { WireFormatError } from './protobuf/reader.ts';

/**
 * kube-apiserver sends a bookmark about every minute (cacher.go: defaultBookmarkFrequency); a watch that says nothing
 * for longer is stuck, and is open again within 90 s. ms.
 */
const SILENCE_MS = 85_000;
/** The parts of one event follow each other at once, however slow the line; one that stalls has lost its end. ms. */
const BEGUN_MS = 3_000;
const OPEN_BRACE = 0x7b;
/** What has arrived is passed on once per turn of the event loop, or after so many bytes. */
const BATCH_BYTES = 256 * 1024;

/**
 * A watch said nothing for so long that it cannot be alive.
 * @remedy none: the watch is opened again. If it repeats, check what stands before the API server.
 */
export class SilentWatchError extends Error {
  override readonly name = 'SilentWatchError';
  readonly code = 'SC_SILENT_WATCH';
}

/** A watch ended, or stalled, within an event. @remedy none: the watch is opened again. */
class TruncatedWatchError extends Error {
  override readonly name = 'TruncatedWatchError';
  readonly code = 'SC_TRUNCATED_WATCH';
}

/** The connection went away before the end of the watch. @remedy none: the watch is opened again. */
class CutWatchError extends Error {
  override readonly name = 'CutWatchError';
  readonly code = 'SC_CUT_WATCH';
}

export interface FrameStreamOptions {
  readonly response: StreamResponse;
  readonly codec: FrameCodec;
  readonly view: FrameView;
  /** Called per frame, with the frame's bounds in `view.bytes`; return false to stop reading. */
  readonly frame: (wireStart: number, wireEnd: number) => boolean;
  /**
   * Called when the frames that came together are through: kube-apiserver flushes each event, so that a busy watch
   * comes in many small chunks. Nothing is read until the promise resolves, if there is one.
   */
  readonly chunk: () => Promise<void> | undefined;
  readonly silenceMs?: number | undefined;
}

/** Reads a watch response to its end. Throws what the socket throws, WireFormatError, SilentWatchError, TruncatedWatchError. */
export async function readFrames(options: FrameStreamOptions): Promise<void> {
  const reading = new FrameReading(options);
  try {
    await reading.done;
  } finally {
    reading.stop();
    discard(options.response);
  }
}

/**
 * By events, not by async iteration: that would cost two promises and a turn of the microtask queue for each TLS
 * record, more than the frames in it.
 */
class FrameReading {
  readonly done: Promise<void>;
  readonly #options: FrameStreamOptions;
  readonly #splitter: FrameSplitter;
  readonly #silence: NodeJS.Timeout;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #batch: NodeJS.Immediate | undefined;
  /** One for all events: a timer of its own per chunk costs as much as the frames in it. */
  readonly #begun: NodeJS.Timeout;
  #batchBytes = 0;
  #wanted = true;
  #ended = false;
  #waiting = false;
  #stopped = false;

  constructor(options: FrameStreamOptions) {
    this.#options = options;
    this.#splitter = new FrameSplitter(options.codec.encoding);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    const { response, silenceMs = SILENCE_MS } = options;
    this.#silence = setTimeout(() => {
      // Time spent waiting for a slow exporter is not silence of the server.
      if (this.#waiting) this.#silence.refresh();
      else this.#fail(new SilentWatchError(`a watch was silent for ${silenceMs / 1_000} s: reopening it`));
    }, silenceMs);
    this.#begun = setTimeout(() => this.#standStill(), BEGUN_MS);
    const { body } = response;
    body.on('error', (error) => this.#fail(error));
    body.on('end', () => {
      this.#ended = true;
      if (this.#splitter.begun) this.#fail(new TruncatedWatchError('a watch ended within an event: reopening it'));
      else this.#pass();
    });
    body.on('close', () => {
      if (!this.#ended) this.#fail(new CutWatchError('the connection of a watch was closed: reopening the watch'));
    });
    body.on('data', (bytes: Buffer) => this.#take(bytes));
    // One that was cut between its headers and now says so no more.
    if (body.destroyed) this.#fail(new CutWatchError('the connection of a watch was closed: reopening the watch'));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#begun);
    clearImmediate(this.#batch);
  }

  readonly #handle = (buffer: Buffer, start: number, end: number, payloadStart: number, payloadEnd: number): void => {
    if (!this.#wanted) return;
    const { codec, view, frame } = this.#options;
    codec.readFrame(buffer, payloadStart, payloadEnd, view);
    if (codec.encoding === 'json' && buffer.subarray(view.objectEnd, payloadEnd).includes(OPEN_BRACE)) {
      throw new WireFormatError('two events are on one line');
    }
    this.#wanted = frame(start, end);
  };

  #take(bytes: Buffer): void {
    if (this.#stopped || !this.#wanted) return;
    try {
      this.#splitter.push(bytes, this.#handle);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#splitter.begun) this.#begun.refresh();
    this.#batchBytes += bytes.length;
    if (this.#batchBytes >= BATCH_BYTES || !this.#wanted) this.#pass();
    else this.#batch ??= setImmediate(() => this.#pass());
  }

  #standStill(): void {
    if (this.#waiting || !this.#splitter.begun) return;
    this.#fail(new TruncatedWatchError('an event stalled half-way: reopening the watch'));
  }

  /** Says that a batch is through, and whether that was the last one. */
  #pass(): void {
    clearImmediate(this.#batch);
    this.#batch = undefined;
    if (this.#stopped || this.#waiting) return;
    this.#batchBytes = 0;
    this.#silence.refresh();
    const { response, chunk } = this.#options;
    try {
      const wait = chunk();
      if (wait === undefined) {
        this.#finish();
        return;
      }
      this.#waiting = true;
      response.body.pause();
      wait.then(() => this.#goOn(), this.#reject);
    } catch (error) {
      this.#reject(error);
    }
  }

  #goOn(): void {
    this.#waiting = false;
    if (this.#stopped) return;
    this.#silence.refresh();
    if (this.#batchBytes > 0) this.#pass();
    else this.#finish();
    if (!this.#waiting) this.#options.response.body.resume();
  }

  /** What came before the failure is passed on: until the stream is open again, nothing else would do it. */
  #fail(failure: unknown): void {
    if (!this.#stopped && !this.#waiting && this.#batchBytes > 0) {
      try {
        void this.#options.chunk()?.catch(() => undefined);
      } catch {
        // The stream's own failure is the one to report.
      }
    }
    this.stop();
    this.#reject(failure);
  }

  #finish(): void {
    if (this.#ended || !this.#wanted) this.#resolve();
  }
}
