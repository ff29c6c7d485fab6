import { fitsMessage } from '@shard-controller/shared/nats';

/** Bytes that an answer's frame may take besides its items. */
const FRAME_ALLOWANCE = 1_000;
const LIMIT_BYTES = 64 * 1024 - 1 - FRAME_ALLOWANCE;

export interface Page<T> {
  readonly items: readonly T[];
  /** Index of the first item that is left out; absent when none is. */
  readonly next?: number;
}

/** As many items from `offset` on as fit into one message, `limit` at most. One that is too large by itself is cut out. */
export function pageOf<T>(all: readonly T[], offset = 0, limit = Number.POSITIVE_INFINITY): Page<T> {
  const items: T[] = [];
  let bytes = 0;
  for (let index = offset; index < all.length; index++) {
    const item = all[index] as T;
    const size = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (items.length >= limit || bytes + size > LIMIT_BYTES) {
      // It would not fit into any answer: continue behind it rather than for ever in front of it.
      if (items.length === 0 && !fitsMessage([item])) continue;
      return { items, next: index };
    }
    items.push(item);
    bytes += size;
  }
  return { items };
}
