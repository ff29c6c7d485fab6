import type { ResourceVersion } from '@shard-controller/shared/kubernetes';
import { SlotRole, type SlotRoles } from '../../slots/index.ts';
import { newerOf } from '../../wire/index.ts';
import type { MembershipRing } from './membership-ring.ts';

/**
 * Objects that came into a slot after its move was verified. The shard that has the slot now learns of them by a watch
 * of its own, which may be behind: they are deleted when that shard is known to show them, however long that takes.
 */

/** From where on both sides of the newest move of each slot were compared. */
export class VerifiedSlots {
  readonly #from = new Map<number, { readonly migration: string; readonly position: ResourceVersion }>();

  /**
   * `migration` compares `slots` as of `position`. It may do so several times before the two sides are equal: what came
   * up to the first of these positions was there each time.
   */
  compared(slots: Iterable<number>, migration: string, position: ResourceVersion): void {
    for (const slot of slots) {
      if (this.#from.get(slot)?.migration !== migration) this.#from.set(slot, { migration, position });
    }
  }

  /** The API server was restored: positions from before say nothing. */
  forget(): void {
    this.#from.clear();
  }

  position(slot: number): string | undefined {
    return this.#from.get(slot)?.position;
  }
}

/** Late objects of one slot. */
export interface LateObjects {
  /** Undefined: all of the slot. */
  readonly uids: ReadonlySet<string> | undefined;
  /** Who has come up to here shows them, or knows that they are gone. */
  readonly until: ResourceVersion;
}

/** Late objects of the `leaving` slots, by slot; those of a slot that was only warm are shown by the shard that has it. */
export function lateObjects(
  books: { readonly verified: VerifiedSlots; readonly ring: MembershipRing; readonly highWatermark: ResourceVersion },
  leaving: readonly number[],
  roles: SlotRoles | undefined,
): ReadonlyMap<number, LateObjects> {
  const late = new Map<number, LateObjects>();
  const released = leaving.filter((slot) => roles?.[slot] === SlotRole.Release);
  // Slots of one move were compared at one position.
  for (const [position, slots] of Map.groupBy(released, (slot) => books.verified.position(slot))) {
    const changes = position === undefined ? undefined : books.ring.since(position);
    const joined =
      changes &&
      Map.groupBy(
        changes.filter((change) => change.joined),
        ({ slot }) => slot,
      );
    for (const slot of slots) {
      const those = joined?.get(slot);
      if (joined === undefined) late.set(slot, { uids: undefined, until: books.highWatermark });
      else if (those !== undefined) {
        const until = those.map(({ version }) => version).reduce(newerOf);
        late.set(slot, { uids: new Set(those.map(({ uid }) => uid)), until });
      }
    }
  }
  return late;
}
