import type { Assignment } from '@shard-controller/shared/contracts';
import type { NatsLink } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import type { ShardInstanceSource } from './assignment/index.ts';
import type { StallGuardOptions } from './exporter/index.ts';
import { confirmByPeer } from './peer-replica.ts';
import type { WorkerIdentity } from './worker-identity.ts';

const READ_TIMEOUT_MS = 2000;
/** A worker without a standby serves what it has when nothing answers after a stall: duplicates are better than loss. ms. */
const LIMIT_MS = 2000;

export interface StallRecoveryParts {
  readonly identity: WorkerIdentity;
  readonly source: Pick<ShardInstanceSource, 'read'>;
  readonly assignment: () => Assignment | undefined;
  readonly link: () => NatsLink | undefined;
  readonly hasStandby: () => boolean;
  readonly logger: Logger;
  /** The process had stalled. */
  readonly onStall: () => void;
  /** Scrapes are answered again. */
  readonly onOpen: () => void;
}

/** How a worker finds out after a stall that its assignment still holds. */
export function stallRecovery(
  parts: StallRecoveryParts,
): Required<Pick<StallGuardOptions, 'limitMs' | 'confirm' | 'onStall' | 'onOpen'>> {
  const { identity, source, assignment, link, logger } = parts;
  return {
    // With a standby the other replica has taken over by then, so that nothing is lost by waiting.
    limitMs: () => (parts.hasStandby() ? undefined : LIMIT_MS),
    confirm: async (signal) => {
      try {
        await source.read(signal, READ_TIMEOUT_MS);
      } catch {
        await confirmByPeer(link(), identity, assignment());
        logger.info('the API server does not answer, but the other replica stands by under the same epoch');
      }
    },
    onStall: (gapMs) => {
      parts.onStall();
      logger.warn({ gapMs: Math.round(gapMs) }, 'this process had stalled: scrapes wait until its assignment is read');
    },
    onOpen: ({ confirmed, afterMs, error }) => {
      const fields = { afterMs: Math.round(afterMs) };
      if (confirmed) logger.info(fields, 'assignment read after the stall');
      else logger.warn({ ...fields, err: error }, 'no answer after the stall: serving as before');
      parts.onOpen();
    },
  };
}
