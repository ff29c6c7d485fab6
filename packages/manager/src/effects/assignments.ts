import {
  type Assignment,
  ASSIGNMENT_STREAM,
  assignmentMessage,
  assignmentMessageSchema,
  assignmentSchema,
  assignmentSubject,
  compareEpoch,
} from '@shard-controller/shared/contracts';
import { fitsMessage, LastValueStream, type NatsLink } from '@shard-controller/shared/nats';
import type { ConfigIdentity } from '../naming/index.ts';

/**
 * What became of a publication. `newer`: another writer's newer assignment stands there, ours is obsolete. `unsent`: no
 * message could hold it; the worker has it from its ShardInstance.
 */
export type Publication = 'published' | 'unchanged' | 'newer' | 'failed' | 'unsent';

/** The part of the assignment stream that publishing needs. */
export type AssignmentValues = Pick<LastValueStream<Assignment>, 'get' | 'publish' | 'remove'>;

export const assignmentValues = (link: NatsLink): AssignmentValues =>
  new LastValueStream({
    link,
    stream: ASSIGNMENT_STREAM,
    schema: assignmentMessageSchema,
    encode: assignmentMessage,
    patienceMs: 2000,
  });

export interface AssignmentPublisherOptions {
  readonly values: AssignmentValues;
  /** Whether this manager leads at the moment of the call. */
  readonly leads: () => boolean;
  /**
   * Whether the event log ends where this manager's state does, asked of NATS. Every assignment is decided in the log
   * before it is published: a value that is newer than the newest log was decided by no manager.
   */
  readonly isNewest: () => Promise<boolean>;
  /** A value that no log holds was replaced. */
  readonly onForged: (forged: Assignment, by: Assignment) => void;
}

/**
 * Publishes assignments on NATS, so that workers look at their ShardInstances at once. A deposed leader that wakes up late
 * puts no old assignment back: it replaces what is newer only where its log is the newest.
 */
export class AssignmentPublisher {
  readonly #options: AssignmentPublisherOptions;
  /** Subjects whose value is known to be ours, with its generation and epoch. */
  readonly #known = new Map<string, Pick<Assignment, 'generation' | 'epoch'>>();

  constructor(options: AssignmentPublisherOptions) {
    this.#options = options;
  }

  /** @throws NatsUnavailableError, StreamMissingError when NATS cannot be asked now */
  async publish(assignment: Assignment): Promise<Publication> {
    const subject = subjectOf(assignment);
    const known = this.#known.get(subject);
    if (known !== undefined && compareEpoch(known, assignment) === 0) return 'unchanged';
    const { values, leads, isNewest, onForged } = this.#options;
    const present = await values.get(subject);
    const standing = present?.body.ok === true ? present.body.value : undefined;
    // An invalid value, or one of an earlier ShardConfig of the same name, is replaced whatever its epoch.
    const comparable = standing?.shardConfig.uid === assignment.shardConfig.uid ? standing : undefined;
    const order = comparable === undefined ? -1 : compareEpoch(comparable, assignment);
    const forged = order > 0 || (order === 0 && !isSame(comparable, assignment)) ? comparable : undefined;
    if (forged !== undefined && !(await isNewest())) return 'newer';
    const isWritten = order < 0 || forged !== undefined;
    if (isWritten) {
      if (!fitsMessage(assignmentMessage(assignment))) return 'unsent';
      if (!leads()) return 'failed';
      const result = await values.publish(subject, assignment, present?.sequence ?? 0);
      if (!result.ok) return result.conflict ? 'newer' : 'failed';
      if (forged !== undefined) onForged(forged, assignment);
    }
    this.#known.set(subject, { generation: assignment.generation, epoch: assignment.epoch });
    return isWritten ? 'published' : 'unchanged';
  }

  /** Looks at the stream again for every subject: at a resync, or when NATS was away. */
  forget(): void {
    this.#known.clear();
  }

  /** Removes the assignment of a shard, unless it belongs to another ShardConfig of the same name: one that was re-created. */
  async remove({ namespace, name, uid }: ConfigIdentity, shardId: string): Promise<void> {
    const subject = assignmentSubject({ namespace, config: name, shardId });
    const { values, leads } = this.#options;
    this.#known.delete(subject);
    const present = await values.get(subject);
    if (present === undefined || !leads()) return;
    const isForeign = present.body.ok && present.body.value.shardConfig.uid !== uid;
    if (!isForeign) await values.remove(subject, present.sequence);
  }
}

/** Both come out of the same schema, so that their keys stand in the same order; so do their ranges as they are sent. */
const isSame = (a: Assignment | undefined, b: Assignment): boolean => a !== undefined && sent(a) === sent(b);

const sent = (assignment: Assignment): string => JSON.stringify(assignmentMessage(assignmentSchema.parse(assignment)));

const subjectOf = ({ shardConfig, shardId }: Assignment): string =>
  assignmentSubject({ namespace: shardConfig.namespace, config: shardConfig.name, shardId });
