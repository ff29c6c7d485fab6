import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { NatsError, NatsUnavailableError, StreamMissingError } from './errors.ts';

/** True for the refusal of a write condition, which may also be the echo of an own write whose answer was lost. */
export function isWrongLastSequence(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
      error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}

/**
 * True when no server took the message: no stream covers the subject, or JetStream is off or still starting. (The client
 * library calls all of these "JetStream is not enabled".)
 */
export function isNoStream(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof JetStreamApiError) return error.code === JetStreamApiCodes.StreamNotFound;
  return error.name === 'JetStreamNotEnabled' || isNoResponders(error);
}

function isNoResponders(error: Error): boolean {
  return error instanceof errors.NoRespondersError || (error instanceof errors.RequestError && error.isNoResponders());
}

/** Any failure of a JetStream call as one of our errors: a missing stream, a refusal, or "not now". */
export function unavailable(error: unknown, what: string): NatsError {
  if (error instanceof NatsError) return error;
  if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) {
    return new StreamMissingError(what, { cause: error });
  }
  const problem = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new NatsUnavailableError(`${what}: ${problem}`, { cause: error });
}
