import { SlotRole, type SlotRoles } from '../../slots/index.ts';
import type { MembershipRing } from './membership-ring.ts';
import type { Subscription } from './subscription.ts';

/**
 * Objects that came into a slot when its move was already verified. The shard that has the slot now is told of them by a
 * watch of its own, which may be behind: on a busy machine by seconds. They are withdrawn a while after the others.
 */

/** So much further behind than in its verification the watch of another worker may fall, ms. */
export const LATE_MS = 5_000;
/** Distance between two noted positions, ms. */
const NOTE_EVERY_MS = 500;

/** Objects of released slots that one exporter goes on showing for a while. */
export interface LateObjects {
  readonly subscription: Subscription;
  readonly uids: readonly string[];
  /** The slots that were released with them. */
  readonly slots: readonly number[];
  /** Their marks at that time: a slot that has been taken back since is left alone. */
  readonly marks: readonly number[];
  /** Monotonic, ms. */
  readonly until: number;
}

/** Where the feed stood of late, and up to where its slots were verified. */
export class FeedPast {
  /** How long late objects stay, ms. */
  readonly lateMs: number;
  #positions: { readonly at: number; readonly position: string }[] = [];
  readonly #verified = new Map<number, string>();

  constructor(lateMs = LATE_MS) {
    this.lateMs = lateMs;
  }

  note(position: string, now: number): void {
    const newest = this.#positions.at(-1);
    if (newest !== undefined && now - newest.at < NOTE_EVERY_MS) return;
    this.#positions.push({ at: now, position });
    // The newest of those that are old enough stays.
    const old = this.#positions.filter(({ at }) => now - at >= this.lateMs).length;
    if (old > 1) this.#positions = this.#positions.slice(old - 1);
  }

  /** Both sides of a move hold the same objects of `slots` as of `position`, as far as this worker knows. */
  verified(slots: Iterable<number>, position: string): void {
    for (const slot of slots) this.#verified.set(slot, position);
  }

  /** Nothing is verified any more: the API server went back, or the slot begins again. */
  forget(slots?: Iterable<number>): void {
    if (slots === undefined) this.#verified.clear();
    else for (const slot of slots) this.#verified.delete(slot);
  }

  /** What came into `slot` up to here is no news to anybody. */
  knownUntil(slot: number, now: number): string | undefined {
    const earlier = this.#positions.findLast(({ at }) => now - at >= this.lateMs) ?? this.#positions[0];
    return this.#verified.get(slot) ?? earlier?.position;
  }
}

/** Those objects of `leaving` slots that are to be withdrawn late; undefined means all. */
export function lateObjects(
  { past, ring }: { readonly past: FeedPast; readonly ring: MembershipRing },
  leaving: readonly number[],
  roles: SlotRoles | undefined,
  now: number,
): ReadonlySet<string> | undefined {
  const late = new Set<string>();
  for (const slot of leaving) {
    // A slot that was only warm is shown by the shard that has it.
    if (roles?.[slot] !== SlotRole.Release) continue;
    const known = past.knownUntil(slot, now);
    const changes = known === undefined ? undefined : ring.since(known);
    if (changes === undefined) return undefined;
    for (const change of changes) if (change.joined && change.slot === slot) late.add(change.uid);
  }
  return late;
}
