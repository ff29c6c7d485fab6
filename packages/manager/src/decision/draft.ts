import {
  type CommandContext,
  evolve,
  type ShardConfigState,
  type ShardEvent,
  type TableResult,
  type View,
} from '../aggregate/index.ts';

/** A decision is stored as one message of at most 64 KiB: what follows from one that is larger than this waits. Characters. */
const ENOUGH = 16_384;
/** Longest text of an event: it is for people and cut, never refused. */
const MAX_TEXT = 500;

/**
 * A decision being made: its events so far, and the state as it will be after them, so that what follows can be
 * decided. Epochs in it are provisional; the real ones come with the sequence under which the events are stored.
 */
export class Draft {
  readonly now: number;
  readonly #figures: Pick<CommandContext, 'objects' | 'progress'>;
  readonly #sequence: number;
  readonly #events: ShardEvent[] = [];
  #state: ShardConfigState;
  #length = 0;

  constructor(state: ShardConfigState, { now, objects, progress = {} }: CommandContext) {
    this.now = now;
    this.#figures = { objects, progress };
    this.#sequence = state.sequence + 1;
    this.#state = state;
  }

  get state(): ShardConfigState {
    return this.#state;
  }

  get events(): readonly ShardEvent[] {
    return this.#events;
  }

  /** Whether what else follows has to be decided by the next command. */
  get isFull(): boolean {
    return this.#length > ENOUGH;
  }

  /** What to decide from; undefined before the first accepted config. */
  get view(): View | undefined {
    const { settings } = this.#state;
    return settings === null ? undefined : { state: this.#state, settings, now: this.now, ...this.#figures };
  }

  healthOf(shardId: string): string {
    return this.#state.shards[shardId]?.health ?? 'Removed';
  }

  /** Adds the events of a result; whether there was one. */
  take(result: TableResult<ShardEvent> | undefined): boolean {
    if (result === undefined) return false;
    for (const event of result.events.map(withShortText)) {
      this.#events.push(event);
      this.#length += JSON.stringify(event).length;
      this.#state = evolve(this.#state, event, this.#sequence);
    }
    return true;
  }
}

function withShortText(event: ShardEvent): ShardEvent {
  if ('reason' in event) return { ...event, reason: event.reason.slice(0, MAX_TEXT) };
  return 'detail' in event ? { ...event, detail: event.detail.slice(0, MAX_TEXT) } : event;
}
