import type { IncomingMessage, ServerResponse } from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { forwardedHeaders } from './exposition-source.ts';
import type { GatewayState } from './gateway-state.ts';

/** Ends a response whose content can no longer be trusted. */
class CutError extends Error {
  override readonly name = 'CutError';
}

/** Passes the answer on; resolves with its size in bytes, or with the outcome when it was not complete. */
export async function streamScrape(
  answer: IncomingMessage,
  response: ServerResponse,
  state: () => GatewayState,
  ms: number,
): Promise<number | 'client_gone' | 'cut'> {
  let bytes = 0;
  const check = (): CutError | null => {
    const now = state();
    if (now.open || now.startsOver === true) return null;
    cutOff(response);
    return new CutError(now.reason);
  };
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      const cut = check();
      if (cut === null) done(null, chunk);
      else done(cut);
    },
    // An exposition during which the exporter lost its objects ends like a complete one, so that is asked once more.
    flush: (done) => done(check()),
  });
  response.writeHead(answer.statusCode ?? 502, forwardedHeaders(answer));
  // Not AbortSignal.timeout, which would keep each finished scrape until its time is over.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), ms);
  // Each side's end ends the other's, so what counts is which came first.
  let ended: 'client_gone' | 'cut' | undefined;
  answer.once('error', () => {
    ended ??= 'cut';
    cutOff(response);
  });
  response.once('close', () => (ended ??= 'client_gone'));
  deadline.signal.addEventListener('abort', () => cutOff(response), { once: true });
  try {
    await pipeline(answer, meter, response, { signal: deadline.signal });
    return bytes;
  } catch (error) {
    if (error instanceof CutError) return 'cut';
    return deadline.signal.aborted ? 'client_gone' : (ended ?? 'cut');
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ends a response that is not complete so that no client takes it for whole: HTTP/1.0 knows the end of a body by the end
 * of the connection alone, which has to be a reset.
 */
export function cutOff(response: ServerResponse): void {
  if (response.socket === null) response.destroy();
  else response.socket.resetAndDestroy();
}
