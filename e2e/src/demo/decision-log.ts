import { EVENT_STREAM } from '@shard-controller/shared/contracts';
import { EventStream, type NatsLink } from '@shard-controller/shared/nats';
import { z } from 'zod';

const eventSchema = z.looseObject({ type: z.string(), at: z.number() });

/** A decision as it stands in the log, read without the manager's own schemas: an outside view. */
const decisionSchema = z.looseObject({ id: z.string(), events: z.array(eventSchema) });

export type LoggedEvent = z.infer<typeof eventSchema>;

const plannedSchema = z.looseObject({
  id: z.string(),
  source: z.string(),
  target: z.string(),
  slots: z.array(z.int()),
});
const assignedSchema = z.looseObject({
  moves: z.array(z.looseObject({ from: z.string().nullable(), to: z.string(), slots: z.array(z.int()) })),
});
const idSchema = z.looseObject({ id: z.string() });

/** A migration that has not ended. */
export interface OpenMigration {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly slots: readonly number[];
  readonly step: 'Planning' | 'Preparation' | 'Transfer' | 'Verification' | 'Cleanup';
}

const STEP_AFTER: Readonly<Record<string, OpenMigration['step']>> = {
  'shard.migration.started.v1': 'Preparation',
  'shard.migration.transferring.v1': 'Transfer',
  'shard.migration.acknowledged.v1': 'Verification',
  'shard.migration.verified.v1': 'Cleanup',
  'shard.migration.committed.v1': 'Cleanup',
};

/** Follows the manager's event log on JetStream: owners, open migrations and slots moved, counted from outside. */
export class DecisionLog {
  readonly #stream: EventStream<z.infer<typeof decisionSchema>>;
  readonly #subject: string;
  readonly #open = new Map<string, OpenMigration>();
  readonly #owners = new Map<number, string>();
  readonly #listeners = new Set<(event: LoggedEvent) => void>();
  #slotsMoved = 0;
  #events = 0;

  constructor(link: NatsLink, subject: string) {
    this.#stream = new EventStream({ link, stream: EVENT_STREAM, schema: decisionSchema });
    this.#subject = subject;
  }

  /** Open migrations, oldest first. */
  get open(): readonly OpenMigration[] {
    return [...this.#open.values()];
  }

  /** Slots that got another shard, by migration or failover. */
  get slotsMoved(): number {
    return this.#slotsMoved;
  }

  /** Events seen. */
  get events(): number {
    return this.#events;
  }

  /** Responsible shard of each slot, as far as the log tells. */
  get owners(): readonly string[] {
    return [...this.#owners].sort(([a], [b]) => a - b).map(([, owner]) => owner);
  }

  onEvent(listener: (event: LoggedEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#stream.follow(this.#subject, {
          fromSequence: 1,
          signal,
          probeMs: 500,
          onRecord: (record) => {
            if (!record.body.ok) return;
            for (const event of record.body.value.events) this.#apply(event);
          },
        });
      } catch {
        // The stream does not exist before the first manager made it.
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  #apply(event: LoggedEvent): void {
    this.#events++;
    if (event.type === 'shard.migration.planned.v1') {
      const { id, source, target, slots } = plannedSchema.parse(event);
      this.#open.set(id, { id, source, target, slots, step: 'Planning' });
    } else if (event.type === 'shard.slots.assigned.v1') {
      for (const move of assignedSchema.parse(event).moves) this.#move(move.slots, move.from, move.to);
    } else if (event.type.startsWith('shard.migration.')) {
      this.#applyToMigration(event, idSchema.parse(event).id);
    }
    for (const listener of this.#listeners) listener(event);
  }

  #applyToMigration(event: LoggedEvent, id: string): void {
    const migration = this.#open.get(id);
    if (migration === undefined) return;
    const step = STEP_AFTER[event.type];
    if (step !== undefined) this.#open.set(id, { ...migration, step });
    if (event.type === 'shard.migration.committed.v1') this.#move(migration.slots, migration.source, migration.target);
    if (event.type === 'shard.migration.completed.v1' || event.type === 'shard.migration.rolledback.v1')
      this.#open.delete(id);
  }

  #move(slots: readonly number[], from: string | null, to: string): void {
    for (const slot of slots) this.#owners.set(slot, to);
    if (from !== null) this.#slotsMoved += slots.length;
  }
}
