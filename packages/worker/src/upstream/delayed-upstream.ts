import { type Readable, Transform } from 'node:stream';
import type { Upstream } from './upstream.ts';

/** How long what has come is still to be held back, ms; asked again after that time. */
export type Delay = () => number;

/**
 * The upstream with its watches held back: bytes pass when `delay` says 0, in their order. What comes meanwhile waits in
 * the socket. Everything but watches, and the first state of a WatchList, passes at once.
 */
export function delayedUpstream(upstream: Upstream, delay: Delay): Upstream {
  return {
    stream: async (request) => {
      const response = await upstream.stream(request);
      const query = new Map<string, unknown>(Object.entries(request.query ?? {}));
      const isDelayed = query.get('watch') === 'true' && !query.has('sendInitialEvents') && response.status === 200;
      return isDelayed ? { ...response, body: delayed(response.body, delay) } : response;
    },
  };
}

function delayed(body: Readable, delay: Delay): Readable {
  let timer: NodeJS.Timeout | undefined;
  const held = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const look = (): void => {
        const ms = delay();
        if (ms > 0) timer = setTimeout(look, ms);
        else done(null, chunk);
      };
      look();
    },
    destroy(error, done) {
      clearTimeout(timer);
      body.destroy();
      done(error);
    },
  });
  // It may break before anyone reads it; a later reader finds it destroyed, as a body of the client itself.
  held.on('error', () => {});
  body.on('error', (error) => held.destroy(error));
  body.on('close', () => {
    if (!body.readableEnded) held.destroy();
  });
  return body.pipe(held);
}
