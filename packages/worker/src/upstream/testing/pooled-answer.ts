import { Readable } from 'node:stream';
import { discard, type StreamRequest, type StreamResponse } from '@shard-controller/shared/kubernetes';

/** What the pooled client's body holds before its connection is no longer read. Bytes. */
const HIGH_WATER_MARK = 64 * 1024;

const ignore = (): void => {};

/**
 * Hands the answers of a double over as the pooled client does, with its ways to fail: `pooled-answer.test.ts` runs both
 * through the same cases.
 */
export function asPooled(
  answer: (request: StreamRequest) => Promise<StreamResponse>,
): (request: StreamRequest) => Promise<StreamResponse> {
  return async (request) => {
    const { signal } = request;
    signal?.throwIfAborted();
    const coming = answer(request);
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => stopped.reject(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const response = await Promise.race([coming, stopped.promise]);
      const body = new PooledBody(response.body, signal);
      // A short answer is there as a whole by the time that its headers are read.
      await new Promise((resolve) => setImmediate(resolve));
      return { ...response, body };
    } catch (error) {
      void coming.then(discard, ignore);
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  };
}

/**
 * The body of an answer, as undici has it (lib/api/readable.js, api-request.js): an error of the connection, and the
 * caller's signal, never end the process; `destroy()` before the end was read does, if no listener is attached.
 */
class PooledBody extends Readable {
  readonly #source: Readable;
  #isUsed = false;

  constructor(source: Readable, signal: AbortSignal | undefined) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#source = source;
    this.on('newListener', (event) => {
      if (event === 'data' || event === 'readable') this.#isUsed = true;
    });
    const fail = (error: unknown): void => {
      this.on('error', ignore).destroy(error instanceof Error ? error : new Error(String(error)));
    };
    const stop = (): void => fail(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    this.on('close', () => signal?.removeEventListener('abort', stop));
    let isComplete = false;
    source.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) source.pause();
    });
    source.on('end', () => {
      isComplete = true;
      this.push(null);
    });
    source.on('error', (error) => queueMicrotask(() => fail(error)));
    source.on('close', () => {
      if (!isComplete) fail(new Error('other side closed'));
    });
    // It broke before it came here, and says so no more.
    if (source.destroyed) queueMicrotask(() => fail(source.errored ?? new Error('other side closed')));
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const failure = error ?? (this.readableEnded ? null : new RequestAbortedError());
    this.#source.destroy();
    if (this.#isUsed) done(failure);
    else setImmediate(() => done(failure));
  }
}

class RequestAbortedError extends Error {
  override readonly name = 'AbortError';

  constructor() {
    super('Request aborted');
  }
}
