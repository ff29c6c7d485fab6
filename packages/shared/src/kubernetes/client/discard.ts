import type { StreamResponse } from './client-types.ts';

const ignore = (): void => {};

/**
 * Gives up an answer whose body is not to be read, or not to its end; the only way to do so. A bare `destroy()` makes
 * the client's body emit an error, also when all of it has arrived: with no listener that would end the process.
 */
export function discard({ body }: Pick<StreamResponse, 'body'>): void {
  body.on('error', ignore).destroy();
}
