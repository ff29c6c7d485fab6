import type { ShardEvent, ShardId } from '../aggregate/index.ts';

/** A decision of the log, as far as it concerns owners. */
export interface DecisionSeen {
  readonly sequence: number;
  readonly at: number;
  readonly reason: string;
  readonly events: readonly ShardEvent[];
}

/** How a slot came to the shard that is responsible for it. */
export interface SlotArrival {
  readonly shardId: ShardId;
  /** ms since the epoch. */
  readonly at: number;
  readonly sequence: number;
  readonly why: string;
}

/**
 * Follows one slot through decisions, oldest first. A migration counts from its commit; one that was planned before the
 * first decision is not recognised.
 */
export class SlotHistory {
  readonly #slot: number;
  readonly #planned = new Map<string, { readonly target: ShardId; readonly why: string }>();
  /** The newest arrival; undefined where none was seen. */
  arrival: SlotArrival | undefined;

  constructor(slot: number) {
    this.#slot = slot;
  }

  add({ sequence, at, events }: DecisionSeen): void {
    for (const event of events) {
      const arrived = this.#arrivalBy(event);
      if (arrived !== undefined) this.arrival = { ...arrived, at, sequence };
    }
  }

  #arrivalBy(event: ShardEvent): Pick<SlotArrival, 'shardId' | 'why'> | undefined {
    if (event.type === 'shard.slots.assigned.v1') {
      const move = event.moves.find(({ slots }) => slots.includes(this.#slot));
      return move === undefined ? undefined : { shardId: move.to, why: `${event.cause}: ${event.reason}` };
    }
    if (event.type === 'shard.migration.planned.v1' && event.slots.includes(this.#slot)) {
      this.#planned.set(event.id, { target: event.target, why: `${event.cause} (${event.id}): ${event.reason}` });
    }
    if (event.type === 'shard.migration.committed.v1') {
      const plan = this.#planned.get(event.id);
      return plan === undefined ? undefined : { shardId: plan.target, why: plan.why };
    }
    if (event.type === 'shard.log.recovered.v1') {
      const shard = event.shards.find(({ owned }) => owned.includes(this.#slot));
      return shard === undefined ? undefined : { shardId: shard.shardId, why: `log recovered: ${event.reason}` };
    }
    return undefined;
  }
}
