import type { Heartbeat } from '@shard-controller/shared/contracts';
import { MAX_MESSAGE_BYTES } from '@shard-controller/shared/nats';
import type { Clock } from '@shard-controller/shared/runtime';
import type { WorkerIdentity } from '../worker-identity.ts';
import { heartbeatOf, type WorkerSnapshot } from './heartbeat.ts';

/** Numbers the heartbeats of this process; every one that leaves it comes from here. */
export class HeartbeatSource {
  readonly #identity: WorkerIdentity;
  readonly #snapshot: () => WorkerSnapshot;
  readonly #clock: Clock;
  #sequence = 0;

  constructor(identity: WorkerIdentity, snapshot: () => WorkerSnapshot, clock: Clock) {
    this.#identity = identity;
    this.#snapshot = snapshot;
    this.#clock = clock;
  }

  /** The state of this moment, in a message that fits into NATS. */
  next(): Heartbeat {
    this.#sequence += 1;
    return this.peek();
  }

  /** The same for a use that is no heartbeat: with the number of the newest one. */
  readonly peek = (): Heartbeat =>
    fitting(heartbeatOf(this.#identity, this.#snapshot(), this.#sequence, this.#clock.now()));
}

const SHORT_ERROR = 40;
/** Below this many handovers nothing can be too large. */
const SMALL = 32;

/** Drops what people can look up elsewhere until the message fits; never what the manager decides upon. */
function fitting(heartbeat: Heartbeat): Heartbeat {
  if (heartbeat.handovers.length <= SMALL && Object.keys(heartbeat.load.objectsByResource).length <= SMALL * 4) {
    return heartbeat;
  }
  const fits = (candidate: Heartbeat): boolean => Buffer.byteLength(JSON.stringify(candidate)) <= MAX_MESSAGE_BYTES;
  if (fits(heartbeat)) return heartbeat;
  const handovers = heartbeat.handovers.map((handover) =>
    handover.error === undefined ? handover : { ...handover, error: handover.error.slice(0, SHORT_ERROR) },
  );
  const shorter: Heartbeat = { ...heartbeat, handovers };
  if (fits(shorter)) return shorter;
  return { ...shorter, load: { ...heartbeat.load, objectsByResource: {} } };
}
