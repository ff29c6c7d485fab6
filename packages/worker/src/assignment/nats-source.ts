import { ASSIGNMENT_STREAM, assignmentSubject, compareEpoch } from '@shard-controller/shared/contracts';
import { LastValueStream, type NatsLink } from '@shard-controller/shared/nats';
import type { Logger } from '@shard-controller/shared/observability';
import type { Clock } from '@shard-controller/shared/runtime';
import { z } from 'zod';
import type { WorkerIdentity } from '../worker-identity.ts';
import type { AssignmentKeeper } from './assignment-keeper.ts';
import { label } from './fence.ts';
import type { ShardInstanceSource } from './shard-instance-source.ts';

export interface AssignmentNoticesOptions {
  readonly identity: WorkerIdentity;
  readonly keeper: Pick<AssignmentKeeper, 'heard' | 'invalid'>;
  readonly source: Pick<ShardInstanceSource, 'read' | 'held'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `unconfirmed` has changed. */
  readonly onChange: () => void;
}

/** What is read of a message: which assignment it speaks of. */
const noticeSchema = z.looseObject({
  shardConfig: z.looseObject({ uid: z.string() }),
  shardId: z.string(),
  generation: z.int().min(0),
  epoch: z.int().min(0),
});

type Notice = z.infer<typeof noticeSchema>;

/** Between two reads, ms, however many notices arrive; doubled while the API server does not answer. */
const GAP_MS = 200;
const MAX_GAP_MS = 2000;

/**
 * Messages on the shard's NATS subject: each is a notice that the ShardInstance has changed, and nothing more. Whoever can
 * write to NATS can send one; only a manager can write the ShardInstance, and it does so before it publishes. So a notice
 * of something newer makes this worker read its ShardInstance, in case the watch is late or dead, and what that does not
 * hold is not true.
 */
export class AssignmentNotices {
  readonly #options: AssignmentNoticesOptions;
  /** The newest notice that waits for a read. */
  #pending: Notice | undefined;
  #isReading = false;
  #unconfirmed: Notice | undefined;

  constructor(options: AssignmentNoticesOptions) {
    this.#options = options;
  }

  /** What is wrong with the present message, for people; undefined while all is well. */
  get unconfirmed(): string | undefined {
    const notice = this.#unconfirmed;
    if (notice === undefined || !this.#isNewer(notice)) return undefined;
    return `NATS names assignment ${label(notice)}, which the ShardInstance does not hold: ignored`;
  }

  /** Follows the subject, the present message first, until `signal` aborts. */
  async follow(link: NatsLink, signal: AbortSignal): Promise<void> {
    const stream = new LastValueStream({ link, stream: ASSIGNMENT_STREAM, schema: z.unknown() });
    await stream.watch(assignmentSubject(this.#options.identity), {
      signal,
      onRecord: ({ body }) => {
        if (body.ok) this.hear(body.value, signal);
        else this.#options.keeper.invalid('nats', body.problem);
      },
    });
  }

  /** One message. */
  hear(raw: unknown, signal: AbortSignal): void {
    const { identity, keeper } = this.#options;
    const parsed = noticeSchema.safeParse(raw);
    if (!parsed.success) return keeper.invalid('nats', 'it does not say which assignment it is');
    const notice = parsed.data;
    if (notice.shardConfig.uid !== identity.uid || notice.shardId !== identity.shardId) {
      return keeper.invalid('nats', `it is for ${notice.shardId} of ShardConfig uid ${notice.shardConfig.uid}`);
    }
    if (!this.#isNewer(notice)) {
      keeper.heard('nats', 'current');
      this.#set(undefined);
      return;
    }
    if (this.#pending === undefined || compareEpoch(notice, this.#pending) > 0) this.#pending = notice;
    if (!this.#isReading) void this.#confirm(signal);
  }

  async #confirm(signal: AbortSignal): Promise<void> {
    const { source, keeper, clock } = this.#options;
    this.#isReading = true;
    for (let gap = GAP_MS; this.#pending !== undefined && !signal.aborted; ) {
      const notice = this.#pending;
      const isRead = await source.read(signal).then(
        () => true,
        () => false,
      );
      if (signal.aborted) break;
      if (isRead) {
        const isHeld = !this.#isNewer(notice);
        keeper.heard('nats', isHeld ? 'confirmed' : 'unconfirmed');
        this.#set(isHeld ? undefined : notice);
        if (this.#pending === notice) this.#pending = undefined;
      }
      gap = isRead ? GAP_MS : Math.min(MAX_GAP_MS, gap * 2);
      await clock.sleep(gap, signal);
    }
    this.#isReading = false;
  }

  #isNewer(notice: Notice): boolean {
    const { held } = this.#options.source;
    return held === undefined || compareEpoch(notice, held) > 0;
  }

  #set(notice: Notice | undefined): void {
    const before = this.#unconfirmed;
    this.#unconfirmed = notice;
    if (before?.generation === notice?.generation && before?.epoch === notice?.epoch) return;
    const { logger, source, onChange, identity } = this.#options;
    if (notice !== undefined) {
      const held = source.held && label(source.held);
      logger.warn(
        { subject: assignmentSubject(identity), epoch: label(notice), held, shardInstance: identity.shardInstance },
        'ignored an assignment on NATS that is not in the ShardInstance, where its manager writes first. Find out who else writes to NATS',
      );
    }
    onChange();
  }
}
