import type { z } from 'zod';
import { type RawEvent, rawEventSchema } from './decision.ts';
import { InvalidEventError, UnknownEventError } from './errors.ts';

/**
 * For each type that is no longer written: how to say the same in the next version. Chained, so that every version
 * needs only the step to its successor. Old events are never rewritten in the log.
 */
export type Upcasters = Readonly<Record<string, (event: RawEvent) => RawEvent>>;

/** Where an event stands, for messages. */
export interface EventPlace {
  readonly subject: string;
  readonly sequence?: number;
}

/** Reads stored events into their present form. */
export class EventCodec<E> {
  readonly #schema: z.ZodType<E>;
  readonly #upcasters: Upcasters;

  /** `schema`: a union discriminated by `type`, of the present versions only. */
  constructor(schema: z.ZodType<E>, upcasters: Upcasters = {}) {
    this.#schema = schema;
    this.#upcasters = upcasters;
  }

  /** @throws UnknownEventError (SC_EVENT_UNKNOWN), InvalidEventError (SC_EVENT_INVALID) */
  decode(stored: RawEvent, place: EventPlace): E {
    const raw = this.#upcast(stored, place);
    const result = this.#schema.safeParse(raw);
    if (result.success) return result.data;
    const { issues } = result.error;
    if (issues.some((issue) => issue.path.length === 1 && issue.path[0] === 'type')) {
      throw new UnknownEventError(stored.type, place.subject, place.sequence ?? 0);
    }
    const problem = issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`).join('; ');
    throw new InvalidEventError(stored.type, place.subject, place.sequence, problem.slice(0, 500));
  }

  /**
   * The stored form of an event; what `decode` will read later, checked now.
   * @throws InvalidEventError
   */
  encode(event: E, place: EventPlace): RawEvent {
    const raw = rawEventSchema.parse(JSON.parse(JSON.stringify(event)));
    this.decode(raw, place);
    return raw;
  }

  #upcast(stored: RawEvent, place: EventPlace): RawEvent {
    let event = stored;
    const passed = new Set<string>();
    for (let step = this.#upcasters[event.type]; step !== undefined; step = this.#upcasters[event.type]) {
      if (passed.has(event.type)) {
        throw new InvalidEventError(stored.type, place.subject, place.sequence, 'its upcasters form a cycle');
      }
      passed.add(event.type);
      event = step(event);
    }
    return event;
  }
}
