import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { fnv1a64, hashToBigInt } from '@shard-controller/shared/hashing';
import { isNewer } from '../../wire/index.ts';
import { CountError } from './count-error.ts';
import type { MembershipRing } from './membership-ring.ts';
import { marksOf, type ObjectIndex } from './object-index.ts';

/** Count and digest of a feed's objects in some slots. */
export interface SlotDigest {
  readonly count: number;
  /** Sum mod 2^64 of FNV-1a 64 of the uids. */
  readonly digest: bigint;
}

export interface DigestSource {
  readonly index: ObjectIndex;
  readonly ring: MembershipRing;
  /** Counts are exact for positions from here on. */
  readonly digestFloor: ResourceVersion;
  readonly subscriptions: readonly { readonly mark: number }[];
}

/**
 * Objects of `slots` that every open subscription was sent, as of `version`: what was sent until now, less what joined
 * and plus what left since then; with `namespaces` those of these. Throws when the feed cannot say.
 */
export function slotDigest(
  feed: DigestSource,
  slots: ReadonlySet<number>,
  version: ResourceVersion,
  namespaces?: ReadonlySet<string>,
): SlotDigest {
  if (isNewer(feed.digestFloor, version)) {
    throw new CountError(`position ${version} is older than the newest load at ${feed.digestFloor}`);
  }
  const changes = feed.ring.since(version);
  if (changes === undefined) throw new CountError(`position ${version} is too long ago; ask for a newer one`);
  if (feed.subscriptions.length === 0) throw new CountError('the exporter has no watch open');
  const everyone = marksOf(feed.subscriptions.map(({ mark }) => mark));
  let count = 0;
  let digest = 0n;
  for (const [uid, entry] of feed.index.entries()) {
    if (!slots.has(entry.slot) || !feed.index.isSentToAll(entry, everyone)) continue;
    if (namespaces?.has(entry.namespace) === false) continue;
    count++;
    digest += hashToBigInt(fnv1a64(uid));
  }
  for (const change of changes) {
    if (!slots.has(change.slot) || namespaces?.has(change.namespace) === false) continue;
    const hash = hashToBigInt(fnv1a64(change.uid));
    count += change.joined ? -1 : 1;
    digest += change.joined ? -hash : hash;
  }
  return { count, digest: BigInt.asUintN(64, digest) };
}
