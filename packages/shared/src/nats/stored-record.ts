import type { StoredMsg } from '@nats-io/jetstream';
import type { z } from 'zod';
import type { NatsLink } from './link.ts';
import type { Parsed } from './message.ts';

/** A message of a stream. */
export interface StoredRecord<T> {
  readonly subject: string;
  /** Position in the stream. */
  readonly sequence: number;
  /** When the server stored it, ms since the epoch. */
  readonly storedAt: number;
  /** Message id of the writer (`Nats-Msg-Id`); empty when it gave none. */
  readonly id: string;
  /** The content, or what is wrong with it: anybody may have written it. */
  readonly body: Parsed<T>;
}

export function storedRecord<T>(link: NatsLink, schema: z.ZodType<T>, message: StoredMsg): StoredRecord<T> {
  return {
    subject: message.subject,
    sequence: message.seq,
    storedAt: message.time.getTime(),
    id: message.header.get('Nats-Msg-Id'),
    body: link.parse(schema, message.data),
  };
}
