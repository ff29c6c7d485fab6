import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import type { z } from 'zod';
import { errorMessage } from '../runtime/index.ts';
import type { NatsLogger, NatsMessage, NatsSubscription, SubscriptionOptions } from './link-types.ts';
import { encodeMessage, type Parsed, parseMessage } from './message.ts';

interface Registration {
  readonly subject: string;
  readonly queue?: string;
  readonly deliver: (message: Msg) => void;
  live: Subscription | undefined;
}

/** Counts what goes wrong with messages. */
interface MessageCounts {
  invalid(): void;
  handlerError(): void;
}

/** What a link hears: its subscriptions, which outlive any one connection, and the delivery of their messages. */
export class LinkSubscriptions {
  readonly #logger: NatsLogger;
  readonly #counts: MessageCounts;
  readonly #registrations = new Set<Registration>();

  constructor(logger: NatsLogger, counts: MessageCounts) {
    this.#logger = logger;
    this.#counts = counts;
  }

  add<T>(
    options: SubscriptionOptions<T>,
    handler: (message: NatsMessage<T>) => void | Promise<void>,
    connection: NatsConnection | undefined,
  ): NatsSubscription {
    const registration: Registration = {
      subject: options.subject,
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      deliver: (raw) => void this.#deliver(options.schema, raw, handler),
      live: undefined,
    };
    return this.#register(registration, connection);
  }

  addRaw(
    subject: string,
    deliver: (message: Msg) => void,
    connection: NatsConnection | undefined,
    queue?: string,
  ): NatsSubscription {
    const group = queue === undefined ? {} : { queue };
    return this.#register({ subject, deliver, live: undefined, ...group }, connection);
  }

  /** Re-creates all subscriptions on a new connection. */
  activate(connection: NatsConnection): void {
    for (const registration of this.#registrations) this.#activate(connection, registration);
  }

  parse<T>(schema: z.ZodType<T>, data: Uint8Array): Parsed<T> {
    const parsed = parseMessage(schema, data);
    if (!parsed.ok) this.#counts.invalid();
    return parsed;
  }

  #register(registration: Registration, connection: NatsConnection | undefined): NatsSubscription {
    this.#registrations.add(registration);
    if (connection !== undefined && !connection.isClosed()) this.#activate(connection, registration);
    return {
      unsubscribe: () => {
        this.#registrations.delete(registration);
        registration.live?.unsubscribe();
      },
    };
  }

  #activate(connection: NatsConnection, registration: Registration): void {
    registration.live = connection.subscribe(registration.subject, {
      ...(registration.queue === undefined ? {} : { queue: registration.queue }),
      callback: (error, message) => {
        if (error === null) registration.deliver(message);
        else this.#logger.error({ subject: registration.subject, error: error.message }, 'NATS subscription refused');
      },
    });
  }

  async #deliver<T>(
    schema: z.ZodType<T>,
    raw: Msg,
    handler: (message: NatsMessage<T>) => void | Promise<void>,
  ): Promise<void> {
    const wantsReply = raw.reply !== undefined && raw.reply !== '';
    const respond = (body: unknown): boolean => {
      if (!wantsReply) return false;
      try {
        return raw.respond(encodeMessage(raw.subject, body));
      } catch (error) {
        this.#logger.warn(
          { subject: raw.subject, error: errorMessage(error) },
          'answer to a NATS request was not sent',
        );
        return false;
      }
    };
    try {
      await handler({ subject: raw.subject, body: this.parse(schema, raw.data), wantsReply, respond });
    } catch (error) {
      this.#counts.handlerError();
      this.#logger.error({ subject: raw.subject, error: errorMessage(error) }, 'handler of a NATS message failed');
    }
  }
}
