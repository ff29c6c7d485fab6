import { errorMessage } from '@shard-controller/shared/runtime';
import {
  type Heartbeat,
  heartbeatSubject,
  pingSubject,
  type VerifyReply,
  type VerifyRequest,
  verifyRequestSchema,
  verifySubject,
} from '@shard-controller/shared/contracts';
import type { NatsLink } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import { z } from 'zod';
import type { DataPlane } from '../data-plane/index.ts';
import type { WorkerIdentity } from '../worker-identity.ts';

/** What became of a heartbeat: sent, dropped for lack of a connection, or too large. */
export type HeartbeatOutcome = 'sent' | 'not_connected' | 'failed';

export interface NatsPresenceOptions {
  readonly identity: WorkerIdentity;
  readonly dataPlane: Pick<DataPlane, 'verify'>;
  readonly heartbeat: () => Heartbeat;
  readonly logger: Logger;
  readonly onHeartbeat: (outcome: HeartbeatOutcome) => void;
}

/** Longest time that a verification may take, ms; the manager asks again. */
const VERIFY_TIMEOUT_MS = 15_000;
/** Verifications at the same time: each makes consistent reads of all feeds. */
const MAX_VERIFICATIONS = 4;
const MAX_ERROR = 500;

/** What the manager hears of this worker on NATS: heartbeats, and answers to ping and verify. */
export class NatsPresence {
  readonly #options: NatsPresenceOptions;
  #verifying = 0;

  constructor(options: NatsPresenceOptions) {
    this.#options = options;
  }

  /** Subscribes on a link; call once per link. */
  join(link: NatsLink): void {
    const { identity, heartbeat } = this.#options;
    link.subscribe({ subject: pingSubject(identity), schema: z.unknown() }, (message) => {
      message.respond(heartbeat());
    });
    link.subscribe({ subject: verifySubject(identity), schema: verifyRequestSchema }, async (message) => {
      if (!message.wantsReply) return;
      message.respond(message.body.ok ? await this.#verify(message.body.value) : refusal('', message.body.problem));
    });
  }

  /** Sends a heartbeat; without a connection it is dropped, because the next one says the same. */
  beat(link: NatsLink | undefined): void {
    const { identity, heartbeat, onHeartbeat, logger } = this.#options;
    try {
      const sent = link?.publish(heartbeatSubject(identity), heartbeat());
      onHeartbeat(sent?.ok === true ? 'sent' : 'not_connected');
    } catch (error) {
      logger.error({ err: error }, 'heartbeat could not be sent');
      onHeartbeat('failed');
    }
  }

  async #verify(request: VerifyRequest): Promise<VerifyReply> {
    const { identity, dataPlane, logger } = this.#options;
    const { migration } = request;
    if (request.uid !== identity.uid) {
      return refusal(migration, `this worker is of ShardConfig uid ${identity.uid}, not ${request.uid}`);
    }
    if (this.#verifying >= MAX_VERIFICATIONS) {
      return refusal(migration, `${this.#verifying} verifications are running: ask again`);
    }
    this.#verifying += 1;
    try {
      return await dataPlane.verify(request, AbortSignal.timeout(VERIFY_TIMEOUT_MS));
    } catch (error) {
      const text = errorMessage(error);
      logger.warn({ migration, err: error }, 'verification failed');
      return refusal(migration, text);
    } finally {
      this.#verifying -= 1;
    }
  }
}

function refusal(migration: string, error: string): VerifyReply {
  return { v: 'shard.verify.v2', migration, settled: false, kinds: [], error: error.slice(0, MAX_ERROR) };
}
