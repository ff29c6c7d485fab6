import { aborted } from '@shard-controller/shared/runtime';
import { Exposure, planSlots, type SlotAssignment, slotHashOf, SlotRole, type SlotRoles } from '../slots/index.ts';

/** The assignment in force, and what it makes of each slot. */
export class SlotTable {
  readonly #first = Promise.withResolvers<void>();
  #assignment: SlotAssignment | undefined;
  #roles: SlotRoles | undefined;
  /** Nothing before the first assignment. */
  #exposure = new Exposure(() => 0, Uint8Array.of(0));

  get assignment(): SlotAssignment | undefined {
    return this.#assignment;
  }

  get roles(): SlotRoles | undefined {
    return this.#roles;
  }

  /** What is shown now. */
  get exposure(): Exposure {
    return this.#exposure;
  }

  /** Slots that an assignment dropped without asking for their release. */
  get kept(): number {
    return (this.#roles ?? new Uint8Array(0)).reduce((count, role) => (role === SlotRole.Kept ? count + 1 : count), 0);
  }

  /** Returns whether other slots are shown than before. */
  apply(assignment: SlotAssignment): boolean {
    this.#roles = planSlots(this.#roles, assignment);
    this.#assignment = assignment;
    this.#first.resolve();
    const exposure = Exposure.of(this.#roles, slotHashOf(assignment.shardBy, assignment.slotCount));
    if (exposure.equals(this.#exposure)) return false;
    this.#exposure = exposure;
    return true;
  }

  /** Resolves when the first assignment is known, or `signal` aborts. */
  async assigned(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#first.promise, aborted(signal)]);
  }
}
