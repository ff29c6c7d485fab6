import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes in use in V8's heap and in buffers, after a full collection: what is held, not what was allocated. */
export function heapAfterCollection(): number {
  if (typeof collect !== 'function') throw new Error('this Node gives no way to collect garbage');
  // Buffers are freed by the collection after the one that finds them.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
