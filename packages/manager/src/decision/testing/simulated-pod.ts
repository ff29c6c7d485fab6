import type { Handover, Replica } from '@shard-controller/shared/contracts';
import type { AssignedSlots } from '../../aggregate/index.ts';

/** What the next warm of a shard does instead of succeeding; used up by it. */
export type TargetFault = 'fail' | 'omit-one';

/** Steps at which migrations stop, because no report takes them further. */
export type HeldStep = 'Preparation' | 'Transfer' | 'Verification' | 'Cleanup' | 'Releasing';

/** What a pod of a shard is given to do. */
interface Orders {
  readonly generation: number;
  readonly epoch: number;
  readonly isStandby: boolean;
  /** Ticks that it needs to load the slots that it was given. */
  readonly loadTicks: number;
}

const OWNED = 'owned';

/** A worker pod of a simulation: it obeys its assignment at once, unless a fault says otherwise. */
export class SimulatedPod {
  readonly replica: Replica;
  readonly revision: string;
  /** Ticks until it can serve. */
  starting: number;
  /** Frozen: exposes what it has, hears and says nothing. */
  frozen = false;
  /** Ticks since SIGTERM; undefined before. */
  draining: number | undefined;
  generation = 0;
  epoch = 0;
  /** Slots in its exposition, with the migration they were warmed for until it is responsible for them. */
  readonly exposed = new Map<number, string>();
  /** Slots that it is responsible for and has yet to load: ticks until its exposition holds them. */
  readonly loading = new Map<number, number>();
  readonly #acknowledged = new Set<string>();

  constructor(replica: Replica, revision: string, startTicks: number) {
    this.replica = replica;
    this.revision = revision;
    this.starting = startTicks;
  }

  /** One second: it starts, or does what its assignment says. */
  tick(slots: AssignedSlots | undefined, { generation, epoch, isStandby, loadTicks }: Orders): void {
    if (this.starting > 0) this.starting--;
    if (this.starting > 0 || this.frozen || slots === undefined) return;
    const warm = new Set(slots.warm.map(({ migration }) => migration));
    const release = new Set(slots.release.flatMap((entry) => entry.slots));
    this.#load(slots.owned, loadTicks);
    for (const [slot, reason] of this.exposed) {
      // Like the real worker: it lets go when told, or when a warm-up is dropped, never by itself, except as a standby.
      const isDropped = isStandby && reason === OWNED && !slots.owned.includes(slot);
      if (isDropped || release.has(slot) || (reason !== OWNED && !warm.has(reason))) this.exposed.delete(slot);
    }
    this.generation = generation;
    this.epoch = epoch;
  }

  /** What it says of its handovers. `takeFault` is called when there is a warm-up to speak of. */
  handovers(
    slots: AssignedSlots,
    now: number,
    holdAt: HeldStep | undefined,
    takeFault: () => TargetFault | undefined,
  ): Handover[] {
    const releases =
      holdAt === 'Releasing'
        ? []
        : slots.release.map(
            ({ migration }): Handover => ({ migration, role: 'source', state: 'released', objects: 0 }),
          );
    if (holdAt === 'Preparation') return releases;
    const warms = slots.warm.flatMap(({ migration, slots: warm }): Handover[] => {
      const common = { migration, role: 'target' as const, objects: warm.length };
      if (holdAt === 'Transfer') return [{ ...common, state: 'warming' }];
      const taken = takeFault();
      const fault = this.#acknowledged.has(migration) ? undefined : taken;
      if (fault === 'fail') return [{ ...common, state: 'failed', error: 'told to' }];
      if (!this.#acknowledged.has(migration)) for (const slot of warm) this.exposed.set(slot, migration);
      if (fault === 'omit-one') this.exposed.delete(warm[0] ?? -1);
      this.#acknowledged.add(migration);
      return [{ ...common, state: 'acknowledged', acknowledgedAt: now }];
    });
    return [...releases, ...warms];
  }

  /** What it already exposes it keeps exposing; the rest takes its time. */
  #load(owned: readonly number[], loadTicks: number): void {
    for (const slot of this.loading.keys()) if (!owned.includes(slot)) this.loading.delete(slot);
    for (const slot of owned) {
      const left = this.exposed.has(slot) ? 0 : (this.loading.get(slot) ?? loadTicks);
      if (left > 0) this.loading.set(slot, left - 1);
      else {
        this.loading.delete(slot);
        this.exposed.set(slot, OWNED);
      }
    }
  }
}
