import type { FrameView } from '../wire/index.ts';
import type { SlotHash } from './slot-hash.ts';
import { isExposedRole, type SlotRoles } from './slot-plan.ts';

/** Which objects this worker shows at a moment. Never changes; a move makes another one. */
export class Exposure {
  /** Nothing is left out. */
  readonly isWhole: boolean;
  readonly #slotHash: SlotHash;
  /** 1 per slot that is shown. */
  readonly #shown: Uint8Array;

  constructor(slotHash: SlotHash, shown: Uint8Array) {
    this.#slotHash = slotHash;
    this.#shown = shown;
    this.isWhole = !shown.includes(0);
  }

  static of(roles: SlotRoles, slotHash: SlotHash): Exposure {
    return new Exposure(
      slotHash,
      roles.map((role) => (isExposedRole(role) ? 1 : 0)),
    );
  }

  /** Everything, whatever is assigned: resources that are not sharded. */
  static whole(): Exposure {
    return new Exposure(() => 0, Uint8Array.of(1));
  }

  /** An object's slot. One without a uid (aggregated APIs have such) is in the slot of the empty text. */
  slotOf(view: FrameView): number {
    return this.#slotHash(view);
  }

  slots(): Iterable<number> {
    return this.#shown.keys();
  }

  showsSlot(slot: number): boolean {
    return this.#shown[slot] === 1;
  }

  shows(view: FrameView): boolean {
    return this.showsSlot(this.#slotHash(view));
  }

  equals(other: Exposure | undefined): boolean {
    return other !== undefined && Buffer.compare(this.#shown, other.#shown) === 0;
  }
}
