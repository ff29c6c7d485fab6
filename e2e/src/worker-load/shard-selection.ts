import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';

const RANGE = /shardRange\(object\.metadata\.uid, '0x([0-9a-f]+)', '0x([0-9a-f]+)'\)/g;

/** Which uids a `shardSelector` (KEP-5866) asks for; everything without one. */
export function shardSelection(selector: string | null): (uid: string) => boolean {
  if (selector === null) return () => true;
  const ranges = Array.from(selector.matchAll(RANGE), ([, from, to]) => [BigInt(`0x${from}`), BigInt(`0x${to}`)]);
  return (uid) => {
    const hash = hashToBigInt(fnv1a64(uid));
    return ranges.some(([from = 0n, to = 0n]) => from <= hash && hash < to);
  };
}
