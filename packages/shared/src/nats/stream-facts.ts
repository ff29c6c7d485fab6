import { JetStreamApiError, type StreamInfo } from '@nats-io/jetstream';
import { StreamMissingError } from './errors.ts';
import { unavailable } from './jetstream-error.ts';
import type { NatsLink } from './link.ts';

/** Identity and extent of a stream. A deleted and re-created stream has a new `created` and starts at 1 again. */
export interface StreamFacts {
  readonly name: string;
  /** When the stream was created, as the server prints it (RFC 3339, ns): compare for equality. */
  readonly created: string;
  /** 0 or 1 when empty. */
  readonly firstSequence: number;
  /** Sequence of the newest message ever stored, 0 for none. */
  readonly lastSequence: number;
  readonly messages: number;
}

export function streamFacts(info: StreamInfo): StreamFacts {
  return {
    name: info.config.name,
    created: info.created,
    firstSequence: info.state.first_seq,
    lastSequence: info.state.last_seq,
    messages: info.state.messages,
  };
}

/** @throws StreamMissingError, NatsUnavailableError */
export async function readStreamFacts(link: NatsLink, stream: string): Promise<StreamFacts> {
  try {
    return streamFacts(await link.session().jsm.streams.info(stream));
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === 10059)
      throw new StreamMissingError(stream, { cause: error });
    throw unavailable(error, `stream ${stream} could not be looked up`);
  }
}
