import { ASSIGNMENT_STREAM, assignmentSubject } from '@shard-controller/shared/contracts';
import { LastValueStream, type NatsLink } from '@shard-controller/shared/nats';
import { z } from 'zod';
import type { WorkerIdentity } from '../worker-identity.ts';
import type { AssignmentKeeper } from './assignment-keeper.ts';

/**
 * Offers each assignment on the shard's NATS subject, the present one first: the fast way, and the only one while the
 * API server is away. Runs until `signal` aborts.
 */
export async function followAssignments(
  link: NatsLink,
  identity: WorkerIdentity,
  keeper: AssignmentKeeper,
  signal: AbortSignal,
): Promise<void> {
  // The fence checks the content itself, because it has to say which assignment it refuses.
  const stream = new LastValueStream({ link, stream: ASSIGNMENT_STREAM, schema: z.unknown() });
  await stream.watch(assignmentSubject(identity), {
    signal,
    onRecord: ({ body }) => {
      if (body.ok) keeper.offer(body.value, 'nats');
      else keeper.garbage('nats', body.problem);
    },
  });
}
