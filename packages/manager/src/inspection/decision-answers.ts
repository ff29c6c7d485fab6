import type { InspectionItem } from '@shard-controller/shared/contracts';
import type { ShardConfigState, ShardEvent } from '../aggregate/index.ts';
import type { ConfigIdentity } from '../naming/index.ts';
import { type KnownMigrations, describeEvent } from '../runner/index.ts';

/** A decision as it is read from the log. */
export interface LoggedDecision {
  readonly sequence: number;
  readonly at: number;
  readonly manager: { readonly identity: string; readonly term: number };
  readonly command: string;
  readonly reason: string;
  readonly events: readonly ShardEvent[];
}

/** Longest single event that an explanation holds whole, bytes of JSON: first assignments of large fleets are larger. */
const MAX_EVENT_BYTES = 8_000;

/** Puts decisions into words, in the order of the log: a migration is named by what was read of its planning. */
export class DecisionReader {
  readonly #config: ConfigIdentity;
  readonly #migrations: Record<string, KnownMigrations[string]>;

  /** @param state the present one, whose open migrations are known though their planning may not be read */
  constructor(config: ConfigIdentity, state: ShardConfigState) {
    this.#config = config;
    this.#migrations = { ...state.migrations };
  }

  /** @param explained with the events themselves instead of their types */
  item(decision: LoggedDecision, explained: boolean): InspectionItem<'events'> {
    const { sequence, at, manager, command, reason, events } = decision;
    const says = events.map((event) => {
      const { message } = describeEvent(event, this.#migrations);
      if (event.type === 'shard.migration.planned.v1') this.#migrations[event.id] = event;
      return message;
    });
    const { namespace, name } = this.#config;
    return {
      namespace,
      config: name,
      sequence,
      at,
      manager,
      command,
      reason,
      says,
      events: events.map((event) => (explained && isShort(event) ? event : event.type)),
    };
  }
}

const isShort = (event: ShardEvent): boolean => Buffer.byteLength(JSON.stringify(event)) <= MAX_EVENT_BYTES;

/** Whether a decision says something of this migration. */
export function concerns({ events }: LoggedDecision, migration: string): boolean {
  return events.some((event) => 'id' in event && event.id === migration);
}
