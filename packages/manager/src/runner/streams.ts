import { ASSIGNMENT_STREAM, EVENT_STREAM } from '@shard-controller/shared/contracts';
import { appendOnlyStream, ensureStream, lastValueStream, type NatsLink } from '@shard-controller/shared/nats';

/**
 * Creates the streams of the system, or brings them to the wanted settings.
 * @throws NatsUnavailableError, StreamConfigError
 */
export async function ensureStreams(link: NatsLink, replicas: number): Promise<void> {
  await ensureStream(link, appendOnlyStream({ name: EVENT_STREAM, subjects: ['shard.events.>'], replicas }));
  await ensureStream(link, lastValueStream({ name: ASSIGNMENT_STREAM, subjects: ['shard.assignments.>'], replicas }));
}
